package recorder_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/events/recorder"
	"argosy/internal/events/ring"
	"argosy/internal/loop"
	"argosy/internal/mirror"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

const (
	n1 cluster.NodeID = "11111111111111111111111111111111"
	n2 cluster.NodeID = "22222222222222222222222222222222"
)

// bench is a server that records, over a store in memory.
type bench struct {
	t     *testing.T
	store *memstore.Client // not through the line
	line  *memstore.Partition
	fault *memstore.Client
	ring  *ring.Ring
	lost  atomic.Bool // node-2 is
}

func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		b := &bench{t: t, store: db.Client(), line: &memstore.Partition{}}
		b.fault = db.ClientWith(b.line.Fault)
		b.ring = ring.New(ring.Config{}, ring.Deps{Log: slog.New(slog.DiscardHandler)})
		b.put(store.PutNode(cluster.Node{ID: n1, Name: "node-1"}), store.PutNode(cluster.Node{ID: n2, Name: "node-2"}))
		b.put(store.PutUnit(cluster.Unit{Name: "old.service", UID: "u"}))
		f(t, b)
	})
}

// start runs a daemon's mirror and recorder; stop ends them.
func (b *bench) start() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	log := slog.New(slog.DiscardHandler)
	m := mirror.New(b.fault, log)
	r := recorder.New(recorder.Deps{
		Node: n1, Mirror: m, Ring: b.ring, Log: log,
		Health: func(id cluster.NodeID) cluster.Health {
			if id == n2 && b.lost.Load() {
				return cluster.Lost
			}
			return cluster.Ready
		},
	})
	done := make(chan struct{}, 2)
	go func() { _ = m.Run(ctx); done <- struct{}{} }()
	go func() { _ = r.Run(ctx); done <- struct{}{} }()
	b.pass(time.Second)
	return func() { cancel(); <-done; <-done }
}

func (b *bench) put(ops ...store.Op) {
	b.t.Helper()
	if _, ok, err := b.store.Commit(b.t.Context(), store.Txn{Then: ops}); err != nil || !ok {
		b.t.Fatalf("commit: %v %v", ok, err)
	}
}

func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	if err := loop.Sleep(b.t.Context(), d); err != nil {
		b.t.Fatal(err)
	}
}

// told is what the ring holds.
func (b *bench) told() []string {
	list := []string{}
	for position := int64(0); ; {
		batch := b.ring.Read(position)
		if len(batch.Events) == 0 {
			return list
		}
		for _, e := range batch.Events {
			list = append(list, string(e.Kind)+"  "+e.Text)
		}
		position = batch.Next
	}
}

const begins = "log-begins  node-1: what happened before is not known here: its daemon was started"

// What is there when a daemon starts did not happen then.
func TestADaemonThatStartsTellsOfNoFlood(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		stop := b.start()
		b.put(store.PutUnit(cluster.Unit{Name: "web.service", UID: "u", Desired: cluster.Launched}))
		b.pass(time.Second)
		stop()
		want := []string{begins, "unit-submitted  web.service: submitted, to be launched"}
		if diff := cmp.Diff(want, b.told()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHealthIsToldWithoutAnyWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		stop := b.start()
		b.lost.Store(true)
		b.pass(6 * time.Second)
		stop()
		if got := b.told(); len(got) != 2 || !strings.HasPrefix(got[1], "node-lost  node-2: lost") {
			t.Errorf("%q", got)
		}
	})
}

// Who was cut off tells what has changed since, and says that the times are not
// to be believed.
func TestAfterAnOutageWhatChangedIsToldAndThatItWasNotSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		stop := b.start()
		b.line.Cut()
		b.pass(time.Minute)
		b.put(store.Delete(store.UnitKey("old.service")))
		b.line.Heal()
		b.pass(20 * time.Second)
		stop()
		got := b.told()
		if len(got) != 3 || !strings.HasPrefix(got[1], "log-gap  node-1: did not hear of the cluster for 1m") || got[2] != "unit-destroyed  old.service: destroyed" {
			t.Errorf("%q", got)
		}
	})
}

// A cluster in which nothing happens but renewals for an hour has no gap.
func TestQuietIsNoGap(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		stop := b.start()
		b.pass(time.Hour)
		b.put(store.Delete(store.UnitKey("old.service")))
		b.pass(time.Second)
		stop()
		if diff := cmp.Diff([]string{begins, "unit-destroyed  old.service: destroyed"}, b.told()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAUnitThatFlapsIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		stop := b.start()
		for pid := range 50 {
			b.put(store.PutStatus(cluster.Status{Unit: "old.service", Node: n2, UID: "u", Active: "active", MainPID: pid + 1}))
			b.pass(time.Second)
		}
		b.pass(20 * time.Second)
		stop()
		got := b.told()
		if len(got) != 8 || !strings.HasPrefix(got[7], "log-left-out  44 more events unit-restarted of old.service on node-2") {
			t.Errorf("%q", got)
		}
	})
}
