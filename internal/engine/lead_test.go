package engine

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"argosy/internal/cluster"
	"argosy/internal/place"
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
