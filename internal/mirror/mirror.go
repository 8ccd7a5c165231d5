// Package mirror keeps a server's copy of the store: listed once, then fed by
// a watch. Everything that a server reads, it reads here, so that the cost of
// reading does not reach the store and reads go on when the store cannot.
//
// Snapshots are immutable and shared; making one costs nothing while nothing
// changes, and otherwise one pass over the kinds of record that did.
package mirror

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
)

// StallMax is how long a watch may be silent before it is taken for broken.
// Servers give a sign of life every 5 s.
const StallMax = 15 * time.Second

// Mirror is the copy. Run feeds it; the other methods may be called
// concurrently, before and while it runs.
type Mirror struct {
	store store.Store
	log   *slog.Logger

	mu       sync.Mutex
	tables   tables
	revision cluster.Revision
	relist   bool          // the history since revision is gone: read everything anew
	fresh    time.Time     // when the last batch came
	advanced chan struct{} // closed and replaced at each new revision
	ended    chan struct{} // closed when Run has returned
	state    *cluster.State
	problems map[string]string // key -> why it was left out
}

// New makes an empty mirror.
func New(s store.Store, log *slog.Logger) *Mirror {
	return &Mirror{
		store: s, log: log, tables: newTables(),
		advanced: make(chan struct{}), ended: make(chan struct{}), problems: map[string]string{},
	}
}

// ErrEnded is what waiting for a newer snapshot returns once Run has returned:
// there will be none.
var ErrEnded = errors.New("mirror: the store is no longer followed")

// Run feeds the mirror until ctx ends, and returns its error. It is called
// once.
func (m *Mirror) Run(ctx context.Context) error {
	defer close(m.ended)
	return loop.New("mirror", m.log, func(ctx context.Context) (time.Duration, error) {
		err := m.follow(ctx)
		if errors.Is(err, store.ErrMoved) {
			return time.Millisecond, nil
		}
		return 0, err
	}).Run(ctx)
}

// follow lists everything and then applies what the watch delivers until the
// watch ends. It always returns an error, which the loop retries.
func (m *Mirror) follow(ctx context.Context) error {
	after, err := m.resume(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := m.store.Watch(ctx, store.Root, after)
	for {
		batch, err := next(ctx, watch)
		if errors.Is(err, store.ErrCompacted) {
			m.forget()
		}
		if err != nil {
			return err
		}
		m.apply(batch)
	}
}

// resume returns the revision to watch from, after listing everything if
// nothing was listed yet, or must be again.
func (m *Mirror) resume(ctx context.Context) (cluster.Revision, error) {
	m.mu.Lock()
	have, relist := m.revision, m.relist
	m.mu.Unlock()
	if have > 0 && !relist {
		return have, nil
	}
	ctx, cancel := context.WithTimeout(ctx, StallMax)
	defer cancel()
	items, rev, err := m.store.List(ctx, store.Root)
	if err != nil {
		return 0, err
	}
	m.replace(items, rev)
	return rev, nil
}

// next returns the next batch of a watch, or why there is none.
func next(ctx context.Context, watch store.Watch) (store.Batch, error) {
	quiet, cancel := context.WithTimeout(ctx, StallMax)
	defer cancel()
	select {
	case batch, ok := <-watch.C():
		if !ok {
			return batch, watch.Err()
		}
		return batch, nil
	case <-quiet.Done():
		if ctx.Err() != nil {
			return store.Batch{}, ctx.Err()
		}
		return store.Batch{}, cluster.Errorf(cluster.Unavailable, "mirror: the watch was silent for %s", StallMax)
	}
}

// forget makes the next round list everything anew. What is held stays
// readable until then.
func (m *Mirror) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.relist = true
}

// replace makes the mirror hold exactly the items.
func (m *Mirror) replace(items []store.Item, rev cluster.Revision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tables, m.relist = newTables(), false
	clear(m.problems)
	for _, item := range items {
		m.put(item)
	}
	m.advance(rev)
}

// apply applies one batch.
func (m *Mirror) apply(batch store.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(batch.Events) == 0 && batch.Revision == m.revision {
		m.fresh = time.Now()
		return
	}
	for _, event := range batch.Events {
		if event.Deleted {
			m.tables.remove(event.Key)
			delete(m.problems, event.Key)
		} else {
			m.put(event.Item)
		}
	}
	m.advance(batch.Revision)
}

// put applies one record. One that does not decode is left out and named: a
// newer version may have written it, and one bad record must not blind us.
func (m *Mirror) put(item store.Item) {
	if err := m.tables.put(item); err != nil {
		m.tables.remove(item.Key)
		m.problems[item.Key] = err.Error()
		m.log.Warn("a record was left out", "key", item.Key, "err", err)
		return
	}
	delete(m.problems, item.Key)
}

// advance publishes a new revision. The caller holds mu.
func (m *Mirror) advance(rev cluster.Revision) {
	m.revision = rev
	m.fresh = time.Now()
	m.state = nil
	close(m.advanced)
	m.advanced = make(chan struct{})
}

// State returns the newest snapshot, or nil before there is one. It must not
// be changed.
func (m *Mirror) State() *cluster.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stateLocked()
}

func (m *Mirror) stateLocked() *cluster.State {
	if m.state == nil && m.fresh.IsZero() {
		return nil
	}
	if m.state == nil {
		m.state = m.tables.snapshot()
		m.state.Revision = m.revision
	}
	return m.state
}

// Age returns the time since the last sign that the snapshot is current. It
// is an hour before there was any.
func (m *Mirror) Age() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fresh.IsZero() {
		return time.Hour
	}
	return time.Since(m.fresh)
}

// Wait blocks until there is a snapshot of a revision later than after. It
// returns ErrEnded if there will be none.
func (m *Mirror) Wait(ctx context.Context, after cluster.Revision) (*cluster.State, error) {
	if err := m.Past(ctx, after); err != nil {
		return nil, err
	}
	return m.State(), nil
}

// Past blocks as Wait does, and makes no snapshot: that is for who takes one
// only after more has come.
func (m *Mirror) Past(ctx context.Context, after cluster.Revision) error {
	for {
		m.mu.Lock()
		advanced, past := m.advanced, m.revision > after
		m.mu.Unlock()
		if past {
			return nil
		}
		select {
		case <-advanced:
		case <-m.ended:
			return ErrEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WaitFor blocks until there is a snapshot of revision rev or later: whoever
// committed at rev then reads what was written.
func (m *Mirror) WaitFor(ctx context.Context, rev cluster.Revision) (*cluster.State, error) {
	return m.Wait(ctx, rev-1)
}

// Problems names the records that were left out, and why, sorted by key.
func (m *Mirror) Problems() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m.problems)) {
		list = append(list, key+": "+m.problems[key])
	}
	return list
}
