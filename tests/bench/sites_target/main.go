// sites_target is a Go program with a given number of allocation sites, to measure readers on.
//
// It records every allocation (MemProfileRate 1) while it makes its sites, then goes back to the
// runtime's default rate: what it pays for its own /debug/pprof/heap is then what a service pays.
// The first line on standard output is "listening 127.0.0.1:PORT".
//
//	GET /debug/pprof/...   net/http/pprof
//	GET /gc                runtime.GC(), then "ok"
//	GET /collect           allocates until a collection of the runtime's own has passed, then "ok"
//
// Flags: -sites N   allocation sites, each with a stack of its own, about 30 frames deep
//
//	-load N    goroutines that allocate all the time
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/metrics"
	"time"
)

var (
	kept []*[6]uint64
	sink []byte
)

func main() {
	sites := flag.Int("sites", 0, "allocation sites")
	load := flag.Int("load", 0, "goroutines that allocate all the time")
	flag.Parse()

	digits := 14
	for 1<<digits < *sites {
		digits++
	}

	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	for i := 0; i < *sites; i++ {
		spell(uint(i), digits)
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
	http.HandleFunc("/collect", func(w http.ResponseWriter, r *http.Request) {
		for before := collections(); collections() == before; {
			sink = make([]byte, 64<<10)
		}
		fmt.Fprintln(w, "ok")
	})
	for i := 0; i < *load; i++ {
		go work()
	}
	fmt.Fprintln(os.Stderr, "sites_target:", http.Serve(listener, nil))
	os.Exit(1)
}

func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// work is busy for a tenth of the time, as a service is, and leaves garbage.
func work() {
	for {
		for end := time.Now().Add(time.Millisecond); time.Now().Before(end); {
			words := make([]*[6]uint64, 256)
			for i := range words {
				words[i] = new([6]uint64)
			}
		}
		time.Sleep(9 * time.Millisecond)
	}
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
