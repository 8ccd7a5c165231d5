package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

func watchCases() []Case {
	return []Case{
		{"a watch delivers every change once, in order, in whole revisions", watchInOrder},
		{"a watch can begin after any revision that is kept", watchResumes},
		{"a watch begins with what is written after it was asked for", watchFromNow},
		{"a watch delivers its prefix only", watchPrefix},
		{"a reader who lags behind misses nothing", watchSlowReader},
		{"a quiet watch shows that it follows the store", watchProgress},
		{"a watch ends with its context", watchEnds},
		{"compaction ends what needs forgotten history, and only that", compaction},
		{"compaction goes forward only, and not beyond the present", compactionBounds},
	}
}

func watchInOrder(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	_, before := f.list()
	watch := f.watch(before)
	one := f.commit(f.put("a", "1"), f.put("b", "1"))
	two := f.commit(f.put("a", "2"))
	three := f.commit(f.del("a"), f.put("c", "3"))
	want := []store.Event{
		{Item: store.Item{Key: f.key("a"), Value: []byte("1"), Created: one, Changed: one}},
		{Item: store.Item{Key: f.key("b"), Value: []byte("1"), Created: one, Changed: one}},
		{Item: store.Item{Key: f.key("a"), Value: []byte("2"), Created: one, Changed: two}},
		{Item: store.Item{Key: f.key("a"), Changed: three}, Deleted: true},
		{Item: store.Item{Key: f.key("c"), Value: []byte("3"), Created: three, Changed: three}},
	}
	if diff := cmp.Diff(want, watch.until(three)); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, f.watch(before).until(three)); diff != "" {
		t.Errorf("from history (-want +got):\n%s", diff)
	}
}

func watchResumes(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	var revs []cluster.Revision
	for i := range 10 {
		revs = append(revs, f.commit(f.put(strconv.Itoa(i%3), "")))
	}
	last := revs[len(revs)-1]
	for i, after := range revs[:9] {
		var got []cluster.Revision
		for _, e := range f.watch(after).until(last) {
			got = append(got, e.Changed)
		}
		if !slices.Equal(got, revs[i+1:]) {
			t.Errorf("after %d: %v, want %v", after, got, revs[i+1:])
		}
	}
}

func watchFromNow(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	now := f.commit(f.put("old", ""))
	watch := f.watch(now)
	next := f.commit(f.put("new", ""))
	if events := watch.until(next); len(events) != 1 || events[0].Key != f.key("new") {
		t.Errorf("got %+v", events)
	}
}

func watchPrefix(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	_, before := f.list()
	f.commit(f.put("in/a", ""), f.put("out", ""), f.put("in", ""))
	last := f.commit(f.put("in/b", ""))
	inner := f
	inner.prefix = f.key("in/")
	var got []string
	for _, e := range inner.watch(before).until(last) {
		got = append(got, e.Key)
	}
	if want := []string{f.key("in/a"), f.key("in/b")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func watchSlowReader(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	_, before := f.list()
	watch := f.watch(before)
	const changes = 300
	var last cluster.Revision
	for i := range changes {
		last = f.commit(f.put("k", strconv.Itoa(i)))
	}
	events := watch.until(last)
	if len(events) != changes {
		t.Fatalf("%d of %d changes were delivered", len(events), changes)
	}
	for i, e := range events {
		if string(e.Value) != strconv.Itoa(i) {
			t.Fatalf("change %d carries %q", i, e.Value)
		}
	}
}

func watchProgress(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	_, before := f.list()
	inner := f
	inner.prefix = f.key("quiet/")
	watch := inner.watch(before)
	last := f.commit(f.put("elsewhere", ""))
	if events := watch.until(last); len(events) != 0 {
		t.Errorf("a quiet watch delivered %+v", events)
	}
}

func watchEnds(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	_, now := f.list()
	ctx, cancel := context.WithCancel(t.Context())
	watch := s.Watch(ctx, f.prefix, now)
	cancel()
	for range watch.C() {
		// Batches that were under way may still come; the end must.
	}
	if !errors.Is(watch.Err(), context.Canceled) {
		t.Errorf("ended with %v, want context.Canceled", watch.Err())
	}
}

func compaction(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	one := f.commit(f.put("a", "1"))
	two := f.commit(f.put("b", "2"))
	three := f.commit(f.del("a"))
	four := f.commit(f.put("b", "4"))
	if err := s.Compact(f.ctx, three); err != nil {
		t.Fatal(err)
	}
	if items, rev := f.list(); rev != four || len(items) != 1 || items[0].Created != two || items[0].Changed != four {
		t.Errorf("compaction changed the present: %+v at %d", items, rev)
	}
	f.watch(one).compacted()
	for _, after := range []cluster.Revision{two, three} { // what happened at three is kept
		events := f.watch(after).until(four)
		if len(events) != int(four-after) || events[len(events)-1].Changed != four {
			t.Errorf("after %d: %+v", after, events)
		}
	}
}

func compactionBounds(t *testing.T, s store.Store) {
	f := newFolder(t, s)
	one := f.commit(f.put("a", "1"))
	two := f.commit(f.put("a", "2"))
	refused(t, "compact to the future", s.Compact(f.ctx, two+1), cluster.Invalid)
	if err := s.Compact(f.ctx, two); err != nil {
		t.Errorf("compact to the present: %v", err)
	}
	for _, rev := range []cluster.Revision{one, two} {
		if err := s.Compact(f.ctx, rev); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("compact to %d again: %v, want ErrCompacted", rev, err)
		}
	}
	three := f.commit(f.put("a", "3"))
	if events := f.watch(two).until(three); len(events) != 1 {
		t.Errorf("after compaction to the present: %+v", events)
	}
}
