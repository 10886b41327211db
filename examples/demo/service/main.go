// Demo-shop is a small HTTP service to watch with goprofd.  It does three things that real
// services do to memory:
//
//	/leak   logs a visitor in and remembers the session for ever  (sessions.go)
//	/churn  renders a report the wasteful way: garbage, no leak   (report.go)
//	/json   lists the catalogue: a healthy route                  (catalog.go)
//
// It uses the standard library only and builds with any Go from 1.19 on.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	// The Go linker looks whether anything in the program can reach runtime.MemProfile.  If
	// nothing does, it switches the runtime's memory profiling off, and then there is no heap
	// profile to be read by anyone, from inside or outside.  Most services reach it through
	// this very import (or through runtime/pprof, or a metrics library).  goprofd itself never
	// calls the endpoint: try `kill -STOP` on this service and ask goprofd for its heap.
	"net/http/pprof"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type shop struct {
	sessions *sessionStore
	catalog  *catalog
	traffic  *trafficMeter
}

func newShop() *shop {
	return &shop{sessions: newSessionStore(), catalog: newCatalog(), traffic: newTrafficMeter()}
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/leak", s.handleLogin)
	mux.HandleFunc("/churn", s.handleReport)
	mux.HandleFunc("/json", s.handleCatalog)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	return s.traffic.count(mux)
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 takes a free one")
	flag.Parse()

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatalf("demo-shop: %v", err)
	}
	shop := newShop()
	go shop.sessions.expireEvery(time.Second)
	go shop.traffic.settleEvery(time.Second)
	go exitOnSignal()

	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: shop.routes(), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func exitOnSignal() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	os.Exit(0)
}
