// Package spacetest is the conformance suite of package keyspace: what every key space
// does.
package spacetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

func put(key, value string) keyspace.Op {
	return keyspace.Op{Span: keyspace.One(key), Value: []byte(value)}
}

func remove(span keyspace.Span) keyspace.Op { return keyspace.Op{Span: span, Delete: true} }

// Run runs the suite. Each call of open gives an empty space.
func Run(t *testing.T, open func(t *testing.T) keyspace.Space) {
	for name, test := range map[string]func(*testing.T, keyspace.Space){
		"reads are of one moment": reads, "guards": guards, "a watch goes on from where it is told": watches,
		"what is under a lease goes with it": leases, "refusals have their kind": refusals,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func commit(t *testing.T, s keyspace.Space, want bool, txn keyspace.Txn) cluster.Revision {
	t.Helper()
	rev, ok, err := s.Commit(t.Context(), txn)
	if err != nil || ok != want {
		t.Fatalf("commit %+v: %v, %v; want %v", txn, ok, err, want)
	}
	return rev
}

func reads(t *testing.T, s keyspace.Space) {
	first := commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("a", "1"), put("a/b", "2"), put("a/c", "3"), put("\xff\xff", "4")}})
	second := commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("a/c", "5")}})
	answers, rev, err := s.Read(t.Context(), keyspace.Query{Span: keyspace.One("a")}, keyspace.Query{Span: keyspace.Prefix("a/"), Limit: 1},
		keyspace.Query{Span: keyspace.Prefix("a/c"), KeysOnly: true}, keyspace.Query{Span: keyspace.Prefix("\xff")}, keyspace.Query{Span: keyspace.One("none")})
	if err != nil || rev != second {
		t.Fatalf("at %d, want %d: %v", rev, second, err)
	}
	want := []keyspace.Answer{
		{Count: 1, Items: []keyspace.Item{{Key: "a", Value: []byte("1"), Created: first, Changed: first, Version: 1}}},
		{Count: 2, Items: []keyspace.Item{{Key: "a/b", Value: []byte("2"), Created: first, Changed: first, Version: 1}}},
		{Count: 1, Items: []keyspace.Item{{Key: "a/c", Created: first, Changed: second, Version: 2}}},
		{Count: 1, Items: []keyspace.Item{{Key: "\xff\xff", Value: []byte("4"), Created: first, Changed: first, Version: 1}}},
		{},
	}
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Error(diff)
	}
}

func guards(t *testing.T, s keyspace.Space) {
	rev := commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("a", "1"), put("b/x", "2")}})
	later := commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("b/y", "3")}})
	for name, tt := range map[string]struct {
		cond keyspace.Cond
		want bool
	}{
		"absent, and it is":            {keyspace.Cond{Span: keyspace.One("z"), Test: keyspace.Absent}, true},
		"absent, and it is there":      {keyspace.Cond{Span: keyspace.One("a"), Test: keyspace.Absent}, false},
		"none of many, and there are":  {keyspace.Cond{Span: keyspace.Prefix("b/"), Test: keyspace.Absent}, false},
		"none of many, and none is":    {keyspace.Cond{Span: keyspace.Prefix("c/"), Test: keyspace.Absent}, true},
		"changed at":                   {keyspace.Cond{Span: keyspace.One("a"), Test: keyspace.ChangedAt, Revision: rev}, true},
		"changed at another":           {keyspace.Cond{Span: keyspace.One("a"), Test: keyspace.ChangedAt, Revision: rev + 1}, false},
		"changed at, and it is absent": {keyspace.Cond{Span: keyspace.One("z"), Test: keyspace.ChangedAt, Revision: rev}, false},
		"all unchanged":                {keyspace.Cond{Span: keyspace.Prefix("b/"), Test: keyspace.UnchangedSince, Revision: later}, true},
		"one changed":                  {keyspace.Cond{Span: keyspace.Prefix("b/"), Test: keyspace.UnchangedSince, Revision: rev}, false},
		"none to change":               {keyspace.Cond{Span: keyspace.Prefix("c/"), Test: keyspace.UnchangedSince, Revision: rev}, true},
		"the value":                    {keyspace.Cond{Span: keyspace.One("a"), Test: keyspace.ValueIs, Value: []byte("1")}, true},
		"another value":                {keyspace.Cond{Span: keyspace.One("a"), Test: keyspace.ValueIs, Value: []byte("2")}, false},
		"a value of none":              {keyspace.Cond{Span: keyspace.One("z"), Test: keyspace.ValueIs}, false},
	} {
		t.Run(name, func(t *testing.T) {
			commit(t, s, tt.want, keyspace.Txn{If: []keyspace.Cond{tt.cond}})
		})
	}
	commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{remove(keyspace.Prefix("b/")), remove(keyspace.One("none"))}})
	if answers, _, err := s.Read(t.Context(), keyspace.Query{Span: keyspace.Prefix("")}); err != nil || answers[0].Count != 1 {
		t.Errorf("after a removal %+v, %v", answers, err)
	}
}

var errEnough = errors.New("enough")

// watch collects events after a revision, until there are n.
func watch(t *testing.T, s keyspace.Space, span keyspace.Span, after cluster.Revision, n int, listening func()) (events []keyspace.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	begun := false
	err := s.Watch(ctx, span, after, func(b keyspace.Batch) error {
		if !begun {
			begun = true
			listening()
		}
		for _, e := range b.Events {
			if e.Changed > b.Revision {
				t.Errorf("an event of %d in a batch up to %d", e.Changed, b.Revision)
			}
		}
		if events = append(events, b.Events...); len(events) >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("the watch told %d events and ended with %v", len(events), err)
	}
	return events
}

func watches(t *testing.T, s keyspace.Space) {
	first := commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("w/a", "1"), put("v", "x")}})
	told := watch(t, s, keyspace.Prefix("w/"), first-1, 3, func() {
		commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("w/a", "2")}})
		commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{remove(keyspace.One("w/a")), put("x", "y")}})
	})
	one := keyspace.Item{Key: "w/a", Value: []byte("1"), Created: first, Changed: first, Version: 1}
	two := keyspace.Item{Key: "w/a", Value: []byte("2"), Created: first, Changed: first + 1, Version: 2}
	want := []keyspace.Event{{Item: one}, {Item: two, Before: &one}, {Item: keyspace.Item{Key: "w/a", Changed: first + 2}, Deleted: true, Before: &two}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	told = watch(t, s, keyspace.One("n"), 0, 1, func() { commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{put("n", "new")}}) })
	if string(told[0].Value) != "new" {
		t.Errorf("from now on, told %+v", told)
	}
}

func leases(t *testing.T, s keyspace.Space) {
	id, err := s.Grant(t.Context(), keyspace.NewLease(5), time.Minute)
	if err != nil || id != keyspace.NewLease(5) || !id.Own() {
		t.Fatalf("lease %x, %v", id, err)
	}
	other, err := s.Grant(t.Context(), 0, time.Minute)
	if err != nil || other == 0 || other.Own() {
		t.Fatalf("lease %x, %v", other, err)
	}
	commit(t, s, true, keyspace.Txn{Then: []keyspace.Op{{Span: keyspace.One("l/a"), Lease: id}, {Span: keyspace.One("l/b"), Lease: other}, {Span: keyspace.One("l/c"), Lease: id}}})
	if err := s.Renew(t.Context(), id); err != nil {
		t.Error(err)
	}
	state, err := s.Lease(t.Context(), id)
	if diff := cmp.Diff([]string{"l/a", "l/c"}, state.Keys); diff != "" || err != nil || state.Granted != time.Minute || state.Left <= 0 || state.Left > time.Minute {
		t.Errorf("%+v, %v %s", state, err, diff)
	}
	keyspace.End(t.Context(), s, id, other) // both are in use
	if answers, _, err := s.Read(t.Context(), keyspace.Query{Span: keyspace.One("l/a")}); err != nil || answers[0].Items[0].Lease != id {
		t.Errorf("%+v, %v", answers, err)
	}
	if err := s.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if answers, _, err := s.Read(t.Context(), keyspace.Query{Span: keyspace.Prefix("l/")}); err != nil || answers[0].Count != 1 {
		t.Errorf("with its lease, gone is not what was under it: %+v, %v", answers, err)
	}
	unused, err := s.Grant(t.Context(), keyspace.NewLease(6), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	keyspace.End(t.Context(), s, unused)
	for what, err := range map[string]error{"renew": s.Renew(t.Context(), unused), "revoke": s.Revoke(t.Context(), id), "ask for": second(s.Lease(t.Context(), unused))} {
		if cluster.KindOf(err) != cluster.NotFound {
			t.Errorf("%s a lease that has ended: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func refusals(t *testing.T, s keyspace.Space) {
	txn := keyspace.Txn{Then: []keyspace.Op{{Span: keyspace.One("a"), Lease: 12345}}}
	if _, _, err := s.Commit(t.Context(), txn); cluster.KindOf(err) != cluster.NotFound {
		t.Errorf("a lease that there is not: %v", err)
	}
	txn = keyspace.Txn{}
	for range keyspace.OpsMax + 1 {
		txn.If = append(txn.If, keyspace.Cond{Span: keyspace.One("a"), Test: keyspace.Absent})
	}
	if _, _, err := s.Commit(t.Context(), txn); cluster.KindOf(err) != cluster.Invalid {
		t.Errorf("too many guards: %v", err)
	}
}
