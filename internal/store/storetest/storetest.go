// Package storetest says what every store.Store does. Both implementations
// pass it, and Differential runs the same random operations on two of them.
//
// The cases use folders of their own and no absolute revision, so that one
// server can serve them all, one after the other.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// patience is how long a case waits for what must come. It is no measure of
// speed: real servers share a machine with other tests.
const patience = 30 * time.Second

// Case is one promise of a store.
type Case struct {
	Name string
	Run  func(t *testing.T, s store.Store)
}

// Cases returns all promises, for runners that wrap each in something, such as
// a synctest bubble.
func Cases() []Case {
	return slices.Concat(commitCases(), watchCases(), largeCases())
}

// Run checks all promises as subtests, on stores that open returns. They may
// be the same store each time; nothing else may write to it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open(t)) })
	}
}

// folder is a store as seen by one case: every key lies in a folder that no
// other case uses.
type folder struct {
	t      *testing.T
	s      store.Store
	ctx    context.Context
	prefix string
}

func newFolder(t *testing.T, s store.Store) folder {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	_, rev, err := s.List(ctx, "/storetest/none/")
	if err != nil {
		t.Fatalf("the store does not answer: %v", err)
	}
	return folder{t, s, ctx, fmt.Sprintf("/storetest/%s/%d/", t.Name(), rev)}
}

func (f folder) key(name string) string { return f.prefix + name }

func (f folder) put(name, value string) store.Op { return store.Put(f.key(name), []byte(value)) }

func (f folder) del(name string) store.Op { return store.Delete(f.key(name)) }

// commit commits writes that must succeed and returns their revision.
func (f folder) commit(ops ...store.Op) cluster.Revision {
	f.t.Helper()
	rev, ok, err := f.s.Commit(f.ctx, store.Txn{Then: ops})
	if err != nil || !ok {
		f.t.Fatalf("a commit without guards: ok %v, %v", ok, err)
	}
	return rev
}

// try commits a guarded transaction that may be refused by its guards.
func (f folder) try(txn store.Txn) (cluster.Revision, bool) {
	f.t.Helper()
	rev, ok, err := f.s.Commit(f.ctx, txn)
	if err != nil {
		f.t.Fatalf("a guarded commit: %v", err)
	}
	return rev, ok
}

func (f folder) list() ([]store.Item, cluster.Revision) {
	f.t.Helper()
	items, rev, err := f.s.List(f.ctx, f.prefix)
	if err != nil {
		f.t.Fatalf("list: %v", err)
	}
	return items, rev
}

// get returns one item; one without a key does not exist.
func (f folder) get(name string) store.Item {
	f.t.Helper()
	items, _ := f.list()
	for _, item := range items {
		if item.Key == f.key(name) {
			return item
		}
	}
	return store.Item{}
}

// refused demands an error of a kind.
func refused(t *testing.T, what string, err error, kind cluster.Kind) {
	t.Helper()
	if cluster.KindOf(err) != kind {
		t.Errorf("%s: got %v, want an error of kind %s", what, err, kind)
	}
}

// stream is a watch that checks the form of what it delivers.
type stream struct {
	t    *testing.T
	w    store.Watch
	last cluster.Revision
	ctx  context.Context
}

func (f folder) watch(after cluster.Revision) *stream {
	f.t.Helper()
	return &stream{f.t, f.s.Watch(f.ctx, f.prefix, after), after, f.ctx}
}

// next returns the next batch; ok is false when the watch has ended.
func (s *stream) next() (batch store.Batch, ok bool) {
	s.t.Helper()
	select {
	case batch, ok = <-s.w.C():
	case <-s.ctx.Done():
		s.t.Fatal("the watch delivered nothing")
	}
	if !ok {
		return batch, false
	}
	if batch.Revision < s.last {
		s.t.Errorf("a watch at revision %d went back to %d", s.last, batch.Revision)
	}
	seen := s.last
	for _, e := range batch.Events {
		if e.Changed <= s.last || e.Changed < seen || e.Changed > batch.Revision {
			s.t.Errorf("an event of revision %d in the batch of revisions %d to %d, after one of %d", e.Changed, s.last+1, batch.Revision, seen)
		}
		seen = e.Changed
	}
	s.last = batch.Revision
	return batch, true
}

// until returns all events up to a revision.
func (s *stream) until(rev cluster.Revision) []store.Event {
	s.t.Helper()
	var events []store.Event
	for s.last < rev {
		batch, ok := s.next()
		if !ok {
			s.t.Fatalf("the watch ended before revision %d: %v", rev, s.w.Err())
		}
		events = append(events, batch.Events...)
	}
	return events
}

// compacted demands that the watch ends because its history is gone.
func (s *stream) compacted() {
	s.t.Helper()
	if batch, ok := s.next(); ok {
		s.t.Errorf("a watch of forgotten history delivered %+v", batch)
		return
	}
	if !errors.Is(s.w.Err(), store.ErrCompacted) {
		s.t.Errorf("a watch of forgotten history ended with %v, want ErrCompacted", s.w.Err())
	}
}
