// Package memspace is the key space in memory, for tests: leases end when a test says
// so, and everything else is as etcd has it.
package memspace

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// Space is a key space in memory.
type Space struct {
	mu      sync.Mutex
	rev     cluster.Revision
	items   map[string]keyspace.Item
	leases  map[keyspace.Lease]*lease
	next    keyspace.Lease
	history []keyspace.Batch
	kept    cluster.Revision // the history begins behind it
	changed chan struct{}    // closed and replaced by every change
}

type lease struct{ granted, passed time.Duration }

var _ keyspace.Space = (*Space)(nil)

// New makes an empty one.
func New() *Space {
	return &Space{rev: 1, items: map[string]keyspace.Item{}, leases: map[keyspace.Lease]*lease{}, next: 1, changed: make(chan struct{})}
}

// Read implements keyspace.Space.
func (s *Space) Read(_ context.Context, queries ...keyspace.Query) ([]keyspace.Answer, cluster.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answers []keyspace.Answer
	for _, q := range queries {
		found := s.find(q.Span)
		a := keyspace.Answer{Count: int64(len(found)), Items: found}
		if q.Limit > 0 && int64(len(found)) > q.Limit {
			a.Items = found[:q.Limit]
		}
		for i := range a.Items {
			if q.KeysOnly {
				a.Items[i].Value = nil
			}
		}
		answers = append(answers, a)
	}
	return answers, s.rev, nil
}

func (s *Space) find(span keyspace.Span) []keyspace.Item {
	var found []keyspace.Item
	for _, key := range slices.Sorted(maps.Keys(s.items)) {
		if span.Holds(key) {
			found = append(found, s.items[key])
		}
	}
	return found
}

// Commit implements keyspace.Space.
func (s *Space) Commit(_ context.Context, txn keyspace.Txn) (cluster.Revision, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if max(len(txn.If), len(txn.Then)) > keyspace.OpsMax {
		return 0, false, cluster.Errorf(cluster.Invalid, "key space: too many operations")
	}
	for _, op := range txn.Then {
		if _, there := s.leases[op.Lease]; op.Lease != 0 && !there {
			return 0, false, cluster.Errorf(cluster.NotFound, "key space: there is no lease %x", op.Lease)
		}
	}
	for _, c := range txn.If {
		if !s.holds(c) {
			return s.rev, false, nil
		}
	}
	var events []keyspace.Event
	for _, op := range txn.Then {
		events = append(events, s.apply(op, s.rev+1)...)
	}
	s.tell(events)
	return s.rev, true, nil
}

// holds reports whether a guard does.
func (s *Space) holds(c keyspace.Cond) bool {
	found := s.find(c.Span)
	if len(found) == 0 {
		found = []keyspace.Item{{}}
		if c.Test == keyspace.ValueIs {
			return false
		}
	}
	for _, item := range found {
		if !map[keyspace.Test]bool{
			keyspace.Absent:         item.Created == 0,
			keyspace.ChangedAt:      item.Changed == c.Revision,
			keyspace.UnchangedSince: item.Changed <= c.Revision,
			keyspace.ValueIs:        string(item.Value) == string(c.Value),
		}[c.Test] {
			return false
		}
	}
	return true
}

func (s *Space) apply(op keyspace.Op, rev cluster.Revision) (events []keyspace.Event) {
	if op.Delete {
		for _, item := range s.find(op.Span) {
			delete(s.items, item.Key)
			events = append(events, keyspace.Event{Item: keyspace.Item{Key: item.Key, Changed: rev}, Deleted: true, Before: &item})
		}
		return events
	}
	e := keyspace.Event{Item: keyspace.Item{Key: op.Key, Value: op.Value, Created: rev, Changed: rev, Version: 1, Lease: op.Lease}}
	if before, there := s.items[op.Key]; there {
		e.Before, e.Created, e.Version = &before, before.Created, before.Version+1
	}
	s.items[op.Key] = e.Item
	return []keyspace.Event{e}
}

// tell notes what happened at the next revision, if anything did.
func (s *Space) tell(events []keyspace.Event) {
	if len(events) == 0 {
		return
	}
	s.rev++
	s.history = append(s.history, keyspace.Batch{Revision: s.rev, Events: events})
	close(s.changed)
	s.changed = make(chan struct{})
}

// Watch implements keyspace.Space.
func (s *Space) Watch(ctx context.Context, span keyspace.Span, after cluster.Revision, each func(keyspace.Batch) error) error {
	s.mu.Lock()
	now, kept := s.rev, s.kept
	s.mu.Unlock()
	if after == 0 {
		after = now
	} else if after < kept {
		return keyspace.ErrCompacted
	}
	if err := each(keyspace.Batch{Revision: now}); err != nil {
		return err
	}
	for {
		s.mu.Lock()
		news, changed := slices.Clone(s.history), s.changed
		s.mu.Unlock()
		for _, batch := range news {
			if batch.Revision <= after {
				continue
			}
			after = batch.Revision
			batch.Events = slices.DeleteFunc(slices.Clone(batch.Events), func(e keyspace.Event) bool { return !span.Holds(e.Key) })
			if len(batch.Events) > 0 {
				if err := each(batch); err != nil {
					return err
				}
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Grant implements keyspace.Space.
func (s *Space) Grant(_ context.Context, id keyspace.Lease, ttl time.Duration) (keyspace.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 {
		id = s.next
		s.next++
	}
	if s.leases[id] != nil {
		return 0, cluster.Errorf(cluster.Invalid, "key space: lease %x exists already", id)
	}
	s.leases[id] = &lease{granted: ttl}
	return id, nil
}

// Renew implements keyspace.Space.
func (s *Space) Renew(_ context.Context, id keyspace.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[id] == nil {
		return cluster.Errorf(cluster.NotFound, "key space: there is no lease %x", id)
	}
	s.leases[id].passed = 0
	return nil
}

// Revoke implements keyspace.Space.
func (s *Space) Revoke(_ context.Context, id keyspace.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[id] == nil {
		return cluster.Errorf(cluster.NotFound, "key space: there is no lease %x", id)
	}
	s.end(id)
	return nil
}

func (s *Space) end(id keyspace.Lease) {
	delete(s.leases, id)
	var events []keyspace.Event
	for _, item := range s.find(keyspace.Prefix("")) {
		if item.Lease == id {
			events = append(events, s.apply(keyspace.Op{Span: keyspace.One(item.Key), Delete: true}, s.rev+1)...)
		}
	}
	s.tell(events)
}

// Lease implements keyspace.Space.
func (s *Space) Lease(_ context.Context, id keyspace.Lease) (keyspace.LeaseState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[id]
	if l == nil {
		return keyspace.LeaseState{}, cluster.Errorf(cluster.NotFound, "key space: there is no lease %x", id)
	}
	state := keyspace.LeaseState{Granted: l.granted, Left: l.granted - l.passed}
	for _, item := range s.find(keyspace.Prefix("")) {
		if item.Lease == id {
			state.Keys = append(state.Keys, item.Key)
		}
	}
	return state, nil
}

// Pass lets time pass for the leases.
func (s *Space) Pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.leases)) {
		if l := s.leases[id]; l.passed+d >= l.granted {
			s.end(id)
		} else {
			l.passed += d
		}
	}
}

// Leases returns how many there are.
func (s *Space) Leases() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.leases)
}

// Compact forgets the history up to a revision.
func (s *Space) Compact(rev cluster.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = rev
	s.history = slices.DeleteFunc(s.history, func(b keyspace.Batch) bool { return b.Revision <= rev })
}
