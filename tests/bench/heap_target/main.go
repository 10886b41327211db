// heap_target is a Go program with a heap of a given size, all of it resident, that idles.
//
// The first line on standard output is "ready".  It ends when its standard input does.
//
// Flags: -mib N      size of the heap
//
//	-object N   bytes of each object
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	mib := flag.Int("mib", 64, "size of the heap")
	objectBytes := flag.Int("object", 512, "bytes of each object")
	flag.Parse()

	kept := make([][]byte, *mib<<20 / *objectBytes)
	for i := range kept {
		kept[i] = make([]byte, *objectBytes)
		for at := 0; at < *objectBytes; at += 4096 {
			kept[i][at] = 1
		}
	}
	runtime.GC()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(kept)
}
