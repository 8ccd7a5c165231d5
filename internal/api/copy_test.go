package api

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// ask asks a copy once.
func (c *Copy) ask(t *testing.T) (m wire.Services, code int) {
	t.Helper()
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", wire.PathServices, nil))
	if w.Code == 200 {
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
	}
	return m, w.Code
}

// follow follows a copy until the test ends.
func (c *Copy) follow(t *testing.T) *reader[wire.Services] {
	ctx, cancel := context.WithCancel(t.Context())
	s := &reader[wire.Services]{t: t, header: map[string][]string{}, messages: make(chan wire.Services, 1000), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		c.ServeHTTP(s, httptest.NewRequestWithContext(ctx, "GET", wire.PathServices+"?follow=true", nil))
	}()
	t.Cleanup(func() { cancel(); <-s.ended })
	return s
}

func TestWhoFollowsACopyThatIsKeptNoLongerIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCopy(here)
		take(t, c, wire.Services{Full: true, Services: []cluster.Service{service("web", 1)}})
		s := c.follow(t)
		s.next()
		c.End()
		synctest.Wait()
		if !s.over() {
			t.Error("the stream goes on")
		}
	})
}

func service(name string, port uint16) cluster.Service {
	return cluster.Service{Name: name, Endpoints: []cluster.Endpoint{{Offer: cluster.Offer{Service: name, Port: port, Healthy: true}}}}
}

func take(t *testing.T, c *Copy, m wire.Services) {
	t.Helper()
	if _, err := c.Take(m, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestACopyIsWhatServersToldAndGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCopy(here)
		if _, code := c.ask(t); code != 503 {
			t.Errorf("of what nobody told it answers with %d", code)
		}
		take(t, c, wire.Services{Revision: 5, Cursor: "x.1", Full: true, Services: []cluster.Service{service("db", 1), service("web", 1)}})
		take(t, c, wire.Services{Revision: 6, Cursor: "x.2", Services: []cluster.Service{service("web", 2)}, Gone: []string{"db"}})
		take(t, c, wire.Services{Revision: 9, Cursor: "x.2", Nodes: []cluster.Whereabouts{{ID: here, Name: "node-1"}, {ID: there, Name: "node-2"}}})
		take(t, c, wire.Services{Revision: 9, Cursor: "x.2", GoneNodes: []cluster.NodeID{here}})
		take(t, c, wire.Services{Revision: 9, Cursor: "x.2"})
		m, _ := c.ask(t)
		if diff := cmp.Diff([]cluster.Service{service("web", 2)}, m.Services); diff != "" || m.Stale || m.Revision != 9 || c.Cursor() != "x.2" {
			t.Errorf("%+v, cursor %s (-want +got):\n%s", m, c.Cursor(), diff)
		}

		if len(m.Nodes) != 1 || m.Nodes[0].ID != there {
			t.Errorf("nodes: %+v", m.Nodes)
		}

		if err := loop.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if m, _ = c.ask(t); !m.Stale || m.Age != 60 || len(m.Services) != 1 {
			t.Errorf("a minute later: %+v", m)
		}
		if err := c.cutOff(); err == nil {
			t.Error("it passes for fresh")
		}
		s := c.follow(t)
		if m := s.next(); !m.Stale || m.Age != 60 || m.Full {
			t.Errorf("what a reader is told first: %+v", m)
		}
		if m := s.next(); !m.Full || len(m.Services) != 1 {
			t.Errorf("and then: %+v", m)
		}

		next := NewCopy(here)
		if err := next.Restore(c.Saved()); err != nil {
			t.Fatal(err)
		}
		if m, _ = next.ask(t); !m.Stale || m.Age != 60 || len(m.Services) != 1 || len(m.Nodes) != 1 {
			t.Errorf("of the next daemon: %+v", m)
		}
		future := c.Saved()
		future.Heard = time.Now().Add(time.Hour) // by a clock that was ahead
		if early := NewCopy(here); early.Restore(future) != nil || early.cutOff() == nil {
			t.Error("of which no server told this daemon, and it passes for fresh")
		}
		take(t, next, wire.Services{Revision: 9, Cursor: "y.1", Stale: true, Age: 30})
		take(t, next, wire.Services{Revision: 9, Cursor: "y.1", Full: true, Services: []cluster.Service{service("web", 2)}})
		if m, _ = next.ask(t); !m.Stale || m.Age != 30 {
			t.Errorf("told by a server that is behind: %+v", m)
		}
	})
}

// Whoever follows a copy misses nothing, however its reading and the changes fall.
func TestACopyIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCopy(here)
		take(t, c, wire.Services{Full: true, Services: []cluster.Service{service("web", 1)}})
		s := c.follow(t)
		seen := NewCopy(there)
		for port := uint16(2); port < 200; port++ {
			take(t, c, wire.Services{Services: []cluster.Service{service("web", port)}})
			if port%7 == 0 {
				synctest.Wait()
			}
		}
		for range 300 {
			take(t, seen, s.next())
			if list := seen.Saved().Services; len(list) == 1 && list[0].Endpoints[0].Port == 199 {
				return
			}
		}
		t.Errorf("the reader was told %+v", seen.Saved())
	})
}

// What comes between a look and the wait that follows it must not be waited for.
func TestWhoLooksAtAFeedAndThenWaitsMissesNothing(t *testing.T) {
	f := newFeed("x")
	over := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	put := func(port uint16) {
		if err := f.put(1, catalog.Catalog{Services: []cluster.Service{service("web", port)}}); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	_, seen, err := f.news(0)
	if err != nil || over(f.past(seen)) {
		t.Errorf("who has seen all does not wait: %v", err)
	}
	waits := f.past(seen)
	put(1)
	if over(waits) {
		t.Error("what changes nothing is news")
	}
	put(2)
	if !over(waits) || !over(f.past(seen)) {
		t.Error("who waits is not told of a change")
	}
}
