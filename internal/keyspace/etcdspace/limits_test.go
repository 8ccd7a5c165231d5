package etcdspace

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

// What is in the key space is counted as it comes and goes, and the cluster's own is not.
func TestWhatIsInTheKeySpaceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New().Client()
		write := func(ops ...store.Op) cluster.Revision {
			rev, ok, err := db.Commit(t.Context(), store.Txn{Then: ops})
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			return rev
		}
		write(store.Put(store.PrefixApps+"keys/a", make([]byte, 100)), store.Put(store.KeyLeader, make([]byte, 1000)))
		l := newLimits(db)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = loop.New("count", slog.New(slog.DiscardHandler), l.count).Run(ctx) }()
		used := func(want int64) {
			t.Helper()
			synctest.Wait()
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.used != want {
				t.Errorf("%d bytes are counted, want %d", l.used, want)
			}
		}
		const each = keyCost + int64(len("keys/a"))
		used(each + 100)
		write(store.Put(store.PrefixApps+"keys/a", make([]byte, 10)), store.Put(store.PrefixApps+"keys/b", nil), store.Put("/argosy/x", make([]byte, 50)))
		used(2*each + 10)
		write(store.Delete(store.PrefixApps + "keys/a"))
		used(each)
		write(store.Delete(store.PrefixApps + "keys/b"))
		used(0)
	})
}

// While the database is large with the history of what applications wrote, they write
// no more; and each has as many leases as there may be.
func TestTheLimitsOfTheDatabase(t *testing.T) {
	l := newLimits(memstore.New().Client())
	l.begin(nil)
	for _, tt := range []struct {
		database int64
		leases   int
		write    bool
		lease    bool
	}{
		{databaseMax, leasesMax - 1, true, true},
		{databaseMax + 1, 0, false, true},
		{0, leasesMax, true, false},
	} {
		l.database, l.leases = tt.database, tt.leases
		if err := l.room(t.Context(), 1); (err == nil) != tt.write {
			t.Errorf("a write at %+v: %v", tt, err)
		}
		done, err := l.admitLease(t.Context())
		if (err == nil) != tt.lease {
			t.Errorf("a lease at %+v: %v", tt, err)
		}
		if err == nil {
			done()
		}
	}
}
