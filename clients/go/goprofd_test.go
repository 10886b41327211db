package goprofd

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A goprofd that answers as the test says and keeps what it was sent.
type double struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int // of the next batches; then 200
	bodies   [][]byte
	arrived  chan struct{}
}

func newDouble(t *testing.T, statuses ...int) *double {
	d := &double{statuses: statuses, arrived: make(chan struct{}, 1000)}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.bodies = append(d.bodies, body)
		if len(d.statuses) > 0 {
			w.WriteHeader(d.statuses[0])
			d.statuses = d.statuses[1:]
		}
		d.arrived <- struct{}{}
	}))
	t.Cleanup(d.Server.Close)
	return d
}

func (d *double) wait(t *testing.T, batches int) [][]byte {
	t.Helper()
	for i := 0; i < batches; i++ {
		select {
		case <-d.arrived:
		case <-time.After(60 * time.Second):
			t.Fatalf("%d batches came, not %d", i, batches)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bodies
}

func start(t *testing.T, d *double) *Tracker {
	t.Helper()
	tracker, err := New(Options{URL: d.URL, Target: "test", Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracker.Close)
	return tracker
}

func holds(body []byte, text string) bool { return bytes.Contains(body, []byte(text)) }

func TestABatchThatFailedIsSentAgainAsItIs(t *testing.T) {
	d := newDouble(t, 200, 500, 503)
	tracker := start(t, d)
	d.wait(t, 1) // the first says that we are there
	tracker.TrackAllocation("tile", "render", 100)
	bodies := d.wait(t, 3)
	if !bytes.Equal(bodies[1], bodies[2]) || !bytes.Equal(bodies[2], bodies[3]) {
		t.Error("what was sent again differs")
	}
	if !holds(bodies[1], "tile") {
		t.Errorf("%q does not tell of the tile", bodies[1])
	}
}

func TestTotalsAreSentWhenGoprofdWasStartedAnew(t *testing.T) {
	d := newDouble(t, 200, 200, 412)
	tracker := start(t, d)
	d.wait(t, 1)
	tracker.TrackAllocation("old", "a", 1)
	d.wait(t, 1)
	tracker.TrackAllocation("new", "b", 2)
	bodies := d.wait(t, 2)
	if holds(bodies[2], "old") || !holds(bodies[2], "new") {
		t.Errorf("the third batch is %q", bodies[2])
	}
	if !holds(bodies[3], "old") || !holds(bodies[3], "new") || !holds(bodies[3], "totals\xc3") {
		t.Errorf("the totals are %q", bodies[3])
	}
}

func TestABatchThatIsRefusedIsNotSentAgain(t *testing.T) {
	d := newDouble(t, 200, 400)
	tracker := start(t, d)
	d.wait(t, 1)
	tracker.TrackAllocation("bad", "a", 1)
	d.wait(t, 1)
	tracker.TrackAllocation("good", "a", 1)
	bodies := d.wait(t, 1)
	if holds(bodies[2], "bad") || !holds(bodies[2], "good") {
		t.Errorf("after the refusal came %q", bodies[2])
	}
}

func TestSumsTooLargeForABatchStillTellWhatIsHeld(t *testing.T) {
	d := newDouble(t, 200, 412)
	tracker := start(t, d)
	d.wait(t, 1)
	tracker.mu.Lock() // both in one batch
	*tracker.group("tile", "render") = counts{9 << 48, 5<<48 + 700, 9<<48 - 7, 5 << 48}
	tracker.mu.Unlock()
	wanted := putUint(putUint(putUint(putUint(nil, 1<<48), 1<<48), 1<<48-7), 1<<48-700)
	bodies := d.wait(t, 2)
	for i, body := range bodies[1:3] {
		if !bytes.HasSuffix(body, wanted) {
			t.Errorf("batch %d ends with %x, not %x", i+2, body[len(body)-36:], wanted)
		}
	}
}

func TestCloseSendsWhatIsLeft(t *testing.T) {
	d := newDouble(t)
	tracker, err := New(Options{URL: d.URL, Target: "test", Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tracker.TrackAllocation("last", "words", 1)
	tracker.Close()
	tracker.Close()
	if bodies := d.wait(t, 1); !holds(bodies[0], "last") {
		t.Errorf("sent was %q", bodies[0])
	}
}

func TestWithoutGoprofdMemoryIsBounded(t *testing.T) {
	tracker, err := New(Options{URL: "http://127.0.0.1:1", Target: "test", Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 3*groupsMax; i++ {
		tracker.TrackAllocation(string(rune('a'+i%26))+time.Duration(i).String(), "tag", 1)
	}
	tracker.mu.Lock()
	groups := len(tracker.groups)
	tracker.mu.Unlock()
	if groups > groupsMax+1 {
		t.Errorf("%d groups are kept", groups)
	}
	tracker.Close()
}

// Totals cannot be sent in pieces.
func TestNoBatchIsLargerThanGoprofdTakesHoweverLongTheTextsAre(t *testing.T) {
	d := newDouble(t, 412)
	tracker, err := New(Options{URL: d.URL, Target: "test", Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 300)
	for i := 0; i < groupsMax; i++ {
		tracker.TrackAllocation(strconv.Itoa(100000+i)+long, strconv.Itoa(i)+long, 1)
	}
	tracker.Close()
	bodies := d.wait(t, 2)
	for i, body := range bodies[:2] {
		if len(body) > 1<<20 || len(body) < 400<<10 || !holds(body, "other") {
			t.Errorf("batch %d has %d bytes", i+1, len(body))
		}
	}
}

func TestWhatMakesNoSenseIsAnErrorAtTheStart(t *testing.T) {
	for _, options := range []Options{{URL: "ftp://somewhere"}, {URL: "127.0.0.1:8080"}, {Target: "a/b"}, {Target: "all"}} {
		if tracker, err := New(options); err == nil {
			tracker.Close()
			t.Errorf("%+v was accepted", options)
		}
	}
}

func TestANilTrackerDoesNothing(t *testing.T) {
	var tracker *Tracker
	tracker.TrackAllocation("a", "b", 1)
	tracker.TrackFree("a", "b", 1)
	tracker.Close()
}

func BenchmarkTrackAllocation(b *testing.B) {
	tracker, err := New(Options{URL: "http://127.0.0.1:1", Target: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer tracker.Close()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		tracker.TrackAllocation("tile", "render", 64)
	}
	runtime.KeepAlive(tracker)
}
