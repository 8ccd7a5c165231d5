package api

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/store"
)

func nodeItself() pki.Caller { return pki.Caller{Kind: pki.Node, Node: there} }

func slicePath(after cluster.Revision) string {
	return fmt.Sprintf("/v1/nodes/%s/slice?after=%d", there, after)
}

func localRoot() pki.Caller { return pki.Caller{Kind: pki.Local} }

// placed are the records of a unit that is placed on the worker.
func placed(name cluster.UnitName, text string) []store.Op {
	return []store.Op{
		store.PutUnit(cluster.Unit{Name: name, UID: "u-" + cluster.UID(name), Text: text, Hash: cluster.HashText(text), Desired: cluster.Launched}),
		store.PutPlacement(cluster.Placement{Unit: name, UID: "u-" + cluster.UID(name), Epoch: 1, Nodes: []cluster.NodeID{there}, Reason: "test"}),
	}
}

// inBubble runs a test in simulated time.
func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBench(t)) })
}

func names(units []cluster.Assignment) []cluster.UnitName {
	list := []cluster.UnitName{}
	for _, u := range units {
		list = append(list, u.Name)
	}
	return list
}

func TestASliceIsTheWholeFirstAndThenWhatChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(placed("a.service", hello)...)
		b.put(placed("b.service", hello)...)
		stream := open[wire.SliceUpdate](b, nodeItself(), slicePath(0))
		whole := stream.next()
		if !whole.Full || !cmp.Equal(names(whole.Put), []cluster.UnitName{"a.service", "b.service"}) || len(whole.Servers) != 1 {
			t.Errorf("first message %+v", whole)
		}
		rev := b.put(placed("a.service", hello+"# changed\n")...)
		if m := stream.next(); m.Full || !cmp.Equal(names(m.Put), []cluster.UnitName{"a.service"}) || m.Generation < rev {
			t.Errorf("after a change of a: %+v", m)
		}
		b.put(store.Delete(store.PlacementKey("b.service")))
		if m := stream.next(); m.Full || len(m.Put) != 0 || !cmp.Equal(m.Remove, []cluster.UnitName{"b.service"}) {
			t.Errorf("after b was withdrawn: %+v", m)
		}
		b.put(store.PutMember(cluster.Member{Node: there, State: cluster.MemberLearner}))
		if m := stream.next(); m.Member == nil || m.Member.State != cluster.MemberLearner {
			t.Errorf("chosen as a server: %+v", m)
		}
		b.put(store.Delete(store.MemberKey(there)))
		if m := stream.next(); m.Member != nil || !m.Full {
			t.Errorf("no server any more: %+v", m)
		}
	})
}

func TestNothingOfOthersIsInASlice(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		ops := placed("other.service", hello)
		ops[1] = store.PutPlacement(cluster.Placement{Unit: "other.service", UID: "u-other.service", Epoch: 1, Nodes: []cluster.NodeID{here}, Reason: "test"})
		b.put(ops...)
		if m := open[wire.SliceUpdate](b, nodeItself(), slicePath(0)).next(); len(m.Put) != 0 {
			t.Errorf("%+v", m)
		}
		foreign := open[wire.SliceUpdate](b, pki.Caller{Kind: pki.Node, Node: here}, slicePath(0))
		synctest.Wait()
		if foreign.status != http.StatusForbidden {
			t.Errorf("another node's slice: %d", foreign.status)
		}
	})
}

// Renewals of sessions come all the time. They are no news, and they must not
// keep the sign of life from being sent: the reader hangs up after 20 s.
func TestAStreamWithoutNewsShowsThatItLives(t *testing.T) {
	for _, tt := range []struct {
		name     string
		renewals bool
	}{{"while nothing is written", false}, {"while sessions are renewed", true}} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				slice := open[wire.SliceUpdate](b, nodeItself(), slicePath(0))
				watch := open[wire.Change](b, localRoot(), wire.PathWatch)
				slice.next()
				watch.next()
				for i := range 30 {
					b.pass(time.Second)
					if tt.renewals {
						b.put(store.PutSession(cluster.Session{Node: there, Incarnation: "i", Seq: int64(i)}))
					}
				}
				synctest.Wait()
				for name, n := range map[string]int{"slice": len(slice.messages), "watch": len(watch.messages)} {
					if n < 4 || n > 8 {
						t.Errorf("%s: %d signs of life in 30 s", name, n)
					}
				}
				if m := slice.next(); m.Full || len(m.Put)+len(m.Remove) > 0 {
					t.Errorf("a sign of life says %+v", m)
				}
				if m := watch.next(); m.Full || len(m.Units)+len(m.Nodes) > 0 {
					t.Errorf("a sign of life says %+v", m)
				}
			})
		})
	}
}

func TestAWatchIsTheWholeFirstAndThenWhatChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(placed("a.service", hello)...)
		watch := open[wire.Change](b, localRoot(), wire.PathWatch)
		if m := watch.next(); !m.Full || len(m.Units) != 1 || len(m.Nodes) != 2 || m.Units[0].Text != "" {
			t.Errorf("first message %+v", m)
		}
		b.put(store.PutStatus(cluster.Status{Node: there, Unit: "a.service", UID: "u-a.service", Load: "loaded", Active: "active"}))
		if m := watch.next(); m.Full || len(m.Units) != 1 || m.Units[0].State != cluster.Launched || len(m.Nodes) != 0 {
			t.Errorf("after it became active: %+v", m)
		}
		b.put(store.Delete(store.UnitKey("a.service")), store.Delete(store.PlacementKey("a.service")),
			store.Delete(store.StatusKey(there, "a.service")))
		for {
			m := watch.next()
			if cmp.Equal(m.GoneUnits, []cluster.UnitName{"a.service"}) {
				break
			}
		}
	})
}

func TestAStreamEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(b *bench, s *reader[wire.SliceUpdate])
		in   time.Duration
	}{
		{"when its reader goes away", func(_ *bench, s *reader[wire.SliceUpdate]) { s.cancel() }, time.Millisecond},
		{"when the node is removed", func(b *bench, _ *reader[wire.SliceUpdate]) { b.put(store.Delete(store.NodeKey(there))) }, time.Second},
		// Another server may hear what this one does not.
		{"when the server is cut off from the store", func(b *bench, _ *reader[wire.SliceUpdate]) { b.line.Cut() }, 25 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				stream := open[wire.SliceUpdate](b, nodeItself(), slicePath(0))
				stream.next()
				b.pass(10 * time.Second)
				if stream.over() {
					t.Fatal("it ended by itself")
				}
				tt.end(b, stream)
				b.pass(tt.in)
				synctest.Wait()
				if !stream.over() {
					t.Error("it goes on")
				}
			})
		})
	}
}

// A node that has seen a later state than this server is not told an older one.
func TestASliceIsNotOlderThanTheNodeHasSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		now := b.server.Mirror.State().Revision
		b.line.Cut()
		behind := open[wire.SliceUpdate](b, nodeItself(), slicePath(now+1))
		b.pass(readMax + time.Second)
		synctest.Wait()
		if behind.status != http.StatusServiceUnavailable {
			t.Errorf("status %d", behind.status)
		}
		senseless := open[wire.SliceUpdate](b, nodeItself(), "/v1/nodes/"+string(there)+"/slice?after=x")
		synctest.Wait()
		if senseless.status != http.StatusBadRequest {
			t.Errorf("after=x: %d", senseless.status)
		}
	})
}

// Without a quorum what is known is still shown, marked with its age, and
// writes are refused at once and with the reason.
func TestWithoutQuorum(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.put(placed("a.service", hello)...)
		list := func() (l wire.List[wire.UnitView]) {
			t.Helper()
			if problem := b.call("GET", wire.PathUnits, nil, &l); problem != nil {
				t.Fatalf("%+v", problem)
			}
			return l
		}
		if l := list(); l.Stale || l.Age != 0 {
			t.Errorf("with a quorum: %+v", l)
		}
		b.line.Cut()
		b.pass(30 * time.Second)
		began := time.Now()
		if l := list(); !l.Stale || l.Age < 25 || len(l.Items) != 1 {
			t.Errorf("without: stale %v, age %v, %d units", l.Stale, l.Age, len(l.Items))
		}
		_, problem := submit(b, one("b.service", hello))
		if problem == nil || problem.Code != "unavailable" || problem.Hint == "" {
			t.Errorf("a write: %+v", problem)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the answers took %s", took)
		}
		b.line.Heal()
		b.pass(20 * time.Second)
		if l := list(); l.Stale || len(b.units()) != 1 {
			t.Errorf("healed: %+v, units %v", l, b.units())
		}
	})
}
