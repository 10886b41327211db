// Package goprofd tells goprofd of allocations that only the program itself knows: an arena, memory behind cgo, a cache whose entries have
// owners. What Go allocates needs none of this: goprofd reads it from outside.
//
//	tracker, err := goprofd.New(goprofd.Options{Target: "shop"})
//	tracker.TrackAllocation("tile", "render", int64(len(tile)))
//	tracker.TrackFree("tile", "render", int64(len(tile)))
//	tracker.Close()
//
// Tracking adds to a counter and never waits for the network. A background goroutine sends what changed once a second; while goprofd cannot be
// reached the counts stay here, which takes no more memory than the types and tags there are. The protocol is docs/track.md.
package goprofd

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	groupsMax    = 2048 // types and tags; what is more is counted as "other"
	textMaxBytes = 256
	textsMax     = 512 << 10 // bytes of all types and tags: goprofd takes no body larger than 1 MiB
	numberMax    = 1 << 48   // of one number of a record
	heartbeat    = 10 * time.Second
)

// Options say where goprofd is and who is tracking. All may be left at their zero values.
type Options struct {
	URL      string        // "http://127.0.0.1:8080" (the default) or "unix:/run/goprofd.sock"
	Target   string        // what goprofd calls the program; the default is the base name of the executable
	Token    string        // sent as "Authorization: Bearer TOKEN" if not empty
	Interval time.Duration // between two batches; the default is 1 s
	OnError  func(error)   // told of each batch that could not be sent, from the background goroutine; it is sent again
}

type key struct{ typ, tag string }

// As much as can become of it in a batch.
func (k key) bytes() int {
	bytes := 0
	for _, text := range []string{k.typ, k.tag} {
		if len(text) > textMaxBytes {
			text = text[:textMaxBytes]
		}
		bytes += len(text)
	}
	return bytes
}

type counts struct {
	allocObjects, allocBytes, freeObjects, freeBytes uint64
}

func (c *counts) add(more counts) {
	c.allocObjects += more.allocObjects
	c.allocBytes += more.allocBytes
	c.freeObjects += more.freeObjects
	c.freeBytes += more.freeBytes
}

// The server takes no larger numbers. What is too much was allocated and freed long ago: without it as much is held.
func fit(allocated, freed uint64) (uint64, uint64) {
	if allocated > numberMax {
		excess := allocated - numberMax
		allocated = numberMax
		if freed < excess {
			excess = freed
		}
		freed -= excess
	}
	if freed > numberMax {
		freed = numberMax
	}
	return allocated, freed
}

// Tracker counts and sends. All its methods may be called from any goroutine, also on a nil *Tracker, where they do nothing.
type Tracker struct {
	options  Options
	endpoint string
	client   *http.Client
	instance uint64
	stop     chan struct{}
	done     chan struct{}
	once     sync.Once

	mu     sync.Mutex
	groups map[key]*counts // since the last batch
}

// New starts a tracker. It fails only if the options make no sense; that goprofd is not there is no error.
func New(options Options) (*Tracker, error) {
	if options.URL == "" {
		options.URL = "http://127.0.0.1:8080"
	}
	if options.Target == "" {
		options.Target = safeName(filepath.Base(os.Args[0]))
	}
	if options.Interval <= 0 {
		options.Interval = time.Second
	}
	if options.Target != safeName(options.Target) {
		return nil, fmt.Errorf("goprofd: target %q: letters, digits, '.', '_' and '-' only, at most 100", options.Target)
	}
	var random [8]byte
	if _, err := crand.Read(random[:]); err != nil {
		return nil, err
	}
	t := &Tracker{
		options:  options,
		client:   &http.Client{Timeout: 10 * time.Second},
		instance: binary.LittleEndian.Uint64(random[:]) | 1,
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
		groups:   make(map[key]*counts),
	}
	if path := strings.TrimPrefix(options.URL, "unix:"); path != options.URL {
		t.endpoint = "http://goprofd/v1/track"
		t.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	} else {
		address, err := url.Parse(options.URL)
		if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") {
			return nil, fmt.Errorf("goprofd: URL %q: allowed: http://HOST:PORT, https://HOST:PORT or unix:/PATH", options.URL)
		}
		t.endpoint = strings.TrimSuffix(options.URL, "/") + "/v1/track"
	}
	go t.run()
	return t, nil
}

func safeName(name string) string {
	safe := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}
	name = strings.TrimLeft(strings.Map(safe, name), ".")
	if len(name) > 100 {
		name = name[:100]
	}
	if name == "" || name == "all" {
		return "x" + name
	}
	return name
}

// TrackAllocation counts one object of size bytes. The tag says on whose behalf: a route, a job, a cache.
func (t *Tracker) TrackAllocation(typ, tag string, size int64) {
	if t == nil || size < 0 {
		return
	}
	t.mu.Lock()
	group := t.group(typ, tag)
	group.allocObjects++
	group.allocBytes += uint64(size)
	t.mu.Unlock()
}

// TrackFree counts one object that was tracked and is gone, under the same type and tag, of the same size.
func (t *Tracker) TrackFree(typ, tag string, size int64) {
	if t == nil || size < 0 {
		return
	}
	t.mu.Lock()
	group := t.group(typ, tag)
	group.freeObjects++
	group.freeBytes += uint64(size)
	t.mu.Unlock()
}

// With the lock held.
func (t *Tracker) group(typ, tag string) *counts {
	name := key{typ, tag}
	group := t.groups[name]
	if group != nil {
		return group
	}
	if len(t.groups) >= groupsMax {
		name = key{"other", "other"}
		if group = t.groups[name]; group != nil {
			return group
		}
	}
	group = new(counts)
	t.groups[name] = group
	return group
}

// Close sends what is left, waiting at most a few seconds, and ends the background goroutine.
func (t *Tracker) Close() {
	if t == nil {
		return
	}
	t.once.Do(func() { close(t.stop) })
	<-t.done
}

// A batch that was not acknowledged is sent again as it is: its number keeps goprofd from counting it twice.
type batch struct {
	body []byte
}

// The background goroutine's alone.
type sender struct {
	*Tracker
	waiting  *batch
	sequence uint64
	sent     time.Time
	totals   map[key]counts // of all that was ever put into a batch: goprofd may be started anew and ask
	texts    int            // bytes of their types and tags
}

func (t *Tracker) run() {
	defer close(t.done)
	ticker := time.NewTicker(t.options.Interval)
	defer ticker.Stop()
	s := &sender{Tracker: t, totals: make(map[key]counts)}
	for {
		select {
		case <-ticker.C:
			s.flush()
		case <-t.stop:
			s.flush()
			if s.waiting == nil {
				s.flush() // what was tracked while an older batch waited
			}
			return
		}
	}
}

func (s *sender) flush() {
	if s.waiting == nil {
		groups := s.take()
		if len(groups) == 0 && time.Since(s.sent) < heartbeat {
			return
		}
		records := make(map[key]counts, len(groups))
		for name, group := range groups {
			if _, known := s.totals[name]; !known {
				if len(s.totals) >= groupsMax || s.texts+name.bytes() > textsMax-2*textMaxBytes {
					name = key{"other", "other"}
				}
				if _, known := s.totals[name]; !known {
					s.texts += name.bytes()
				}
			}
			record := records[name]
			record.add(*group)
			records[name] = record
			total := s.totals[name]
			total.add(*group)
			s.totals[name] = total
		}
		s.sequence++
		s.waiting = &batch{body: s.encode(s.sequence, false, records)}
	}
	err := s.send(s.waiting.body)
	if errors.Is(err, errUnknown) {
		s.sequence++
		s.waiting = &batch{body: s.encode(s.sequence, true, s.totals)}
		err = s.send(s.waiting.body)
	}
	if err == nil {
		s.waiting, s.sent = nil, time.Now()
		return
	}
	if errors.As(err, new(refused)) {
		s.waiting = nil // it would be refused again
	}
	s.report(err)
}

func (t *Tracker) report(err error) {
	if t.options.OnError != nil {
		t.options.OnError(err)
	}
}

func (t *Tracker) take() map[key]*counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	groups := t.groups
	if len(groups) > 0 {
		t.groups = make(map[key]*counts, len(groups))
	}
	return groups
}

// goprofd was started since the batches before, and wants to know what they said.
var errUnknown = errors.New("goprofd: it wants totals")

// The server does not want the batch, and will not want it later either.
type refused struct{ reason string }

func (r refused) Error() string { return r.reason }

func (t *Tracker) send(body []byte) error {
	request, err := http.NewRequest(http.MethodPost, t.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/msgpack")
	if t.options.Token != "" {
		request.Header.Set("Authorization", "Bearer "+t.options.Token)
	}
	answer, err := t.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	if answer.StatusCode == http.StatusPreconditionFailed {
		return errUnknown
	}
	err = fmt.Errorf("goprofd: %s: %s", answer.Status, bytes.TrimSpace(text))
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return refused{err.Error()}
	}
	return err
}

// ---- msgpack, https://github.com/msgpack/msgpack/blob/master/spec.md ----

func (t *Tracker) encode(sequence uint64, totals bool, groups map[key]counts) []byte {
	out := []byte{0x85}
	out = putText(out, "target")
	out = putText(out, t.options.Target)
	out = putText(out, "instance")
	out = putUint(out, t.instance)
	out = putText(out, "sequence")
	out = putUint(out, sequence)
	out = putText(out, "totals")
	if totals {
		out = append(out, 0xc3)
	} else {
		out = append(out, 0xc2)
	}
	out = putText(out, "records")
	out = append(out, 0xdd)
	out = binary.BigEndian.AppendUint32(out, uint32(len(groups)))
	for name, group := range groups {
		out = append(out, 0x96)
		out = putText(out, plain(name.typ))
		out = putText(out, plain(name.tag))
		allocObjects, freeObjects := fit(group.allocObjects, group.freeObjects)
		allocBytes, freeBytes := fit(group.allocBytes, group.freeBytes)
		out = putUint(out, allocObjects)
		out = putUint(out, allocBytes)
		out = putUint(out, freeObjects)
		out = putUint(out, freeBytes)
	}
	return out
}

// What the server takes: UTF-8 without control characters, not empty, at most 256 bytes.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	if len(text) > textMaxBytes {
		text = strings.ToValidUTF8(text[:textMaxBytes], "")
	}
	if text == "" {
		return "unknown"
	}
	return text
}

func putText(out []byte, text string) []byte {
	out = append(out, 0xda)
	out = binary.BigEndian.AppendUint16(out, uint16(len(text)))
	return append(out, text...)
}

func putUint(out []byte, value uint64) []byte {
	out = append(out, 0xcf)
	return binary.BigEndian.AppendUint64(out, value)
}
