package api

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/events/ring"
	"argosy/internal/pki"
)

// happen makes an event of a unit, at a revision, seen now.
func (b *bench) happen(rev cluster.Revision, kind cluster.EventKind, unit cluster.UnitName) {
	b.server.Events.Append([]cluster.Event{{
		ID: fmt.Sprintf("%d.%s.%s", rev, kind, unit), Time: time.Now(), Revision: rev, Kind: kind, Unit: unit,
		Node: there, NodeName: "node-2", Text: fmt.Sprintf("%s %s", unit, kind),
	}}, rev)
}

// eventsOf reads what a request for events gets, until its stream pauses.
func eventsOf(b *bench, query string) (texts []string, last wire.EventMessage, s *reader[wire.EventMessage]) {
	b.t.Helper()
	s = open[wire.EventMessage](b, localRoot(), wire.PathEvents+query)
	synctest.Wait()
	texts = []string{}
	for len(s.messages) > 0 {
		if last = <-s.messages; last.Event != nil {
			texts = append(texts, last.Event.Text)
		}
	}
	return texts, last, s
}

func TestEventsAreThoseThatAreAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(placed("idle.service", hello)...)
		b.happen(10, cluster.EventUnitActive, "web@1.service")
		b.pass(2 * time.Hour)
		b.happen(11, cluster.EventUnitFailed, "web@1.service")
		b.happen(11, cluster.EventUnitActive, "db.service")
		for _, tt := range []struct {
			query string
			want  []string
		}{
			{"", []string{"web@1.service unit-active", "web@1.service unit-failed", "db.service unit-active"}},
			{"?since=1h", []string{"web@1.service unit-failed", "db.service unit-active"}},
			{"?after=10", []string{"web@1.service unit-failed", "db.service unit-active"}},
			{"?unit=db", []string{"db.service unit-active"}},
			{"?name=" + url.QueryEscape("web@*") + "&since=3h", []string{"web@1.service unit-active", "web@1.service unit-failed"}},
			{"?node=node-2&unit=db&after=10", []string{"web@1.service unit-failed", "db.service unit-active"}},
			{"?node=node-1", []string{}},
			{"?name=idle", []string{}},
			{"?follow=false&after=11", []string{}},
		} {
			texts, last, s := eventsOf(b, tt.query)
			if diff := cmp.Diff(tt.want, texts); diff != "" {
				t.Errorf("%q:\n%s", tt.query, diff)
			}
			if !s.over() || last.Revision != 11 {
				t.Errorf("%q: over: %v, last message %+v", tt.query, s.over(), last)
			}
		}
	})
}

func TestBadRequestsForEventsAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		for query, want := range map[string]int{
			"?since=yesterday": http.StatusBadRequest, "?since=-1h": http.StatusBadRequest, "?after=x": http.StatusBadRequest,
			"?follow=perhaps": http.StatusBadRequest,
			"?name=typo":      http.StatusNotFound, "?unit=node-1": http.StatusNotFound, "?node=idle.service": http.StatusNotFound,
			"?name=typo&after=3": http.StatusOK, // who goes on was told before
		} {
			if _, _, s := eventsOf(b, query); s.status != want {
				t.Errorf("%s: %d, want %d", query, s.status, want)
			}
		}
		worker := open[wire.EventMessage](b, pki.Caller{Kind: pki.Node, Node: there}, wire.PathEvents)
		synctest.Wait()
		if worker.status != http.StatusForbidden {
			t.Errorf("a node reads what happened elsewhere: %d", worker.status)
		}
	})
}

func TestAFollowedStreamTellsWhatComesAndThatItLives(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.happen(10, cluster.EventUnitActive, "web.service")
		texts, _, s := eventsOf(b, "?follow=true&name=web")
		if len(texts) != 1 || s.over() {
			t.Errorf("%q, over: %v", texts, s.over())
		}
		b.happen(11, cluster.EventUnitFailed, "web.service")
		// All of revision 11 was not told yet: more of it may follow.
		if m := s.next(); m.Event == nil || m.Event.Kind != cluster.EventUnitFailed || m.Revision != 10 {
			t.Errorf("%+v", m)
		}
		b.pass(30 * time.Second)
		if n := len(s.messages); n < 4 || n > 8 {
			t.Errorf("%d signs of life in 30 s", n)
		}
		// What is not asked for is no sign of life, and must not keep it back.
		for range 30 {
			b.pass(time.Second)
			b.happen(b.server.Events.Read(0).Revision+1, cluster.EventUnitActive, "other.service")
		}
		if n := len(s.messages); n < 8 || n > 16 {
			t.Errorf("%d signs of life in 60 s", n)
		}
		b.server.Events.Close()
		b.pass(time.Millisecond)
		if !s.over() {
			t.Error("a server that is none any more must end its streams")
		}
		if _, _, again := eventsOf(b, "?follow=true"); again.status != http.StatusServiceUnavailable {
			t.Errorf("and begin no new ones: %d", again.status)
		}
	})
}

func TestTheStatusPageSaysThatEventsAreNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Events = ring.New(ring.Config{Dir: t.TempDir()}, ring.Deps{
			Log:    slog.New(slog.DiscardHandler),
			Append: func(string) (io.WriteCloser, error) { return nil, errors.New("no space left on device") },
		})
		problems := func() string {
			var page wire.Status
			if problem := b.call("GET", wire.PathStatus, nil, &page); problem != nil {
				t.Fatalf("%+v", problem)
			}
			return strings.Join(page.Problems, "\n")
		}
		if text := problems(); strings.Contains(text, "events") {
			t.Error(text)
		}
		b.happen(10, cluster.EventUnitActive, "web.service")
		if text := problems(); !strings.Contains(text, "events are not kept on disk: no space left on device") {
			t.Error(text)
		}
		if texts, _, _ := eventsOf(b, ""); len(texts) != 1 {
			t.Errorf("%q", texts)
		}
	})
}
