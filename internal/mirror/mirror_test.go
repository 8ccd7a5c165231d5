package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/mirror"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

// put commits one record and returns its revision.
func put(t *testing.T, s store.Store, op store.Op) cluster.Revision {
	t.Helper()
	rev, ok, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{op}})
	if err != nil || !ok {
		t.Fatalf("commit: %v %v", ok, err)
	}
	return rev
}

// start runs a mirror until the test ends.
func start(t *testing.T, s store.Store) *mirror.Mirror {
	t.Helper()
	m := mirror.New(s, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

func advance(t *testing.T, d time.Duration) {
	t.Helper()
	if err := loop.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, m *mirror.Mirror, rev cluster.Revision) *cluster.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	state, err := m.WaitFor(ctx, rev)
	if err != nil {
		t.Fatalf("revision %d did not come: %v", rev, err)
	}
	return state
}

func unit(name cluster.UnitName) cluster.Unit {
	return cluster.Unit{Name: name, Desired: cluster.Inactive}
}

func TestWhatIsWrittenIsSeenSortedAndStampedWithItsRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New().Client()
		m := start(t, s)
		if m.State() != nil {
			t.Error("there is a snapshot before the first list")
		}
		b := put(t, s, store.PutUnit(unit("b.service")))
		a := put(t, s, store.PutUnit(unit("a.service")))
		node := put(t, s, store.PutNode(cluster.Node{ID: "n1", Name: "one"}))
		state := waitFor(t, m, node)
		if len(state.Units) != 2 || state.Units[0].Name != "a.service" || state.Units[0].Revision != a || state.Units[1].Revision != b {
			t.Errorf("units %+v", state.Units)
		}
		if len(state.Nodes) != 1 || state.Nodes[0].Node.Revision != node {
			t.Errorf("nodes %+v", state.Nodes)
		}
		gone := put(t, s, store.Delete(store.UnitKey("a.service")))
		if state := waitFor(t, m, gone); len(state.Units) != 1 {
			t.Errorf("a destroyed unit is still there: %+v", state.Units)
		}
		if len(state.Units) != 2 {
			t.Error("an old snapshot changed")
		}
	})
}

func TestABadRecordIsNamedAndBlindsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New().Client()
		m := start(t, s)
		put(t, s, store.PutUnit(unit("a.service")))
		put(t, s, store.Put(store.UnitKey("bad.service"), []byte("{")))
		put(t, s, store.Put(store.Root+"future/thing", []byte("?")))
		state := waitFor(t, m, put(t, s, store.PutUnit(unit("c.service"))))
		if len(state.Units) != 2 {
			t.Errorf("units %+v", state.Units)
		}
		if p := m.Problems(); len(p) != 1 || !strings.Contains(p[0], "bad.service") {
			t.Errorf("problems %q", p)
		}
		waitFor(t, m, put(t, s, store.PutUnit(unit("bad.service"))))
		if p := m.Problems(); len(p) != 0 {
			t.Errorf("a repaired record is still named: %q", p)
		}
	})
}

func TestHistoryThatWasCompactedAwayIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		var line memstore.Partition
		m := start(t, shared.ClientWith(line.Fault))
		s := shared.Client()
		waitFor(t, m, put(t, s, store.PutUnit(unit("a.service"))))
		line.Cut()
		advance(t, time.Second)
		put(t, s, store.Delete(store.UnitKey("a.service")))
		last := put(t, s, store.PutUnit(unit("b.service")))
		advance(t, mirror.StallMax+time.Second) // the watch is given up
		if err := s.Compact(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		last = put(t, s, store.PutUnit(unit("c.service")))
		line.Heal()
		state := waitFor(t, m, last)
		if got := fmt.Sprint(state.Units[0].Name, state.Units[1].Name); len(state.Units) != 2 || got != "b.servicec.service" {
			t.Errorf("after compaction: %+v", state.Units)
		}
	})
}

// What is held stays as it is, its revision too, while it cannot be read anew.
func TestTheRevisionStaysWhileHistoryIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		var line memstore.Partition
		var unreadable atomic.Bool
		m := start(t, shared.ClientWith(func(ctx context.Context, operation string) memstore.Outcome {
			if operation == "list" && unreadable.Load() {
				return memstore.Refuse
			}
			return line.Fault(ctx, operation)
		}))
		s := shared.Client()
		held := put(t, s, store.PutUnit(unit("a.service")))
		if _, err := m.Wait(t.Context(), held-1); err != nil {
			t.Fatal(err)
		}
		line.Cut()
		advance(t, time.Second)
		put(t, s, store.PutUnit(unit("b.service")))
		last := put(t, s, store.PutUnit(unit("c.service")))
		advance(t, mirror.StallMax+time.Second) // the watch is given up
		if err := s.Compact(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		unreadable.Store(true)
		line.Heal()
		advance(t, 10*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if state, err := m.Wait(ctx, held-1); err != nil || state.Revision != held {
			t.Errorf("while nothing can be read, revision %d is waited for in vain: %v", held, err)
		}
		unreadable.Store(false)
		waitFor(t, m, last)
	})
}

func TestWhenTheStoreIsGoneTheCopyStaysAndGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		var line memstore.Partition
		m := start(t, shared.ClientWith(line.Fault))
		waitFor(t, m, put(t, shared.Client(), store.PutUnit(unit("a.service"))))
		advance(t, time.Minute)
		if m.Age() > 2*memstore.ProgressEvery {
			t.Errorf("an idle mirror is %v old", m.Age())
		}
		line.Cut()
		advance(t, time.Hour)
		if state := m.State(); len(state.Units) != 1 {
			t.Errorf("the copy was lost: %+v", state)
		}
		if m.Age() < 50*time.Minute {
			t.Errorf("after an hour without a store the copy claims to be %v old", m.Age())
		}
		line.Heal()
		waitFor(t, m, put(t, shared.Client(), store.PutUnit(unit("b.service"))))
		advance(t, time.Minute)
		if m.Age() > 2*memstore.ProgressEvery {
			t.Errorf("after healing it is %v old", m.Age())
		}
	})
}

func TestAnUnchangedKindOfRecordIsNotBuiltAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New().Client()
		m := start(t, s)
		before := waitFor(t, m, put(t, s, store.PutUnit(unit("a.service"))))
		after := waitFor(t, m, put(t, s, store.PutSession(cluster.Session{Node: "n1", Seq: 1})))
		if &before.Units[0] != &after.Units[0] {
			t.Error("a session's renewal copied the units")
		}
	})
}

// A server that is none any more has streams open to nodes; they wait here, and
// must not wait forever.
func TestWhoeverWaitsIsToldThatTheMirrorHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New().Client()
		m := mirror.New(s, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = m.Run(ctx) }()
		rev := put(t, s, store.PutUnit(unit("a.service")))
		waitFor(t, m, rev)
		waited := make(chan error, 1)
		go func() {
			_, err := m.Wait(t.Context(), rev)
			waited <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-waited; !errors.Is(err, mirror.ErrEnded) {
			t.Errorf("waiting ended with %v", err)
		}
		if state := m.State(); state == nil || state.Revision != rev {
			t.Errorf("the last snapshot is %+v", state)
		}
	})
}

// movedStore asks other servers from now on whenever a watch is opened, n times.
type movedStore struct {
	store.Store
	left, lists atomic.Int64
}

func (s *movedStore) List(ctx context.Context, prefix string) ([]store.Item, cluster.Revision, error) {
	s.lists.Add(1)
	return s.Store.List(ctx, prefix)
}

func (s *movedStore) Watch(ctx context.Context, prefix string, after cluster.Revision) store.Watch {
	if s.left.Add(-1) < 0 {
		return s.Store.Watch(ctx, prefix, after)
	}
	return movedWatch{}
}

type movedWatch struct{}

func (movedWatch) C() <-chan store.Batch { c := make(chan store.Batch); close(c); return c }
func (movedWatch) Err() error            { return store.ErrMoved }

func TestAMirrorGoesOnAtOnceWhenOtherServersAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &movedStore{Store: memstore.New().Client()}
		s.left.Store(3)
		m := start(t, s)
		rev := put(t, s.Store, store.PutUnit(unit("a.service")))
		began := time.Now()
		waitFor(t, m, rev)
		if took := time.Since(began); took > 100*time.Millisecond || s.lists.Load() != 1 {
			t.Errorf("it took %s and %d lists", took, s.lists.Load())
		}
	})
}
