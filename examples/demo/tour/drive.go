package main

import (
	"io"
	"net/http"
	"time"
)

// The leak, 64 KiB a request, is quick during the tour, then slow, and it ends before it could hurt
// the machine it runs on.  The reports are garbage: they bring on the GCs that publish profiles.
const (
	leakFastRequests  = 3000
	leakFastPerSecond = 100
	leakSlowRequests  = 3000
	leakSlowPerSecond = 5
	churnPerSecond    = 10
	jsonPerSecond     = 40
)

func drive(service string) {
	go func() {
		repeat(service+"/leak?visitor=ada", leakFastPerSecond, leakFastRequests)
		repeat(service+"/leak?visitor=ada", leakSlowPerSecond, leakSlowRequests)
	}()
	go repeat(service+"/churn", churnPerSecond, -1)
	go repeat(service+"/json", jsonPerSecond, -1)
}

// repeat sends count requests at a steady rate; a negative count means for ever.
func repeat(url string, perSecond, count int) {
	beat := time.NewTicker(time.Second / time.Duration(perSecond))
	defer beat.Stop()
	for ; count != 0; count-- {
		<-beat.C
		response, err := http.Get(url)
		if err != nil {
			continue // the service is going down, or not up yet: the tour's steps will tell
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}
