package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// harbor runs a test with servers and nodes whose daemons the test plays.
func harbor(t *testing.T, servers, nodes int, play func(f *fleet)) {
	t.Helper()
	sail(t, servers, nodes, func(f *fleet) {
		for id := range f.nodes {
			f.stopNode(id)
		}
		f.pass(3 * time.Second)
		play(f)
	})
}

func TestRenew(t *testing.T) {
	const id = cluster.NodeID("n00")
	for _, test := range []struct {
		name    string
		stored  *cluster.Session
		renew   cluster.Session
		want    cluster.Session
		refused string
	}{{
		name:  "the first renewal opens a session",
		renew: cluster.Session{Incarnation: "i", BootID: "b", Seq: 1},
		want:  cluster.Session{Node: id, Incarnation: "i", BootID: "b", Seq: 1},
	}, {
		name:   "the next one moves it on",
		stored: &cluster.Session{Incarnation: "i", BootID: "b", Seq: 6, Epoch: 2},
		renew:  cluster.Session{Incarnation: "i", BootID: "b", Seq: 7, Heard: 6},
		want:   cluster.Session{Node: id, Incarnation: "i", BootID: "b", Seq: 7, Heard: 6, Epoch: 2},
	}, {
		name:   "renewals in between may have been lost on their way",
		stored: &cluster.Session{Incarnation: "i", Seq: 6, Heard: 5},
		renew:  cluster.Session{Incarnation: "i", Seq: 9, Heard: 6},
		want:   cluster.Session{Node: id, Incarnation: "i", Seq: 9, Heard: 6},
	}, {
		name:   "a node that did not hear of its last renewal is told of it, and renews nothing",
		stored: &cluster.Session{Incarnation: "i", Seq: 7, Heard: 6, Epoch: 2},
		renew:  cluster.Session{Incarnation: "i", Seq: 8, Heard: 6},
		want:   cluster.Session{Node: id, Incarnation: "i", Seq: 7, Heard: 6, Epoch: 2},
	}, {
		name:   "nor does one that did not hear of its opening",
		stored: &cluster.Session{Incarnation: "i", Seq: 1},
		renew:  cluster.Session{Incarnation: "i", Seq: 2},
		want:   cluster.Session{Node: id, Incarnation: "i", Seq: 1},
	}, {
		name:    "nobody hears of what was not yet asked",
		stored:  &cluster.Session{Incarnation: "i", Seq: 7},
		renew:   cluster.Session{Incarnation: "i", Seq: 8, Heard: 8},
		refused: "invalid: renewal 8 of a session cannot have heard of renewal 8",
	}, {
		name:   "a daemon that was started anew replaces the session and keeps its epoch",
		stored: &cluster.Session{Incarnation: "i", BootID: "b", Seq: 7, Dead: true, Epoch: 3},
		renew:  cluster.Session{Incarnation: "j", BootID: "c", Seq: 1},
		want:   cluster.Session{Node: id, Incarnation: "j", BootID: "c", Seq: 1, Epoch: 3},
	}, {
		name:    "the daemon that was replaced is told so",
		stored:  &cluster.Session{Incarnation: "j", Seq: 1},
		renew:   cluster.Session{Incarnation: "i", Seq: 8, Heard: 7},
		refused: "conflict: the session of node n00 was replaced by that of a daemon that started later",
	}, {
		name:    "a node whose session was declared dead is told so",
		stored:  &cluster.Session{Incarnation: "i", Seq: 7, Dead: true, Epoch: 1},
		renew:   cluster.Session{Incarnation: "i", Seq: 8, Heard: 7},
		refused: "conflict: the session of node n00 was declared dead: it was silent for too long",
	}, {
		name:    "a session that is not in the store must be opened",
		renew:   cluster.Session{Incarnation: "i", Seq: 8, Heard: 7},
		refused: "conflict: the session of node n00 is gone from the store",
	}, {
		name:    "a node cannot declare itself",
		renew:   cluster.Session{Seq: 1, Dead: true, Epoch: 9},
		refused: "invalid: a session needs an incarnation",
	}, {
		name:    "a node that was removed is told so",
		renew:   cluster.Session{Node: "removed", Incarnation: "i", Seq: 1},
		refused: "not-found: node removed was removed from the cluster",
	}} {
		t.Run(test.name, func(t *testing.T) {
			harbor(t, 1, 1, func(f *fleet) {
				f.commit(store.Delete(store.SessionKey(id)))
				if test.stored != nil {
					test.stored.Node = id
					f.commit(store.PutSession(*test.stored))
				}
				f.pass(10 * time.Millisecond)
				if test.renew.Node == "" {
					test.renew.Node = id
				}
				got, err := f.servers[0].sessions.Renew(f.t.Context(), test.renew)
				refused := ""
				if err != nil {
					refused = cluster.KindOf(err).String() + ": " + err.Error()
					got = cluster.Session{}
				}
				if diff := cmp.Diff(test.refused, refused); diff != "" {
					t.Errorf("refusal (-want +got):\n%s", diff)
				}
				got.Revision = 0
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("session (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestTheFirstRenewalIsNotDelayed(t *testing.T) {
	harbor(t, 1, 1, func(f *fleet) {
		start := time.Now()
		_, err := f.servers[0].sessions.Renew(f.t.Context(), cluster.Session{Node: "n00", Incarnation: "new", Seq: 1})
		if err != nil || time.Since(start) > 10*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

// The idle cost: a hundred nodes on one server, and less than two writes a
// second.
func TestRenewalsOfManyNodesShareTransactions(t *testing.T) {
	sail(t, 1, 50, func(f *fleet) {
		f.pass(10 * time.Second)
		before := f.store.Revision()
		f.pass(time.Minute)
		if writes := f.store.Revision() - before; writes > 65 {
			t.Errorf("%d writes in a minute", writes)
		}
		for _, n := range f.state().Nodes {
			if n.Session.Seq < 20 {
				t.Errorf("%s was renewed %d times", n.Node.ID, n.Session.Seq)
			}
		}
	})
}

// A session that changes while the batch is under way spoils the transaction,
// and every renewal of it is then committed alone.
func TestARenewalThatIsInTheWayDoesNotHoldUpTheBatch(t *testing.T) {
	harbor(t, 1, 10, func(f *fleet) {
		s := f.servers[0]
		renew := func(i int, seq int64) error {
			_, err := s.sessions.Renew(f.t.Context(), cluster.Session{Node: nodeID(i), Incarnation: "new", Seq: seq, Heard: seq - 1})
			return err
		}
		for i := range 10 {
			if err := renew(i, 1); err != nil {
				t.Fatal(err)
			}
		}
		release := s.hold(store.PrefixSessions)
		var wait sync.WaitGroup
		errs := make([]error, 10)
		for i := range errs {
			wait.Go(func() { errs[i] = renew(i, 2) })
		}
		f.pass(1500 * time.Millisecond) // they are on their way to the store, and not given up
		f.commit(store.PutSession(cluster.Session{Node: nodeID(3), Incarnation: "new", Seq: 2, Dead: true, Epoch: 1}))
		release()
		wait.Wait()
		for i, err := range errs {
			if i == 3 && cluster.KindOf(err) != cluster.Conflict {
				t.Errorf("the dead session was renewed: %v", err)
			}
			if i != 3 && err != nil {
				t.Errorf("%s: %v", nodeID(i), err)
			}
		}
		f.history()
	})
}

// etcd loses what was on its way to a leader that dies, and says nothing.
func TestARenewalThatIsLostHoldsUpNobodyForLong(t *testing.T) {
	harbor(t, 1, 2, func(f *fleet) {
		release := f.servers[0].hold(store.PrefixSessions)
		start := time.Now()
		_, err := f.servers[0].sessions.Renew(f.t.Context(), cluster.Session{Node: "n00", Incarnation: "new", Seq: 1})
		if took := time.Since(start); err == nil || took > cluster.DefaultTimings().Renew/2 {
			t.Errorf("given up after %s: %v", took, err)
		}
		release()
		if _, err := f.servers[0].sessions.Renew(f.t.Context(), cluster.Session{Node: "n01", Incarnation: "new", Seq: 1}); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > cluster.DefaultTimings().Renew {
			t.Errorf("the next was stored after %s", took)
		}
	})
}

func TestANodeThatChangesServersIsKnownThere(t *testing.T) {
	harbor(t, 3, 3, func(f *fleet) {
		session := cluster.Session{Node: "n00", Incarnation: "new", Seq: 1}
		for i := range 9 {
			got, err := f.servers[i%3].sessions.Renew(f.t.Context(), session)
			if err != nil {
				t.Fatal(err)
			}
			if got.Seq != int64(i+1) {
				t.Fatalf("seq %d after %d renewals", got.Seq, i+1)
			}
			session.Seq, session.Heard = got.Seq+1, got.Seq
		}
	})
}

func TestRenewalsFailWhenTheServerStops(t *testing.T) {
	harbor(t, 1, 1, func(f *fleet) {
		f.stopServer(f.servers[0])
		synctest.Wait()
		_, err := f.servers[0].sessions.Renew(f.t.Context(), cluster.Session{Node: "n00", Incarnation: "new", Seq: 1})
		if cluster.KindOf(err) != cluster.Unavailable || !strings.Contains(fmt.Sprint(err), "stopping") {
			t.Errorf("renewed by a stopped server: %v", err)
		}
	})
}
