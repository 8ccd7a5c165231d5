package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

// A bug of place costs the unit that it concerns, and no other.
func TestTheAuditRefusesOnlyWhatIsBadInAPlan(t *testing.T) {
	unit := func(name cluster.UnitName) cluster.Unit {
		return cluster.Unit{Name: name, UID: cluster.UID(name), Desired: cluster.Launched, Text: "[X-Argosy]\nCPU=2\n", Revision: 1}
	}
	on := func(name cluster.UnitName, epoch cluster.Epoch, nodes ...cluster.NodeID) cluster.Placement {
		return cluster.Placement{Unit: name, UID: cluster.UID(name), Nodes: nodes, Epoch: epoch, Reason: "a test", Revision: 2}
	}
	state := &cluster.State{
		Revision:   3,
		Cluster:    cluster.Cluster{ID: "c"},
		Nodes:      []cluster.NodeState{{Node: cluster.Node{ID: "n1"}}, {Node: cluster.Node{ID: "n2"}}, {Node: cluster.Node{ID: "n3"}, Report: cluster.Report{CPUs: 1}}},
		Units:      []cluster.Unit{unit("a.service"), unit("b.service"), unit("c.service")},
		Placements: []cluster.Placement{on("a.service", 1, "n1"), on("b.service", 1, "n1")},
	}
	good := place.Change{Placement: on("c.service", 1, "n2"), UnitRevision: 1}
	for _, test := range []struct {
		name string
		plan place.Proposal
	}{
		{"a change without a new epoch", place.Proposal{Changes: []place.Change{
			{Placement: on("b.service", 1, "n2"), UnitRevision: 1, PlacementRevision: 2}, good,
		}}},
		{"a change to two nodes", place.Proposal{Changes: []place.Change{
			{Placement: on("b.service", 2, "n1", "n2"), UnitRevision: 1, PlacementRevision: 2}, good,
		}}},
		{"a change that promises a node to more than it has", place.Proposal{Changes: []place.Change{
			{Placement: on("b.service", 2, "n3"), UnitRevision: 1, PlacementRevision: 2}, good,
		}}},
		{"a deletion of what is to run", place.Proposal{
			Changes: []place.Change{good},
			Deletes: []place.Deletion{{Unit: "a.service", UnitRevision: 1, PlacementRevision: 2, Reason: "none"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := New(Config{Node: "n1"}, Deps{Log: slog.New(slog.DiscardHandler)})
			got, err := e.audited(state, test.plan)
			if err != nil {
				t.Fatal(err)
			}
			want := place.Proposal{Changes: []place.Change{good}}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("what is left of the plan (-want +got):\n%s", diff)
			}
		})
	}
}

// still is a mirror that shows one state for ever.
type still struct {
	Mirror
	state *cluster.State
}

func (s still) State() *cluster.State { return s.state }
func (s still) Wait(context.Context, cluster.Revision) (*cluster.State, error) {
	return s.state, nil
}

// leading returns an engine that leads over a store, and its round.
func leading(t *testing.T, db *memstore.Store, fault memstore.Fault) (*Engine, round) {
	t.Helper()
	rev, ok, err := db.Client().Commit(t.Context(), store.Txn{Then: []store.Op{store.PutLeader(cluster.Leader{Node: "n1"})}})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	state := &cluster.State{Revision: rev, Leader: cluster.Leader{Node: "n1", Revision: rev}}
	e := New(Config{Node: "n1"}, Deps{Log: slog.New(slog.DiscardHandler), Store: db.ClientWith(fault), Mirror: still{state: state}})
	return e, round{state: state, leader: state.Leader}
}

// In a plan of several transactions nothing comes to where something should have
// left and has not.
func TestWhatComesWaitsForWhatLeaves(t *testing.T) {
	for _, test := range []struct {
		name    string
		seen    cluster.Revision // of the placement that leaves
		arrives int
	}{{"it has left", 0, store.TxnOpsMax}, {"it has not: somebody changed it meanwhile", 7, 0}} {
		t.Run(test.name, func(t *testing.T) {
			db := memstore.New()
			e, r := leading(t, db, nil)
			var plan []write
			for i := range store.TxnOpsMax {
				plan = append(plan, write{comes: true, ops: []store.Op{store.Put(fmt.Sprintf("%snew@%d.service", store.PrefixPlacements, i), nil)}})
			}
			old := store.PlacementKey("old.service")
			plan = append(plan, write{conds: []store.Cond{store.ChangedAt(old, test.seen)}, ops: []store.Op{store.Put(old, nil)}})
			if err := e.commitPlan(t.Context(), r, plan); err != nil {
				t.Fatal(err)
			}
			items, _, err := db.Client().List(t.Context(), store.PrefixPlacements+"new")
			if err != nil || len(items) != test.arrives {
				t.Errorf("%d have come, want %d; %v", len(items), test.arrives, err)
			}
		})
	}
}

// What is only tidied up does not hold up the moves of a lost node's units.
func TestASweepThatFailsHoldsUpNoPlacing(t *testing.T) {
	db := memstore.New()
	e, r := leading(t, db, func(_ context.Context, op string) memstore.Outcome {
		if op == "list" {
			return memstore.Refuse
		}
		return memstore.Pass
	})
	unit := cluster.Unit{Name: "web.service", UID: "u", Desired: cluster.Launched, Text: "[Service]\nExecStart=/bin/true\n"}
	rev, _, err := db.Client().Commit(t.Context(), store.Txn{Then: []store.Op{store.PutUnit(unit)}})
	if err != nil {
		t.Fatal(err)
	}
	unit.Revision = rev
	r.state.Revision, r.state.Units, r.leader.Term = rev, []cluster.Unit{unit}, 1
	r.state.Nodes = []cluster.NodeState{{Node: cluster.Node{ID: "n1", Name: "n1"}}}
	if _, err := e.leadRound(t.Context(), r); err == nil {
		t.Error("the failure is not told")
	}
	items, _, err := db.Client().List(t.Context(), store.PrefixPlacements)
	if err != nil || len(items) != 1 {
		t.Errorf("%d placements, %v", len(items), err)
	}
}

// The same failure after a boot, or with another exit code, is another one.
func TestFailuresAreToldApartByAllThatPlacingJudgesThemBy(t *testing.T) {
	base := cluster.Status{Unit: "web.service", Node: "n1", Active: "failed", Epoch: 1, Hash: "h", BootID: "one", ExitCode: 1}
	for name, change := range map[string]func(*cluster.Status){
		"boot": func(s *cluster.Status) { s.BootID = "two" }, "exit code": func(s *cluster.Status) { s.ExitCode = 2 },
		"epoch": func(s *cluster.Status) { s.Epoch++ }, "restarts": func(s *cluster.Status) { s.Restarts++ }, "text": func(s *cluster.Status) { s.Hash = "i" },
		"node": func(s *cluster.Status) { s.Node = "n2" }, "end": func(s *cluster.Status) { s.Active = "inactive" },
	} {
		other := base
		change(&other)
		if cmp.Equal(failures([]cluster.Status{base}), failures([]cluster.Status{other}), cmp.AllowUnexported(failure{})) {
			t.Errorf("another %s does not count", name)
		}
	}
}
