package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// Differential runs the same random operations on two stores and demands the
// same answers: revisions, guards, items, events and errors. Revisions are
// compared relative to where each run began. Nothing else may write to the
// stores meanwhile.
//
// Properties are drawn by rapid, so a difference is reported with the
// shortest run that shows it.
func Differential(t *testing.T, a, b store.Store) {
	t.Helper()
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		prefix := fmt.Sprintf("/storetest/%s/%d/", t.Name(), run)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		twins := [2]*twin{{r: r, ctx: ctx, s: a, prefix: prefix}, {r: r, ctx: ctx, s: b, prefix: prefix}}
		for _, w := range twins {
			w.begin()
		}
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			s := drawStep(r, twins[0].rev)
			if diff := cmp.Diff(twins[0].do(s), twins[1].do(s), cmpopts.EquateEmpty()); diff != "" {
				r.Fatalf("%+v (-first +second):\n%s", s, diff)
			}
		}
		if diff := cmp.Diff(twins[0].finish(), twins[1].finish(), cmpopts.EquateEmpty()); diff != "" {
			r.Fatalf("the live watch (-first +second):\n%s", diff)
		}
	})
}

// step is one operation on either store. Revisions in it are relative.
type step struct {
	Compact, Watch bool
	Rev            cluster.Revision
	Txn            store.Txn // keys relative to the prefix
}

func drawStep(r *rapid.T, now cluster.Revision) step {
	rev := rapid.Custom(func(r *rapid.T) cluster.Revision {
		return cluster.Revision(rapid.IntRange(1, int(now)+1).Draw(r, "rev"))
	})
	switch rapid.IntRange(0, 19).Draw(r, "kind") {
	case 0, 1:
		return step{Compact: true, Rev: rev.Draw(r, "compact")}
	case 2: // rare: etcd reads history for a watch every 100 ms only
		return step{Watch: true, Rev: min(rev.Draw(r, "watch"), now) - 1}
	}
	key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	cond := rapid.Custom(func(r *rapid.T) store.Cond {
		c := store.Cond{Key: key.Draw(r, "guarded"), OnCreated: rapid.Bool().Draw(r, "created")}
		if rapid.Bool().Draw(r, "exists") {
			c.Revision = rev.Draw(r, "at")
		}
		return c
	})
	op := rapid.Custom(func(r *rapid.T) store.Op {
		o := store.Op{Key: key.Draw(r, "key"), Delete: rapid.Bool().Draw(r, "delete")}
		if !o.Delete {
			o.Value = []byte(rapid.StringN(0, 3, 8).Draw(r, "value"))
		}
		return o
	})
	return step{Txn: store.Txn{
		If:   rapid.SliceOfN(cond, 0, 2).Draw(r, "if"),
		Then: rapid.SliceOfN(op, 0, 3).Draw(r, "then"),
	}}
}

// answer is what a store says to a step, with relative revisions and keys.
type answer struct {
	Rev       cluster.Revision
	OK        bool
	Kind      string
	Compacted bool
	Items     []store.Item
	Events    []store.Event
}

// twin is one of the two stores.
type twin struct {
	r      *rapid.T
	ctx    context.Context
	s      store.Store
	prefix string
	base   cluster.Revision // the revision that this run calls 0
	rev    cluster.Revision // relative: the last one seen
	live   store.Watch
	seen   cluster.Revision // relative: the last one that live delivered
}

// begin starts the live watch and waits until it follows: a watch that the
// server has not yet heard of may rightly end by compaction.
func (w *twin) begin() {
	_, rev, err := w.s.List(w.ctx, w.prefix)
	if err != nil {
		w.r.Fatal(err)
	}
	w.base = rev
	w.live = w.s.Watch(w.ctx, w.prefix, rev)
	w.mark("begin")
	w.follow()
}

// mark writes a key that no step draws.
func (w *twin) mark(value string) {
	rev, ok, err := w.s.Commit(w.ctx, store.Txn{Then: []store.Op{store.Put(w.prefix+"mark", []byte(value))}})
	if err != nil || !ok {
		w.r.Fatalf("mark: ok %v, %v", ok, err)
	}
	w.rev = rev - w.base
}

func (w *twin) do(s step) answer {
	switch {
	case s.Compact:
		return failure(w.s.Compact(w.ctx, s.Rev+w.base))
	case s.Watch:
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		return w.read(w.s.Watch(ctx, w.prefix, s.Rev+w.base), s.Rev, w.rev)
	}
	rev, ok, err := w.s.Commit(w.ctx, w.absolute(s.Txn))
	a := failure(err)
	if a.OK = ok; err == nil {
		w.rev = rev - w.base
		a.Rev = w.rev
	}
	items, at, err := w.s.List(w.ctx, w.prefix)
	if err != nil || at != w.rev+w.base {
		w.r.Fatalf("list at %d after a commit at %d: %v", at-w.base, w.rev, err)
	}
	for _, item := range items {
		a.Items = append(a.Items, w.relative(item))
	}
	// Read at once: whether a watch that lags behind survives a compaction
	// depends on how much is buffered, and is no promise.
	a.Events = w.follow().Events
	return a
}

func failure(err error) answer {
	if err == nil {
		return answer{}
	}
	if errors.Is(err, store.ErrCompacted) {
		return answer{Compacted: true}
	}
	return answer{Kind: cluster.KindOf(err).String()}
}

func (w *twin) absolute(txn store.Txn) store.Txn {
	var abs store.Txn
	for _, c := range txn.If {
		c.Key = w.prefix + c.Key
		if c.Revision != 0 {
			c.Revision += w.base
		}
		abs.If = append(abs.If, c)
	}
	for _, op := range txn.Then {
		op.Key = w.prefix + op.Key
		abs.Then = append(abs.Then, op)
	}
	return abs
}

func (w *twin) relative(item store.Item) store.Item {
	item.Key = item.Key[len(w.prefix):]
	item.Changed -= w.base
	if item.Created != 0 {
		item.Created -= w.base
	}
	return item
}

// read returns what a watch delivers between two relative revisions.
func (w *twin) read(watch store.Watch, after, upTo cluster.Revision) answer {
	var a answer
	for last := after; last < upTo; {
		batch, ok := <-watch.C()
		if !ok {
			return failure(watch.Err())
		}
		last = batch.Revision - w.base
		for _, e := range batch.Events {
			a.Events = append(a.Events, store.Event{Item: w.relative(e.Item), Deleted: e.Deleted})
		}
	}
	return a
}

// follow returns what the live watch delivered since it was asked last.
func (w *twin) follow() answer {
	a := w.read(w.live, w.seen, w.rev)
	w.seen = w.rev
	return a
}

// finish returns what the live watch delivers for one more write.
func (w *twin) finish() answer {
	w.mark("end")
	return w.follow()
}
