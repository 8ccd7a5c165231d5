package storetest

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

func commitCases() []Case {
	return []Case{
		{"a list is sorted and carries the revision at which it was true", listIsSorted},
		{"a key keeps the revision it was created at until it is deleted", createdSurvives},
		{"all writes of a transaction have one revision", oneRevision},
		{"a transaction that changes nothing makes no revision", nothingChanged},
		{"guards hold for exactly the revision they name", guards},
		{"one guard that does not hold stops every write", allOrNothing},
		{"the largest allowed transaction is taken", largestAllowed},
		{"a transaction beyond the limits is Invalid and writes nothing", beyondLimits},
		{"concurrent increments by compare-and-swap lose none", casCounter},
		{"a list sees what was acknowledged before it began", readYourWrites},
		{"a commit whose context has ended is Unavailable and did not happen", endedContext},
		{"values are the store's own and can be any bytes", valuesAreCopies},
	}
}

func listIsSorted(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	first := f.commit(f.put("b", "2"), f.put("a", "1"))
	last := f.commit(f.put("a/x", "3"))
	items, rev := f.list()
	want := []store.Item{
		{Key: f.key("a"), Value: []byte("1"), Created: first, Changed: first},
		{Key: f.key("a/x"), Value: []byte("3"), Created: last, Changed: last},
		{Key: f.key("b"), Value: []byte("2"), Created: first, Changed: first},
	}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if rev != last {
		t.Errorf("listed at revision %d, want %d", rev, last)
	}
}

func createdSurvives(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	created := f.commit(f.put("k", "1"))
	changed := f.commit(f.put("k", "1"))
	if got := f.get("k"); got.Created != created || got.Changed != changed {
		t.Errorf("overwritten: created %d, changed %d; want %d, %d", got.Created, got.Changed, created, changed)
	}
	f.commit(f.del("k"))
	if got := f.get("k"); got.Key != "" {
		t.Errorf("a deleted key is listed: %+v", got)
	}
	again := f.commit(f.put("k", "2"))
	if got := f.get("k"); got.Created != again || got.Changed != again {
		t.Errorf("made anew: created %d, changed %d; want %d", got.Created, got.Changed, again)
	}
}

func oneRevision(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	before := f.commit(f.put("old", ""))
	rev := f.commit(f.put("a", ""), f.put("b", ""), f.del("old"))
	if rev != before+1 {
		t.Errorf("three writes went from revision %d to %d", before, rev)
	}
	if a, b := f.get("a"), f.get("b"); a.Changed != rev || b.Changed != rev {
		t.Errorf("written at %d and %d, want %d", a.Changed, b.Changed, rev)
	}
}

func nothingChanged(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	before := f.commit(f.put("k", "1"))
	for what, txn := range map[string]store.Txn{
		"a guard that does not hold": {If: []store.Cond{store.Absent(f.key("k"))}, Then: []store.Op{f.put("k", "2")}},
		"deleting what is not there": {Then: []store.Op{f.del("none")}},
		"guards only":                {If: []store.Cond{store.ChangedAt(f.key("k"), before)}},
	} {
		if rev, _ := f.try(txn); rev != before {
			t.Errorf("%s: revision %d, want still %d", what, rev, before)
		}
	}
}

func guards(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	created := f.commit(f.put("k", "1"))
	changed := f.commit(f.put("k", "2"))
	gone := f.commit(f.put("gone", ""))
	f.commit(f.del("gone"))
	k, none, deleted := f.key("k"), f.key("none"), f.key("gone")
	for _, c := range []struct {
		name string
		cond store.Cond
		want bool
	}{
		{"changed at its last write", store.ChangedAt(k, changed), true},
		{"changed at an earlier write", store.ChangedAt(k, created), false},
		{"changed at a revision to come", store.ChangedAt(k, changed+100), false},
		{"created where it was", store.CreatedAt(k, created), true},
		{"created at a later write", store.CreatedAt(k, changed), false},
		{"absent, but it exists", store.Absent(k), false},
		{"never written, but it was", store.ChangedAt(k, 0), false},
		{"absent and never written", store.Absent(none), true},
		{"changed at 0 and never written", store.ChangedAt(none, 0), true},
		{"changed, but never written", store.ChangedAt(none, changed), false},
		{"absent after deletion", store.Absent(deleted), true},
		{"created before deletion", store.CreatedAt(deleted, gone), false},
		{"changed before deletion", store.ChangedAt(deleted, gone), false},
	} {
		if _, ok := f.try(store.Txn{If: []store.Cond{c.cond}}); ok != c.want {
			t.Errorf("%s: holds %v, want %v", c.name, ok, c.want)
		}
	}
}

func allOrNothing(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	rev := f.commit(f.put("k", "1"))
	at, ok := f.try(store.Txn{
		If:   []store.Cond{store.ChangedAt(f.key("k"), rev), store.Absent(f.key("k"))},
		Then: []store.Op{f.put("k", "2"), f.put("new", "")},
	})
	if ok || at != rev {
		t.Errorf("ok %v at %d; want false at %d", ok, at, rev)
	}
	if items, _ := f.list(); len(items) != 1 || string(items[0].Value) != "1" {
		t.Errorf("after a refused transaction: %+v", items)
	}
}

// many returns n guards that hold and n writes.
func (f folder) many(n int) (conds []store.Cond, ops []store.Op) {
	for i := range n {
		name := strconv.Itoa(i)
		conds = append(conds, store.Absent(f.key("none"+name)))
		ops = append(ops, f.put(name, ""))
	}
	return conds, ops
}

func largestAllowed(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	conds, ops := f.many(store.TxnOpsMax)
	if _, ok := f.try(store.Txn{If: conds, Then: ops}); !ok {
		t.Error("the guards did not hold")
	}
	size := store.TxnBytesMax - len(f.key("big"))
	f.commit(store.Put(f.key("big"), make([]byte, size)))
	if got := len(f.get("big").Value); got != size {
		t.Errorf("of %d bytes %d were kept", size, got)
	}
}

func beyondLimits(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	before := f.commit(f.put("k", "1"))
	conds, ops := f.many(store.TxnOpsMax + 1)
	for what, txn := range map[string]store.Txn{
		"too many writes":       {Then: ops},
		"too many guards":       {If: conds, Then: ops[:1]},
		"too many bytes":        {Then: []store.Op{store.Put(f.key("big"), make([]byte, store.TxnBytesMax))}},
		"a key written twice":   {Then: []store.Op{f.put("k", "2"), f.put("k", "3")}},
		"a key put and deleted": {Then: []store.Op{f.put("k", "2"), f.del("k")}},
		"a write without a key": {Then: []store.Op{store.Put("", nil)}},
		"a guard without a key": {If: []store.Cond{store.Absent("")}, Then: ops[:1]},
	} {
		_, ok, err := s.Commit(f.ctx, txn)
		refused(t, what, err, cluster.Invalid)
		if ok {
			t.Errorf("%s: ok", what)
		}
	}
	if items, rev := f.list(); rev != before || len(items) != 1 {
		t.Errorf("something was written: %d items at %d, want 1 at %d", len(items), rev, before)
	}
}

func casCounter(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	f.commit(f.put("n", "0"))
	const workers, each = 4, 10
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for range each {
				if err := f.increment(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	if got, want := string(f.get("n").Value), strconv.Itoa(workers*each); got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}

// increment adds one to the key n. It fails no test itself, since it runs on
// goroutines of its own.
func (f folder) increment() error {
	for {
		items, _, err := f.s.List(f.ctx, f.key("n"))
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(items[0].Value))
		if err != nil {
			return err
		}
		_, ok, err := f.s.Commit(f.ctx, store.Txn{
			If:   []store.Cond{store.ChangedAt(f.key("n"), items[0].Changed)},
			Then: []store.Op{f.put("n", strconv.Itoa(n+1))},
		})
		if ok || err != nil {
			return err
		}
	}
}

func readYourWrites(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	for range 20 {
		rev := f.commit(f.put("k", ""))
		items, at := f.list()
		if at < rev || len(items) != 1 || items[0].Changed < rev {
			t.Fatalf("a list at %d after a commit at %d: %+v", at, rev, items)
		}
	}
}

func endedContext(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	before := f.commit(f.put("k", "1"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok, err := s.Commit(ended, store.Txn{Then: []store.Op{f.put("k", "2")}})
	refused(t, "commit", err, cluster.Unavailable)
	if ok {
		t.Error("ok")
	}
	if _, _, err := s.List(ended, f.prefix); err == nil {
		t.Error("a list whose context has ended was answered")
	}
	if got := f.get("k"); got.Changed != before {
		t.Errorf("it happened: %+v", got)
	}
}

func valuesAreCopies(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	value := []byte{0, 0xff, '\n', 0x80}
	mine := bytes.Clone(value)
	f.commit(store.Put(f.key("k"), mine))
	mine[0] = 'x'
	got := f.get("k").Value
	if !bytes.Equal(got, value) {
		t.Fatalf("kept %q, want %q", got, value)
	}
	got[0] = 'y'
	if again := f.get("k").Value; !bytes.Equal(again, value) {
		t.Errorf("a reader changed what the store keeps: %q", again)
	}
}
