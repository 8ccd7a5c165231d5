package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
	"argosy/internal/systemd"
)

// neighbour serves another node's daemon, and makes it the peer of the bench.
func (b *bench) neighbour(answers bool) *bench {
	b.t.Helper()
	other := newBench(b.t)
	socket := filepath.Join(b.t.TempDir(), "s")
	b.server.Peer = func(address netip.AddrPort) *client.Client {
		if address.Addr() != netip.MustParseAddr("10.0.0.2") {
			b.t.Errorf("the peer called is %s", address)
		}
		return client.New(client.Config{Socket: socket})
	}
	if !answers {
		return other
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.t.Fatal(err)
	}
	server := NewHTTPServer(other.server.Local(), b.server.Log)
	go func() { _ = server.Serve(l) }()
	b.t.Cleanup(func() { _ = server.Close() })
	return other
}

// runs has a node's systemd run a unit that says something.
func (b *bench) runs(name cluster.UnitName) {
	b.t.Helper()
	if err := b.journal.Write(b.t.Context(), name, "[Service]\nExecStart=/bin/echo hello from there\n"); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.journal.Run(b.t.Context(), systemd.Start, name); err != nil {
		b.t.Fatal(err)
	}
}

func journalOf(b *bench, query string) (lines []string, problem *wire.Problem, status int) {
	s := open[wire.LogLine](b, localRoot(), "/v1/units/a.service/journal"+query)
	<-s.ended
	close(s.messages)
	for m := range s.messages {
		if m.Error != nil {
			problem = m.Error
		} else if !m.Alive {
			lines = append(lines, m.Line+string(m.Bytes))
		}
	}
	return lines, problem, s.status
}

func TestAJournalIsReadWhereTheUnitIs(t *testing.T) {
	b := newBench(t)
	other := b.neighbour(true)
	other.runs("a.service")
	b.put(placed("a.service", hello)...)
	lines, problem, _ := journalOf(b, "?lines=100")
	if problem != nil || !strings.Contains(strings.Join(lines, "\n"), "hello from there") {
		t.Errorf("%+v %q", problem, lines)
	}
	for form, want := range map[string]string{"json": `{"MESSAGE":"hello from there"}`, "export": "MESSAGE=hello from there\n\n"} {
		if lines, problem, _ := journalOf(b, "?output="+form); problem != nil || !slices.Contains(lines, want) {
			t.Errorf("as %s: %+v %q", form, problem, lines)
		}
	}
	// A unit that is not placed any more is read where it was last seen.
	b.put(store.Delete(store.PlacementKey("a.service")), store.PutStatus(cluster.Status{Node: there, Unit: "a.service", UID: "u-a.service"}))
	if lines, problem, _ := journalOf(b, ""); problem != nil || len(lines) == 0 {
		t.Errorf("after it was unloaded: %+v %q", problem, lines)
	}
}

func TestWhyThereIsNoJournal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(b *bench)
		query   string
		status  int
		says    string
	}{
		{"there is no such unit", func(*bench) {}, "", http.StatusNotFound, ""},
		{"it is on no node", func(b *bench) { b.put(placed("a.service", hello)[0]) }, "", http.StatusNotFound, ""},
		{"it is on two nodes, and none is named", func(b *bench) {
			ops := placed("a.service", hello)
			ops[1] = store.PutPlacement(cluster.Placement{Unit: "a.service", UID: "u-a.service", Epoch: 1, Nodes: []cluster.NodeID{here, there}, Global: true, Reason: "test"})
			b.put(ops...)
		}, "", http.StatusBadRequest, ""},
		{"the node named is none", func(b *bench) { b.put(placed("a.service", hello)...) }, "?node=33333333333333333333333333333333", http.StatusNotFound, ""},
		{"too many lines are wanted", func(b *bench) { b.put(placed("a.service", hello)...) }, "?lines=1000000", http.StatusBadRequest, ""},
		{"a form is wanted that there is not", func(b *bench) { b.put(placed("a.service", hello)...) }, "?output=html", http.StatusBadRequest, ""},
		{"lines are no number", func(b *bench) { b.put(placed("a.service", hello)...) }, "?lines=many", http.StatusBadRequest, ""},
		{"its node does not answer", func(b *bench) { b.neighbour(false); b.put(placed("a.service", hello)...) }, "", http.StatusOK, "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			tt.prepare(b)
			lines, problem, status := journalOf(b, tt.query)
			if status != tt.status || tt.says != "" && (problem == nil || !strings.Contains(problem.Detail, tt.says)) {
				t.Errorf("status %d, problem %+v, lines %q", status, problem, lines)
			}
		})
	}
}

// oneConn is a listener of a single connection, for a bubble of simulated time.
type oneConn struct {
	net.Conn
	taken atomic.Bool
	ended chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.taken.CompareAndSwap(false, true) {
		return l.Conn, nil
	}
	<-l.ended
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.ended); return nil }
func (l *oneConn) Addr() net.Addr { return l.LocalAddr() }

// Whoever follows a journal hangs up after 20 s of silence: a unit that says
// nothing must not look like a connection that broke, wherever the unit is.
func TestAQuietJournalOfAnotherNodeShowsThatItLives(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		near, far := net.Pipe()
		b.server.Peer = func(netip.AddrPort) *client.Client {
			return client.New(client.Config{Socket: "a pipe", Dial: func(context.Context, string) (net.Conn, error) { return near, nil }})
		}
		other := newBench(t)
		server := NewHTTPServer(other.server.Local(), b.server.Log)
		t.Cleanup(func() { _ = server.Close() })
		go func() { _ = server.Serve(&oneConn{Conn: far, ended: make(chan struct{})}) }()
		b.put(placed("a.service", hello)...)
		s := open[wire.LogLine](b, localRoot(), "/v1/units/a.service/journal?follow=true")
		b.pass(time.Minute)
		synctest.Wait()
		if n := len(s.messages); n < 8 {
			t.Errorf("%d signs of life in a minute", n)
		}
		other.runs("a.service")
		for m := s.next(); !strings.Contains(m.Line, "hello from there"); m = s.next() {
			if m.Error != nil {
				t.Fatalf("the stream says %+v", m.Error)
			}
		}
	})
}
