package sim

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

// What is wrong for one revision only, between two that came at once, is seen.
func TestTheWatcherPassesOverNoRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New().Client()
		w := watch(db, slog.New(slog.DiscardHandler))
		defer w.close()
		term := func(n int64) {
			t.Helper()
			leader := cluster.Leader{Node: "0123456789abcdef0123456789abcdef", Term: n}
			if _, _, err := db.Commit(t.Context(), store.Txn{Then: []store.Op{store.PutLeader(leader)}}); err != nil {
				t.Fatal(err)
			}
		}
		term(5)
		_ = loop.Sleep(context.Background(), time.Second)
		if wrong := w.take(); len(wrong) != 0 {
			t.Fatalf("wrong from the beginning: %v", wrong)
		}
		// The watcher does not get to run between these.
		for _, n := range []int64{6, 4, 7} {
			term(n)
		}
		_ = loop.Sleep(context.Background(), time.Minute) // signs of life too
		wrong := strings.Join(w.take(), "\n")
		if !strings.Contains(wrong, "the term went back from 6 to 4") || strings.Contains(wrong, "not every revision") {
			t.Errorf("seen: %q", wrong)
		}
		if w.current().Leader.Term != 7 {
			t.Errorf("the newest state is of term %d", w.current().Leader.Term)
		}
	})
}
