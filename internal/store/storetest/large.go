package storetest

import (
	"bytes"
	"fmt"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

func largeCases() []Case {
	return []Case{
		{"a list has no largest number of items", listOfMany},
		{"a watch catches up on any amount, in whole revisions", watchOfMuch},
	}
}

// fill writes some times as much as fits a transaction, several times as many
// items as an answer of etcd may have, and returns the revisions.
func (f folder) fill() (revs []cluster.Revision) {
	f.t.Helper()
	const transactions = 4
	value := bytes.Repeat([]byte{'v'}, store.TxnBytesMax/store.TxnOpsMax-len(f.key("0-000")))
	for i := range transactions {
		var ops []store.Op
		for j := range store.TxnOpsMax {
			ops = append(ops, f.put(fmt.Sprintf("%d-%03d", i, j), string(value)))
		}
		revs = append(revs, f.commit(ops...))
	}
	return revs
}

func listOfMany(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	revs := f.fill()
	items, rev := f.list()
	if want := len(revs) * store.TxnOpsMax; len(items) != want || rev != revs[len(revs)-1] {
		t.Fatalf("%d items are listed at revision %d; want %d at %d", len(items), rev, want, revs[len(revs)-1])
	}
	for i, item := range items {
		if want := f.key(fmt.Sprintf("%d-%03d", i/store.TxnOpsMax, i%store.TxnOpsMax)); item.Key != want || item.Changed != revs[i/store.TxnOpsMax] {
			t.Fatalf("item %d is %s of revision %d; want %s", i, item.Key, item.Changed, want)
		}
	}
}

func watchOfMuch(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	_, before := f.list()
	revs := f.fill()
	events := f.watch(before).until(revs[len(revs)-1])
	if want := len(revs) * store.TxnOpsMax; len(events) != want {
		t.Fatalf("%d of %d changes were delivered", len(events), want)
	}
	for i, e := range events {
		if e.Changed != revs[i/store.TxnOpsMax] {
			t.Fatalf("change %d is of revision %d, want %d", i, e.Changed, revs[i/store.TxnOpsMax])
		}
	}
}
