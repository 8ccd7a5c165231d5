// Package memstore is the deterministic twin of etcd in memory: the same
// revisions, guards, watches and errors behind store.Store, without a disk or
// a network. It passes the conformance suite in storetest, and it runs inside
// a testing/synctest bubble.
//
// A Store is shared by any number of clients. Each client can be given a
// Fault, which stands for the network between it and the servers.
package memstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
)

// ProgressEvery is how often an idle watch gives a sign of life.
const ProgressEvery = 5 * time.Second

// Store is the shared state. Its methods may be called concurrently.
type Store struct {
	mu        sync.Mutex
	revision  cluster.Revision
	compacted cluster.Revision // history before this is gone
	items     map[string]store.Item
	history   []store.Batch // one batch per revision from compacted on, in order
	advanced  chan struct{} // closed and replaced at each new revision
}

// New makes an empty store at revision 1, as etcd begins.
func New() *Store {
	return &Store{revision: 1, compacted: -1, items: map[string]store.Item{}, advanced: make(chan struct{})}
}

// Client returns a client without faults.
func (s *Store) Client() *Client { return &Client{store: s} }

// ClientWith returns a client whose operations pass through a fault.
func (s *Store) ClientWith(fault Fault) *Client { return &Client{store: s, fault: fault} }

// Revision returns the current revision.
func (s *Store) Revision() cluster.Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

// Fault stands for what may go wrong between a client and the servers. It is
// called at the start of each operation ("list", "commit", "watch", "compact")
// and before each batch that a watch delivers ("batch"). It may wait (through
// ctx), and what it returns decides what happens.
type Fault func(ctx context.Context, operation string) Outcome

// Outcome of an operation under a Fault.
type Outcome int

// The outcomes.
const (
	Pass      Outcome = iota // nothing is wrong
	Refuse                   // Unavailable, and nothing happened
	LoseReply                // it happened, and the client gets Unknown
)

// Client is one client of a Store; it implements store.Store.
type Client struct {
	store *Store
	fault Fault
}

var _ store.Store = (*Client)(nil)

// outcome asks the fault; an operation whose context has ended is refused.
func (c *Client) outcome(ctx context.Context, operation string) Outcome {
	if ctx.Err() != nil {
		return Refuse
	}
	if c.fault == nil {
		return Pass
	}
	out := c.fault(ctx, operation)
	if out == Pass && ctx.Err() != nil {
		return Refuse
	}
	return out
}

func unavailable(operation string) error {
	return cluster.Errorf(cluster.Unavailable, "store: %s: no server answers", operation)
}

// List implements store.Store.
func (c *Client) List(ctx context.Context, prefix string) ([]store.Item, cluster.Revision, error) {
	if c.outcome(ctx, "list") != Pass {
		return nil, 0, unavailable("list")
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []store.Item
	for key, item := range s.items {
		if strings.HasPrefix(key, prefix) {
			item.Value = slices.Clone(item.Value)
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b store.Item) int { return strings.Compare(a.Key, b.Key) })
	return items, s.revision, nil
}

// Commit implements store.Store.
func (c *Client) Commit(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	if err := store.CheckTxn(txn); err != nil {
		return 0, false, err
	}
	switch c.outcome(ctx, "commit") {
	case Pass:
	case Refuse:
		return 0, false, unavailable("commit")
	case LoseReply:
		c.store.commit(txn)
		return 0, false, cluster.Errorf(cluster.Unknown, "store: commit: the answer was lost")
	}
	rev, ok := c.store.commit(txn)
	return rev, ok, nil
}

// commit applies a transaction; a transaction that changes nothing makes no
// new revision, as in etcd.
func (s *Store) commit(txn store.Txn) (cluster.Revision, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cond := range txn.If {
		item := s.items[cond.Key]
		have := item.Changed
		if cond.OnCreated {
			have = item.Created
		}
		if have != cond.Revision {
			return s.revision, false
		}
	}
	next := s.revision + 1
	var events []store.Event
	for _, op := range txn.Then {
		old, exists := s.items[op.Key]
		if op.Delete {
			if !exists {
				continue
			}
			delete(s.items, op.Key)
			events = append(events, store.Event{Item: store.Item{Key: op.Key, Changed: next}, Deleted: true})
			continue
		}
		item := store.Item{Key: op.Key, Value: slices.Clone(op.Value), Created: next, Changed: next}
		if exists {
			item.Created = old.Created
		}
		s.items[op.Key] = item
		events = append(events, store.Event{Item: item})
	}
	if len(events) == 0 {
		return s.revision, true
	}
	s.revision = next
	s.history = append(s.history, store.Batch{Revision: next, Events: events})
	close(s.advanced)
	s.advanced = make(chan struct{})
	return next, true
}

// Compact implements store.Store.
func (c *Client) Compact(ctx context.Context, rev cluster.Revision) error {
	if c.outcome(ctx, "compact") != Pass {
		return unavailable("compact")
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev > s.revision {
		return cluster.Errorf(cluster.Invalid, "store: compact to revision %d, which is after %d", rev, s.revision)
	}
	if rev <= s.compacted {
		return store.ErrCompacted
	}
	s.compacted = rev
	keep := slices.IndexFunc(s.history, func(b store.Batch) bool { return b.Revision >= rev })
	if keep < 0 {
		keep = len(s.history)
	}
	s.history = slices.Clone(s.history[keep:])
	return nil
}

// since returns the events under prefix after a revision, one batch for all.
func (s *Store) since(prefix string, after cluster.Revision) (batch store.Batch, advanced <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after+1 < s.compacted {
		return batch, nil, store.ErrCompacted
	}
	batch.Revision = max(after, s.revision)
	first, _ := slices.BinarySearchFunc(s.history, after+1, func(b store.Batch, rev cluster.Revision) int {
		return int(b.Revision - rev)
	})
	for _, b := range s.history[first:] {
		for _, e := range b.Events {
			if strings.HasPrefix(e.Key, prefix) {
				batch.Events = append(batch.Events, e)
			}
		}
	}
	return batch, s.advanced, nil
}

// watch is one stream of batches.
type watch struct {
	c   chan store.Batch
	err error // set before c is closed
}

func (w *watch) C() <-chan store.Batch { return w.c }
func (w *watch) Err() error            { return w.err }

// Watch implements store.Store.
func (c *Client) Watch(ctx context.Context, prefix string, after cluster.Revision) store.Watch {
	w := &watch{c: make(chan store.Batch)}
	go func() {
		defer close(w.c)
		w.err = c.stream(ctx, prefix, after, w.c)
	}()
	return w
}

// stream delivers batches until something ends it.
func (c *Client) stream(ctx context.Context, prefix string, after cluster.Revision, out chan<- store.Batch) error {
	if c.outcome(ctx, "watch") != Pass {
		return watchEnd(ctx)
	}
	idle := false
	for {
		batch, advanced, err := c.store.since(prefix, after)
		if err != nil {
			return err
		}
		if len(batch.Events) > 0 || idle {
			if c.outcome(ctx, "batch") != Pass {
				return watchEnd(ctx)
			}
			select {
			case out <- batch:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		after = batch.Revision
		if idle, err = waitForNews(ctx, advanced); err != nil {
			return err
		}
	}
}

// waitForNews returns when the store advanced, or after ProgressEvery (idle).
func waitForNews(ctx context.Context, advanced <-chan struct{}) (idle bool, err error) {
	quiet, cancel := context.WithTimeout(ctx, ProgressEvery)
	defer cancel()
	select {
	case <-advanced:
		return false, nil
	case <-quiet.Done():
		return true, ctx.Err()
	}
}

func watchEnd(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("watch")
}

// Partition is a Fault that can be switched on and off: while it is on,
// operations wait until their context ends, as they do on a cut line.
// The zero value is a line that works.
type Partition struct {
	mu   sync.Mutex
	open chan struct{} // non-nil while cut; closed when healed
}

// Cut cuts the line.
func (p *Partition) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = make(chan struct{})
	}
}

// Heal makes the line work again.
func (p *Partition) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != nil {
		close(p.open)
		p.open = nil
	}
}

// Fault implements Fault: it waits while the line is cut. A request that waits
// is lost with the line, so it is refused even if the line heals meanwhile.
func (p *Partition) Fault(ctx context.Context, operation string) Outcome {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	if open == nil {
		return Pass
	}
	if operation == "batch" { // a stream resumes where it was, as TCP does
		select {
		case <-open:
			return Pass
		case <-ctx.Done():
			return Refuse
		}
	}
	select {
	case <-open:
	case <-ctx.Done():
	}
	return Refuse
}

// Delay is a Fault that lets everything through after d of simulated time.
func Delay(d time.Duration) Fault {
	return func(ctx context.Context, _ string) Outcome {
		if loop.Sleep(ctx, d) != nil {
			return Refuse
		}
		return Pass
	}
}
