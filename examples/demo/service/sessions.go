package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// pageBytes is the size of the rendered start page that each session keeps.
const pageBytes = 64 << 10

type session struct {
	id      string
	visitor string
	started time.Time
	expires time.Time // zero: never
	page    []byte    // the visitor's rendered start page
}

// sessionStore remembers who is logged in.  The bug to be found: remember never sets expires,
// so the janitor below keeps every session for ever, and each one holds a 64 KiB page.
type sessionStore struct {
	mu   sync.Mutex
	next int
	byID map[string]*session
}

func newSessionStore() *sessionStore {
	return &sessionStore{byID: make(map[string]*session)}
}

func (store *sessionStore) remember(visitor string) *session {
	store.mu.Lock()
	defer store.mu.Unlock()
	store.next++
	s := &session{
		id:      "session-" + strconv.Itoa(store.next),
		visitor: visitor,
		started: time.Now(),
		page:    make([]byte, pageBytes),
	}
	copy(s.page, "<h1>Welcome back, "+visitor+"</h1>")
	store.byID[s.id] = s
	return s
}

// expireEvery is the janitor: it drops the sessions whose time has come.
func (store *sessionStore) expireEvery(interval time.Duration) {
	for now := range time.Tick(interval) {
		store.mu.Lock()
		for id, s := range store.byID {
			if !s.expires.IsZero() && now.After(s.expires) {
				delete(store.byID, id)
			}
		}
		store.mu.Unlock()
	}
}

func (store *sessionStore) count() int {
	store.mu.Lock()
	defer store.mu.Unlock()
	return len(store.byID)
}

func (s *shop) handleLogin(w http.ResponseWriter, r *http.Request) {
	visitor := r.URL.Query().Get("visitor")
	if visitor == "" {
		visitor = "guest"
	}
	session := s.sessions.remember(visitor)
	fmt.Fprintf(w, "%s: welcome, %s; %d sessions open\n", session.id, visitor, s.sessions.count())
}
