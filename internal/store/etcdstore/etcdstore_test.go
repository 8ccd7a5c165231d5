package etcdstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/etcd/etcdtest"
	"argosy/internal/store"
	"argosy/internal/store/etcdstore"
	"argosy/internal/store/memstore"
	"argosy/internal/store/storetest"
)

func open(t *testing.T) *etcdstore.Store {
	t.Helper()
	c := etcdtest.New(t)
	return c.Open(t, c.Found(t, "one"))
}

func TestEtcdKeepsThePromisesOfAStore(t *testing.T) {
	s := open(t)
	storetest.Run(t, func(*testing.T) store.Store { return s })
}

func TestMemstoreAndEtcdDoNotDiffer(t *testing.T) {
	storetest.Differential(t, memstore.New().Client(), open(t))
}

func TestWhereNobodyAnswersEveryOperationEndsAtItsDeadline(t *testing.T) {
	c := etcdtest.New(t)
	s := c.Open(t, c.Prepare(t, "absent"))
	within := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if _, _, err := s.List(within(), "/"); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("list: %v, want Unavailable", err)
	}
	if err := s.Compact(within(), 1); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("compact: %v, want Unavailable", err)
	}
	if _, err := s.Membership().List(within()); cluster.KindOf(err) != cluster.Unavailable {
		t.Errorf("list of members: %v, want Unavailable", err)
	}
	_, ok, err := s.Commit(within(), store.Txn{Then: []store.Op{store.Put("/k", nil)}})
	if kind := cluster.KindOf(err); ok || kind != cluster.Unavailable && kind != cluster.Unknown {
		t.Errorf("commit: ok %v, %v; want Unavailable or Unknown", ok, err)
	}
}

func TestTheServersToAskCanBeReplaced(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	s := c.Open(t, c.Prepare(t, "absent"))
	s.SetEndpoints([]string{one.Config.AdvertiseClient})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		_, _, err := s.List(ctx, "/")
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the other server was never asked: %v", err)
		}
	}
}

func TestAMemberSaysHowItIs(t *testing.T) {
	s := open(t)
	list, err := s.Health(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if m := list[0]; m.Name != "one" || !m.Leader || m.Learner || m.DBSize == 0 || m.Err != nil {
		t.Errorf("got %+v", m)
	}
}

func TestChangesOfTheMembershipAreRefusedWithTheirKind(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	m := c.Open(t, one).Membership()
	list, err := m.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	_, twice := m.AddLearner(t.Context(), one.Config.AdvertisePeer)
	for what, c := range map[string]struct {
		err  error
		want cluster.Kind
	}{
		"a member that is there already": {twice, cluster.Exists},
		"removing nobody":                {m.Remove(t.Context(), 42), cluster.NotFound},
		"promoting nobody":               {m.Promote(t.Context(), 42), cluster.NotFound},
		"promoting a voter":              {m.Promote(t.Context(), list[0].ID), cluster.Conflict},
	} {
		if cluster.KindOf(c.err) != c.want {
			t.Errorf("%s: %v, want kind %s", what, c.err, c.want)
		}
	}
}

// A connection that something comes over is not closed for being unwanted.
func TestAWatchDoesNotStayWithAServerThatIsNotAskedAnyMore(t *testing.T) {
	c := etcdtest.New(t)
	one := c.Found(t, "one")
	s := c.Open(t, one)
	watch := s.Watch(t.Context(), "/", 1)
	if _, _, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{store.Put("/k", nil)}}); err != nil {
		t.Fatal(err)
	}
	if batch := <-watch.C(); len(batch.Events) != 1 {
		t.Fatalf("the watch delivers %+v", batch)
	}
	s.SetEndpoints([]string{one.Config.AdvertiseClient})
	if batch, ok := <-watch.C(); ok || !errors.Is(watch.Err(), store.ErrMoved) {
		t.Errorf("the watch goes on with %+v, %v", batch, watch.Err())
	}
}
