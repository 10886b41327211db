// idle_target is the least a service is: it listens, can be profiled, and nobody calls it.
//
// It ends when its standard input does, so that whoever started two hundred of them leaves none behind.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "idle_target:", err)
		os.Exit(1)
	}
	go http.Serve(listener, nil)
	io.Copy(io.Discard, os.Stdin)
}
