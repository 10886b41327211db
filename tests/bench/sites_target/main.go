// sites_target is a Go program with a given number of allocation sites, to measure readers on.
//
// It records every allocation (MemProfileRate 1) while it makes its sites, then goes back to the
// runtime's default rate: what it pays for its own /debug/pprof/heap is then what a service pays.
// The first line on standard output is "listening 127.0.0.1:PORT".
//
//	GET /debug/pprof/...   net/http/pprof
//	GET /gc                runtime.GC(), then "ok"
//
// Flag: -sites N   allocation sites, each with a stack of its own, about 30 frames deep
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
)

var kept []*[6]uint64

func main() {
	sites := flag.Int("sites", 0, "allocation sites")
	flag.Parse()

	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	for i := 0; i < *sites; i++ {
		spell(uint(i), 14)
	}
	runtime.MemProfileRate = rate

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "sites_target:", err)
		os.Exit(1)
	}
	fmt.Println("listening", listener.Addr())
	http.HandleFunc("/gc", func(w http.ResponseWriter, r *http.Request) {
		runtime.GC()
		fmt.Fprintln(w, "ok")
	})
	fmt.Fprintln(os.Stderr, "sites_target:", http.Serve(listener, nil))
	os.Exit(1)
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
