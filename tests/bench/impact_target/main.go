// impact_target is an HTTP service under load, to measure what watching it costs.
//
// It has ten thousand allocation sites, a live heap of some 100 MiB full of pointers, and a handler that
// allocates as one does: decodes, looks up, builds an answer, encodes.  The first line on standard
// output is "listening 127.0.0.1:PORT".
//
//	GET /order?id=N        the service
//	GET /debug/pprof/...   net/http/pprof
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"strings"
)

type item struct {
	Name  string   `json:"name"`
	Price int      `json:"price"`
	Tags  []string `json:"tags"`
}

type order struct {
	ID    int     `json:"id"`
	Items []*item `json:"items"`
}

var (
	kept   []*[6]uint64
	orders = map[int]*order{}
)

func main() {
	sites := flag.Int("sites", 10000, "allocation sites besides those of the service")
	count := flag.Int("orders", 100000, "orders kept in memory")
	flag.Parse()

	digits := 12
	for 1<<digits < *sites {
		digits++
	}
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	for i := 0; i < *sites; i++ {
		spell(uint(i), digits)
	}
	runtime.MemProfileRate = rate
	for i := 0; i < *count; i++ {
		orders[i] = newOrder(i)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "impact_target:", err)
		os.Exit(1)
	}
	http.HandleFunc("/order", serveOrder)
	fmt.Println("listening", listener.Addr())
	fmt.Fprintln(os.Stderr, "impact_target:", http.Serve(listener, nil))
	os.Exit(1)
}

func newOrder(id int) *order {
	o := &order{ID: id}
	for i := 0; i < 8; i++ {
		name := "item " + strconv.Itoa(id) + "." + strconv.Itoa(i)
		o.Items = append(o.Items, &item{Name: name, Price: id * i, Tags: strings.Fields("new " + name)})
	}
	return o
}

func serveOrder(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.URL.Query().Get("id"))
	if err != nil {
		http.Error(w, "id: "+err.Error(), http.StatusBadRequest)
		return
	}
	answer := []*order{newOrder(id), orders[id%len(orders)]}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// spell allocates under a stack whose frames are the binary digits of bits.
//
//go:noinline
func spell(bits uint, digits int) {
	switch {
	case digits == 0:
		kept = append(kept, new([6]uint64))
	case bits&1 == 0:
		zero(bits>>1, digits-1)
	default:
		one(bits>>1, digits-1)
	}
}

//go:noinline
func zero(bits uint, digits int) { spell(bits, digits) }

//go:noinline
func one(bits uint, digits int) { spell(bits, digits) }
