package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/events/ring"
	"argosy/internal/loop"
	"argosy/internal/mirror"
	"argosy/internal/pki"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
	"argosy/internal/systemd/systemdtest"
)

// The nodes of the bench: the server itself, and a worker.
const (
	here  cluster.NodeID = "11111111111111111111111111111111"
	there cluster.NodeID = "22222222222222222222222222222222"
)

// bench is a server's API over a store and a mirror in memory.
type bench struct {
	t       *testing.T
	server  *Server
	store   *memstore.Client // not through the line
	line    *memstore.Partition
	journal *systemdtest.Fake
}

func newBench(t *testing.T) *bench {
	t.Helper()
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	db := memstore.New()
	b := &bench{t: t, store: db.Client(), line: &memstore.Partition{}, journal: systemdtest.NewFake()}
	line := db.ClientWith(b.line.Fault)
	log := slog.New(slog.DiscardHandler)
	m := mirror.New(line, log)
	b.server = NewServer(Deps{
		Store: line, Mirror: m, Health: func(cluster.NodeID) cluster.Health { return cluster.Ready },
		Authority: authority, CertLife: time.Hour, Self: here, Journal: b.journal, Log: log,
		Events: ring.New(ring.Config{}, ring.Deps{Log: log}),
		Voters: func(context.Context) ([]wire.Voter, int64, error) { return nil, 0, nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	b.put(
		store.PutCluster(cluster.Cluster{ID: authority.ID(), Timings: cluster.DefaultTimings()}),
		store.PutNode(cluster.Node{ID: here, Name: "node-1", Key: "key-1"}),
		store.PutReport(cluster.Report{Node: here, Address: netip.MustParseAddr("10.0.0.1")}),
		store.PutMember(cluster.Member{Node: here, MemberID: 1, State: cluster.MemberVoter}),
		store.PutNode(cluster.Node{ID: there, Name: "node-2", Key: "key-2"}),
		store.PutReport(cluster.Report{Node: there, Address: netip.MustParseAddr("10.0.0.2")}))
	return b
}

// put writes records behind the API's back and waits until the mirror has them.
func (b *bench) put(ops ...store.Op) cluster.Revision {
	b.t.Helper()
	rev, ok, err := b.store.Commit(b.t.Context(), store.Txn{Then: ops})
	if err != nil || !ok {
		b.t.Fatalf("commit: %v %v", ok, err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	if _, err := b.server.Mirror.WaitFor(ctx, rev); err != nil {
		b.t.Fatalf("the mirror: %v", err)
	}
	return rev
}

func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	if err := loop.Sleep(b.t.Context(), d); err != nil {
		b.t.Fatal(err)
	}
}

// call makes a request as an operator, reads the answer into out, and returns
// the problem if it is refused.
func (b *bench) call(method, path string, in, out any) *wire.Problem {
	b.t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.server.Local().ServeHTTP(w, r)
	if w.Code >= 300 {
		var p wire.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
			b.t.Fatalf("%s %s: %d without a problem: %s", method, path, w.Code, w.Body)
		}
		return &p
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			b.t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	return nil
}

// units returns what is stored, by name.
func (b *bench) units() map[cluster.UnitName]cluster.Unit {
	all := map[cluster.UnitName]cluster.Unit{}
	for _, u := range b.server.Mirror.State().Units {
		all[u.Name] = u
	}
	return all
}

// reader reads a stream of messages, as a client would.
type reader[T any] struct {
	t        *testing.T
	header   http.Header
	messages chan T
	status   int
	cancel   context.CancelFunc
	ended    chan struct{}
	line     bytes.Buffer
}

// open opens a stream as a caller.
func open[T any](b *bench, caller pki.Caller, path string) *reader[T] {
	ctx, cancel := context.WithCancel(withCaller(b.t.Context(), caller))
	s := &reader[T]{t: b.t, header: http.Header{}, messages: make(chan T, 1000), cancel: cancel, ended: make(chan struct{}), status: http.StatusOK}
	handler := b.server.routes()
	go func() {
		defer close(s.ended)
		handler.ServeHTTP(s, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	}()
	b.t.Cleanup(func() { cancel(); <-s.ended })
	return s
}

func (s *reader[T]) Header() http.Header    { return s.header }
func (s *reader[T]) WriteHeader(status int) { s.status = status }
func (s *reader[T]) Flush()                 {}

func (s *reader[T]) Write(p []byte) (int, error) {
	s.line.Write(p)
	for {
		line, err := s.line.ReadBytes('\n')
		if err != nil {
			s.line.Write(line)
			return len(p), nil
		}
		var message T
		if err := json.Unmarshal(line, &message); err != nil {
			s.t.Errorf("a line of the stream: %v: %s", err, line)
		}
		s.messages <- message
	}
}

// next returns the next message, or fails after a minute.
func (s *reader[T]) next() T {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	select {
	case m := <-s.messages:
		return m
	case <-s.ended:
		s.t.Fatal("the stream ended")
	case <-ctx.Done():
		s.t.Fatal("the stream is silent")
	}
	panic("unreachable")
}

// over reports whether the stream has ended.
func (s *reader[T]) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}
