package memstore_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
	"argosy/internal/store/storetest"
)

func TestMemstoreKeepsThePromisesOfAStore(t *testing.T) {
	for _, c := range storetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, memstore.New().Client()) })
		})
	}
}

func TestTwoMemstoresDoNotDiffer(t *testing.T) {
	storetest.Differential(t, memstore.New().Client(), memstore.New().Client())
}

func write(key string) store.Txn { return store.Txn{Then: []store.Op{store.Put(key, []byte("v"))}} }

func list(t *testing.T, s store.Store) []store.Item {
	t.Helper()
	items, _, err := s.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func always(outcome memstore.Outcome) memstore.Fault {
	return func(context.Context, string) memstore.Outcome { return outcome }
}

func TestACommitWhoseReplyIsLostHappenedAndSaysUnknown(t *testing.T) {
	shared := memstore.New()
	_, ok, err := shared.ClientWith(always(memstore.LoseReply)).Commit(t.Context(), write("/k"))
	if cluster.KindOf(err) != cluster.Unknown || ok {
		t.Errorf("ok %v, %v; want an unknown outcome", ok, err)
	}
	if len(list(t, shared.Client())) != 1 {
		t.Error("it did not happen")
	}
}

func TestARefusedOperationIsUnavailableAndDidNotHappen(t *testing.T) {
	shared := memstore.New()
	refused := shared.ClientWith(always(memstore.Refuse))
	_, _, commit := refused.Commit(t.Context(), write("/k"))
	_, _, listed := refused.List(t.Context(), "/")
	for what, err := range map[string]error{"commit": commit, "list": listed, "compact": refused.Compact(t.Context(), 1)} {
		if cluster.KindOf(err) != cluster.Unavailable {
			t.Errorf("%s: %v, want Unavailable", what, err)
		}
	}
	watch := refused.Watch(t.Context(), "/", 1)
	if _, ok := <-watch.C(); ok || cluster.KindOf(watch.Err()) != cluster.Unavailable {
		t.Errorf("a refused watch ended with %v, want Unavailable", watch.Err())
	}
	if len(list(t, shared.Client())) != 0 {
		t.Error("it happened")
	}
}

func TestBehindAPartitionRequestsAreLostAndTheWatchResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memstore.New()
		var line memstore.Partition
		cut, healthy := shared.ClientWith(line.Fault), shared.Client()
		watch := cut.Watch(t.Context(), "/", 1)
		synctest.Wait()
		line.Cut()

		const deadline = 3 * time.Second
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		_, _, err := cut.Commit(ctx, write("/lost"))
		if cluster.KindOf(err) != cluster.Unavailable || time.Since(began) != deadline {
			t.Errorf("a commit behind the cut: %v after %v, want Unavailable at its deadline", err, time.Since(began))
		}
		if _, ok, err := healthy.Commit(t.Context(), write("/k")); err != nil || !ok {
			t.Errorf("another client suffers from the cut: %v", err)
		}
		synctest.Wait()
		select {
		case batch := <-watch.C():
			t.Errorf("the watch delivered %+v through the cut", batch)
		default:
		}

		line.Heal()
		if batch := <-watch.C(); len(batch.Events) != 1 || batch.Events[0].Key != "/k" {
			t.Errorf("after the cut the watch delivered %+v", batch)
		}
		if _, _, err := cut.Commit(t.Context(), write("/again")); err != nil {
			t.Errorf("a healed line: %v", err)
		}
	})
}

func TestADelayPassesInSimulatedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := memstore.New().ClientWith(memstore.Delay(time.Hour))
		began := time.Now()
		if _, ok, err := slow.Commit(t.Context(), write("/k")); err != nil || !ok {
			t.Fatal(err)
		}
		if got := time.Since(began); got != time.Hour {
			t.Errorf("took %v", got)
		}
	})
}

func TestAnIdleWatchGivesASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New().Client()
		watch := s.Watch(t.Context(), "/", 1)
		for range 3 {
			began := time.Now()
			if batch := <-watch.C(); batch.Revision != 1 || len(batch.Events) != 0 {
				t.Errorf("got %+v, want a bare sign of life", batch)
			}
			if got := time.Since(began); got != memstore.ProgressEvery {
				t.Errorf("after %v, want %v", got, memstore.ProgressEvery)
			}
		}
	})
}
