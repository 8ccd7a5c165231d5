package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

func TestANewUnitIsPlacedAtOnce(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		f.until(2*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(2 * time.Second)
		f.submit("web.service", "")
		if took := f.until(time.Second, "placed", allPlaced); took > 100*time.Millisecond {
			t.Errorf("placing took %s", took)
		}
		f.sound()
		f.history()
	})
}

func TestNothingIsPlannedWhileNothingThatPlacingDependsOnChanges(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		f.until(2*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.submit("web.service", "")
		f.until(time.Second, "placed", allPlaced)
		f.pass(10 * time.Second)
		leader := f.leader().engine
		before, revision := leader.Plans(), f.state().Revision
		f.pass(time.Minute)
		if plans := leader.Plans() - before; plans != 0 || f.state().Revision < revision+30 {
			t.Errorf("%d plans, while the store went from revision %d to %d", plans, revision, f.state().Revision)
		}
		f.commit(store.PutReport(cluster.Report{Node: nodeID(4), Address: address(4), Labels: map[string]string{"disk": "ssd"}}))
		f.pass(time.Second)
		if leader.Plans() == before {
			t.Error("a label that changed led to no plan")
		}
	})
}

func TestAThousandUnitsArePlacedWithinASecondEvenly(t *testing.T) {
	sail(t, 3, 3, func(f *fleet) {
		f.until(2*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(2 * time.Second)
		for i := range 1000 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.until(time.Second, "placed", allPlaced)
		counts := map[cluster.NodeID]int{}
		for _, p := range f.state().Placements {
			counts[p.Nodes[0]]++
		}
		for id, n := range counts {
			if n < 333 || n > 334 {
				t.Errorf("%s has %d of 1000 units", id, n)
			}
		}
		f.sound()
	})
}

// lostWithin is how soon after a node's death its units have moved at the
// latest: its last renewal may have waited a second for its batch.
func lostWithin() time.Duration {
	return cluster.DefaultTimings().Lost + time.Second + 200*time.Millisecond
}

func TestUnitsOfALostNodeMoveWithinTLost(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		for i := range 10 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.until(5*time.Second, "placed", allPlaced)
		f.pass(10 * time.Second)
		victim := nodeID(4)
		f.lose(victim)
		took := f.until(15*time.Second, "moved", func(s *cluster.State) bool {
			for _, p := range s.Placements {
				if p.On(victim) {
					return false
				}
			}
			return allPlaced(s)
		})
		if took > lostWithin() {
			t.Errorf("moving took %s, more than %s", took, lostWithin())
		}
		f.until(40*time.Second, "declared dead", func(s *cluster.State) bool { return s.Nodes[4].Session.Dead && s.Nodes[4].Session.Epoch == 1 })
		f.sound()
		f.history()
	})
}

func TestAnotherServerLeadsSoonAfterTheLeaderDies(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		for i := range 10 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.until(5*time.Second, "placed", allPlaced)
		f.pass(30 * time.Second)
		old := f.leader()
		term := f.state().Leader.Term
		f.lose(old.id)
		took := f.until(15*time.Second, "led again", func(s *cluster.State) bool { return s.Leader.Term > term })
		if limit := 6 * time.Second; took > limit {
			t.Errorf("taking over took %s, more than %s", took, limit)
		}
		// What the new leader saw before its election counts for T_lost, so the
		// units of the old one move as soon as those of any node.
		took += f.until(15*time.Second, "moved", func(s *cluster.State) bool {
			for _, p := range s.Placements {
				if p.On(old.id) {
					return false
				}
			}
			return true
		})
		if took > lostWithin() {
			t.Errorf("moving took %s, more than %s", took, lostWithin())
		}
		f.sound()
		f.history()
	})
}

func TestARestartedLeaderGoesOnWithANewTerm(t *testing.T) {
	sail(t, 3, 3, func(f *fleet) {
		f.until(5*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(10 * time.Second)
		old, term := f.leader(), f.state().Leader.Term
		f.stopServer(old)
		f.startServer(old)
		f.until(time.Second, "led", func(s *cluster.State) bool { return s.Leader.Term == term+1 && s.Leader.Node == old.id })
		f.pass(time.Minute)
		if got := f.state().Leader.Term; got != term+1 {
			t.Errorf("the term went on to %d", got)
		}
		f.history()
	})
}

// All servers lose the store for a minute, and the nodes with them.
func TestAnOutageOfTheStoreMovesNothing(t *testing.T) {
	sail(t, 3, 6, func(f *fleet) {
		for i := range 12 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.until(5*time.Second, "placed", allPlaced)
		f.pass(20 * time.Second)
		before := f.state().Placements
		for _, s := range f.servers {
			s.line.Cut()
		}
		f.pass(time.Minute)
		for _, s := range f.servers {
			s.line.Heal()
		}
		f.pass(2 * time.Minute)
		for i, p := range f.state().Placements {
			if p.Revision != before[i].Revision {
				t.Errorf("%s was written: %v %s", p.Unit, p.Nodes, p.Reason)
			}
		}
		for _, n := range f.state().Nodes {
			if n.Session.Dead {
				t.Errorf("%s was declared dead", n.Node.ID)
			}
		}
		f.submit("new.service", "")
		f.until(10*time.Second, "placed after the outage", allPlaced)
		f.sound()
		f.history()
	})
}

func TestAnEmptyReadMovesNothing(t *testing.T) {
	sail(t, 1, 1, func(f *fleet) {
		f.submit("web.service", "")
		f.until(5*time.Second, "placed", allPlaced)
		f.commit(store.Delete(store.PrefixNodes + string(nodeID(0))))
		f.pass(time.Minute)
		if where(f.state(), "web.service") == "" {
			t.Error("the unit lost its place")
		}
	})
}

// The leader is cut off, with its node: it goes on believing that it leads, and
// what it had under way arrives when the line heals.
func TestALeaderThatWasCutOffWritesNothing(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		f.until(5*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(10 * time.Second)
		old := f.leader()
		old.line.Cut()
		f.stopNode(old.id)
		f.until(10*time.Second, "led by another", func(s *cluster.State) bool { return s.Leader.Node != old.id })
		if !old.engine.Leading() {
			t.Error("the test is pointless: the old leader has given up")
		}
		for i := range 20 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.until(5*time.Second, "placed", allPlaced)
		old.line.Heal()
		f.until(10*time.Second, "deposed", func(*cluster.State) bool { return !old.engine.Leading() })
		f.pass(time.Minute)
		f.sound()
		f.history()
	})
}

// What a leader had under way when it was paused reaches the store after
// another one has taken over. The new one is held up as well, so that nothing
// but the election record stands in the way.
func TestLateWritesOfADeposedLeaderAreRefused(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		f.until(5*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(10 * time.Second)
		old := f.leader()
		var others []func()
		for _, s := range f.servers {
			if s != old {
				others = append(others, s.hold(store.PrefixPlacements))
			}
		}
		release := old.hold(store.PrefixPlacements)
		f.stopNode(old.id)
		f.pass(2500 * time.Millisecond)
		f.submit("web.service", "") // the old leader's write begins, and waits
		f.until(4*time.Second, "led by another", func(s *cluster.State) bool { return s.Leader.Node != old.id })
		release()
		f.pass(10 * time.Millisecond)
		if n := f.refused(old.id); n != 1 {
			t.Errorf("the late write was refused %d times", n)
		}
		old.counted(f.t, `fleet_engine_task_failure_count_total{type="attemptscheduleunit"} 1`)
		if placed := f.state().Placements; len(placed) != 0 {
			t.Errorf("the late write was accepted: %v", placed)
		}
		for _, release := range others {
			release()
		}
		f.until(10*time.Second, "placed", allPlaced)
		f.sound()
		f.history()
	})
}

func TestWhatALeaderDoesIsCounted(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		f.until(5*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		for i := range 20 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.submit("nowhere.service", "[X-Fleet]\nMachineMetadata=gpu=yes\n")
		f.until(5*time.Second, "placed", func(s *cluster.State) bool { return len(s.Placements) == 21 })
		f.commit(store.Delete(store.UnitKey("web@0.service")))
		f.until(time.Second, "unplaced", func(s *cluster.State) bool { return len(s.Placements) == 20 })
		old := f.leader()
		old.counted(f.t, `fleet_engine_task_count_total{type="attemptscheduleunit"} 20`, `fleet_engine_task_count_total{type="unscheduleunit"} 2`,
			`fleet_engine_task_failure_count_total{type="attemptscheduleunit"} 0`, "argosy_leader 1")
		if old.engine.LeadingSince().IsZero() {
			t.Error("the leader does not lead")
		}
		for _, s := range f.servers {
			if s != old {
				s.counted(f.t, `fleet_engine_task_count_total{type="attemptscheduleunit"} 0`, "fleet_engine_reconcile_count_total 0", "fleet_engine_leader_start_time 0", "argosy_leader 0")
			}
		}
	})
}

// A user who writes one unit over and over does not keep others from being
// placed.
func TestOneBusyUnitDoesNotHoldUpTheRest(t *testing.T) {
	sail(t, 1, 3, func(f *fleet) {
		f.until(5*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(5 * time.Second)
		for i := range 50 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		for range 100 {
			f.submit("busy.service", "")
			f.pass(10 * time.Millisecond)
		}
		f.until(100*time.Millisecond, "placed", allPlaced)
		f.pass(time.Second)
		f.sound()
		f.history()
	})
}

func TestARecordThatCannotBeReadIsNoDestroyedUnit(t *testing.T) {
	sail(t, 1, 2, func(f *fleet) {
		f.submit("web.service", "")
		f.until(5*time.Second, "placed", allPlaced)
		f.commit(store.Put(store.UnitKey("web.service"), []byte(`{"from":"a newer version`)))
		f.pass(time.Minute)
		if where(f.state(), "web.service") == "" {
			t.Error("the unit lost its place")
		}
		if n := f.refused(f.leader().id); n == 0 || n > 150 {
			t.Errorf("its end was tried %d times in a minute: that is for when something changes", n)
		}
	})
}

func TestARemovedNodeLeavesNothingBehind(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		for i := range 10 {
			f.submit(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), "")
		}
		f.until(5*time.Second, "placed", allPlaced)
		gone := nodeID(4)
		f.commit(
			store.PutReport(cluster.Report{Node: gone}),
			store.PutStatus(cluster.Status{Unit: "web@1.service", Node: gone}),
		)
		f.pass(time.Second)
		f.commit(store.Delete(store.NodeKey(gone)))
		f.until(5*time.Second, "moved", func(s *cluster.State) bool {
			for _, p := range s.Placements {
				if p.On(gone) {
					return false
				}
			}
			return allPlaced(s)
		})
		f.pass(time.Minute) // its daemon goes on trying
		items, _, err := f.admin.List(f.t.Context(), store.Root)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			switch item.Key {
			case store.NodeKey(gone), store.ReportKey(gone), store.SessionKey(gone), store.StatusKey(gone, "web@1.service"):
				t.Errorf("%s is still there", item.Key)
			}
		}
		f.sound()
		f.history()
	})
}

func TestExpiredTokensGoAfterADay(t *testing.T) {
	sail(t, 1, 1, func(f *fleet) {
		f.commit(store.PutToken(cluster.Token{ID: "t", Expires: time.Now().Add(-24*time.Hour + time.Minute)}))
		f.pass(30 * time.Second)
		if len(f.state().Tokens) != 1 {
			t.Error("the token went too early")
		}
		f.pass(time.Minute)
		if len(f.state().Tokens) != 0 {
			t.Error("the token is still there")
		}
	})
}

func TestStoppingAndDestroyingDeletesThePlacement(t *testing.T) {
	sail(t, 1, 2, func(f *fleet) {
		f.submit("web.service", "")
		f.submit("db.service", "")
		f.until(5*time.Second, "placed", allPlaced)
		u := f.state().Units[1]
		u.Desired = cluster.Inactive
		f.commit(store.PutUnit(u), store.Delete(store.UnitKey("db.service")))
		f.until(time.Second, "unplaced", func(s *cluster.State) bool { return len(s.Placements) == 0 })
		f.history()
	})
}

// Machines come and go at random, servers included, lines are cut and heal,
// and at every revision the invariants hold and the writer was the leader.
func TestChurnOfFiftyNodes(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			sail(t, 3, 50, func(f *fleet) { churn(f, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func churn(f *fleet, r *rand.Rand) {
	for i := range 100 {
		name, xfleet := fmt.Sprintf("u%d.service", i), ""
		switch i % 10 {
		case 0:
			name, xfleet = fmt.Sprintf("apart@%d.service", i), "Conflicts=apart@*.service\n"
		case 1:
			name, xfleet = fmt.Sprintf("all%d.service", i), "Global=true\n"
		}
		f.submit(cluster.UnitName(name), xfleet)
	}
	f.until(10*time.Second, "placed", allPlaced)
	for range 60 {
		id := nodeID(r.IntN(50))
		switch r.IntN(4) {
		case 0:
			f.lose(id)
		case 1:
			f.lose(id)
			f.pass(time.Duration(r.IntN(30)) * time.Second)
			f.bring(id)
		case 2:
			s := f.servers[r.IntN(len(f.servers))]
			s.line.Cut()
			f.pass(time.Duration(r.IntN(20)) * time.Second)
			s.line.Heal()
		case 3:
			f.submit(cluster.UnitName(fmt.Sprintf("new%d.service", r.IntN(20))), "")
		}
		f.pass(time.Duration(r.IntN(3000)) * time.Millisecond)
	}
	for id := range f.nodes {
		f.stopNode(id)
	}
	for i := range 50 {
		f.bring(nodeID(i))
	}
	f.pass(time.Minute)
	f.until(time.Minute, "at rest", func(s *cluster.State) bool { return allPlaced(s) && f.leader() != nil })
	f.sound()
	f.history()
}

func TestALeaderWhoseNodeWasRemovedHandsOver(t *testing.T) {
	sail(t, 3, 5, func(f *fleet) {
		f.until(5*time.Second, "led", func(*cluster.State) bool { return f.leader() != nil })
		f.pass(10 * time.Second)
		old := f.leader()
		f.commit(store.Delete(store.NodeKey(old.id)))
		f.until(time.Second, "led by another", func(s *cluster.State) bool { return s.Leader.Node != old.id })
		f.pass(time.Minute) // its daemon still runs
		if old.engine.Leading() || f.state().Leader.Node == old.id {
			t.Error("the removed node leads")
		}
		f.sound()
		f.history()
	})
}
