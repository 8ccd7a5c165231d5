package etcdstore_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/etcd/etcdtest"
	"argosy/internal/store"
	"argosy/internal/store/etcdstore"
)

// openWithin opens a store whose answers are small.
func openWithin(t *testing.T, c *etcdtest.Cluster, m *etcdtest.Member, page int64, answer int) *etcdstore.Store {
	t.Helper()
	cfg := etcdstore.Config{Endpoints: []string{m.Config.AdvertiseClient}, TLS: c.ClientTLS(t)}
	s, err := etcdstore.OpenWithin(cfg, page, answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func commit(t *testing.T, s store.Store, ops ...store.Op) cluster.Revision {
	t.Helper()
	rev, ok, err := s.Commit(t.Context(), store.Txn{Then: ops})
	if err != nil || !ok {
		t.Fatalf("commit: %v, %v", ok, err)
	}
	return rev
}

// Seventy megabytes were once more than a server could start with.
func TestMoreCanBeStoredThanAnAnswerHolds(t *testing.T) {
	const records, size = 70, 1_000_000
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	ordinary := c.Open(t, one)
	before := commit(t, ordinary, store.Put("/first", nil))
	value := bytes.Repeat([]byte{'v'}, size)
	for i := range records {
		commit(t, ordinary, store.Put(fmt.Sprintf("/large/%02d", i), value))
	}
	for _, tt := range []struct {
		name, prefix string
		s            *etcdstore.Store
		want         int
	}{
		{"as servers ask", "/large/", ordinary, records},
		{"with small answers", "/large/0", openWithin(t, c, one, 3, 4<<20), 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			items, _, err := tt.s.List(t.Context(), tt.prefix)
			if err != nil || len(items) != tt.want {
				t.Errorf("%d of %d are listed: %v", len(items), tt.want, err)
			}
			watch, events := tt.s.Watch(t.Context(), tt.prefix, before), 0
			for events < tt.want {
				batch, ok := <-watch.C()
				if !ok {
					t.Fatalf("the watch ends after %d of %d: %v", events, tt.want, watch.Err())
				}
				events += len(batch.Events)
			}
		})
	}
}

func keys(items []store.Item) []string {
	list := []string{}
	for _, item := range items {
		list = append(list, item.Key+"="+string(item.Value))
	}
	return list
}

// What is written while a listing is read must be in it wholly or not at all.
func TestAListingIsOfOneRevisionHoweverManyPagesItHas(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	writer := c.Open(t, one)
	for _, tt := range []struct {
		name   string
		forget bool // the revision of the first page, before the second is read
		want   []string
	}{
		{"what comes later is not in it", false, []string{"a=1", "b=1", "c=1", "d=1", "e=1"}},
		{"it begins anew when its revision is forgotten", true, []string{"a=2", "b=1", "d=1", "e=2", "f=2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := "/" + t.Name() + "/"
			put := func(key, value string) store.Op { return store.Put(folder+key, []byte(value)) }
			first := commit(t, writer, put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1"), put("e", "1"))
			reader := openWithin(t, c, one, 2, 4<<20)
			want := first
			pages := 0
			reader.AfterEachPage(func() {
				if pages++; pages > 1 {
					return
				}
				second := commit(t, writer, put("a", "2"), store.Delete(folder+"c"), put("e", "2"), put("f", "2"))
				if !tt.forget {
					return
				}
				want = second
				if err := writer.Compact(t.Context(), second); err != nil {
					t.Error(err)
				}
			})
			items, rev, err := reader.List(t.Context(), folder)
			for i, key := range tt.want {
				tt.want[i] = folder + key
			}
			if err != nil || rev != want || !slices.Equal(keys(items), tt.want) {
				t.Errorf("at revision %d, %v, %v; want %d, %v", rev, keys(items), err, want, tt.want)
			}
		})
	}
}
