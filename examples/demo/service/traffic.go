package main

import (
	"net/http"
	"sync/atomic"
	"time"
)

// trafficMeter counts requests and keeps the last minute's rates in a fixed ring.
type trafficMeter struct {
	requests uint64
	perBeat  [60]uint64
}

func newTrafficMeter() *trafficMeter {
	return &trafficMeter{}
}

func (meter *trafficMeter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		atomic.AddUint64(&meter.requests, 1)
		next.ServeHTTP(w, r)
	})
}

func (meter *trafficMeter) settleEvery(interval time.Duration) {
	beat := 0
	for range time.Tick(interval) {
		meter.perBeat[beat%len(meter.perBeat)] = atomic.SwapUint64(&meter.requests, 0)
		beat++
	}
}
