package place_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/unitfile"
)

// drawn is a random cluster with a history: a first plan was carried out, then
// nodes and units changed.
type drawn struct {
	in    place.Input
	specs map[cluster.UnitName]place.Spec
}

func draw(t *rapid.T) drawn {
	d := drawn{specs: map[cluster.UnitName]place.Spec{}}
	d.in = place.Input{
		State: &cluster.State{Revision: 100}, Health: map[cluster.NodeID]cluster.Health{},
		Now: now(), Seed: rapid.Uint64().Draw(t, "seed"),
		Specs: func(u cluster.Unit) (place.Spec, error) { return d.specs[u.Name], nil },
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		d.in.State.Nodes = append(d.in.State.Nodes, cluster.NodeState{Node: cluster.Node{ID: cluster.NodeID(fmt.Sprintf("n%d", i))}})
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "units") {
		name := cluster.UnitName(fmt.Sprintf("u%d.service", i))
		d.in.State.Units = append(d.in.State.Units, cluster.Unit{Name: name, UID: "1", Revision: 10})
	}
	d.shake(t)
	d.in.State = place.Apply(d.in.State, place.Plan(d.in))
	if rapid.Bool().Draw(t, "removeNode") && len(d.in.State.Nodes) > 1 {
		d.in.State.Nodes = d.in.State.Nodes[1:]
	}
	d.shake(t)
	return d
}

// shake gives every node and unit new properties.
func (d *drawn) shake(t *rapid.T) {
	for i := range d.in.State.Nodes {
		n := &d.in.State.Nodes[i].Node
		n.Labels = map[string]string{"r": rapid.SampledFrom([]string{"eu", "us"}).Draw(t, "label")}
		d.in.Health[n.ID] = rapid.SampledFrom([]cluster.Health{
			cluster.Ready, cluster.Ready, cluster.Ready, cluster.Lost, cluster.Dead, "",
		}).Draw(t, "health")
	}
	for i := range d.in.State.Units {
		u := &d.in.State.Units[i]
		u.Desired = rapid.SampledFrom([]cluster.Desired{cluster.Inactive, cluster.Loaded, cluster.Launched, cluster.Launched}).Draw(t, "desired")
		d.specs[u.Name] = drawSpec(t, len(d.in.State.Units))
	}
}

func drawSpec(t *rapid.T, units int) place.Spec {
	var s place.Spec
	other := func(label string) string {
		return fmt.Sprintf("u%d.service", rapid.IntRange(0, units-1).Draw(t, label))
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0, 1:
		s.Global = true
	case 2, 3:
		s.MachineOf = []cluster.UnitName{cluster.UnitName(other("peer"))}
	case 4:
		s.MachineID = "n1"
	}
	switch rapid.IntRange(0, 5).Draw(t, "more") {
	case 0:
		s.Conflicts = []string{other("enemy")}
	case 1:
		s.Conflicts = []string{"u[0-4]*"}
	case 2:
		s.Metadata = []unitfile.Requirement{{Key: "r", Values: []string{"eu"}}}
	}
	return s
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		want := place.Plan(d.in)
		shuffled := *d.in.State
		shuffled.Nodes = rapid.Permutation(shuffled.Nodes).Draw(t, "nodeOrder")
		shuffled.Units = rapid.Permutation(shuffled.Units).Draw(t, "unitOrder")
		shuffled.Placements = rapid.Permutation(shuffled.Placements).Draw(t, "placementOrder")
		d.in.State = &shuffled
		if diff := cmp.Diff(want, place.Plan(d.in)); diff != "" {
			t.Fatalf("another order gave another plan (-want +got):\n%s", diff)
		}
	})
}

func TestApplyingThePlanMakesTheNextPlanEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		d.in.State = place.Apply(d.in.State, place.Plan(d.in))
		if next := place.Plan(d.in); !next.Empty() {
			t.Fatalf("the next plan is\n%s", picture(next))
		}
	})
}

// A unit is unrelated to the others if none names it and it names none, and if
// nothing waits for it to go.
func TestRemovingAnUnrelatedUnitChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		d.in.State.Units = append(d.in.State.Units, cluster.Unit{Name: "stranger.service", UID: "1", Desired: cluster.Launched, Revision: 10})
		d.in.State = place.Apply(d.in.State, place.Plan(d.in))
		d.in.State.Units = slices.DeleteFunc(d.in.State.Units, func(u cluster.Unit) bool { return u.Name == "stranger.service" })
		got := place.Plan(d.in)
		if len(got.Changes) != 0 || len(got.Deletes) != 1 {
			t.Fatalf("the plan is\n%s", picture(got))
		}
	})
}

func TestConstraintsHoldForEveryPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		after := place.Apply(d.in.State, place.Plan(d.in))
		placed := map[cluster.UnitName]cluster.Placement{}
		nodes := map[cluster.NodeID]cluster.Node{}
		for _, n := range after.Nodes {
			nodes[n.Node.ID] = n.Node
		}
		for _, p := range after.Placements {
			placed[p.Unit] = p
		}
		for _, p := range after.Placements {
			spec := d.specs[p.Unit]
			if !spec.Global && len(p.Nodes) > 1 {
				t.Fatalf("%s is on %v", p.Unit, p.Nodes)
			}
			for _, id := range p.Nodes {
				n, exists := nodes[id]
				switch {
				case !exists:
					t.Fatalf("%s is on %s, which does not exist", p.Unit, id)
				case spec.MachineID != "" && spec.MachineID != string(id):
					t.Fatalf("%s is on %s and wants %s", p.Unit, id, spec.MachineID)
				case len(spec.Metadata) > 0 && n.Labels["r"] != "eu":
					t.Fatalf("%s is on %s, which is in %s", p.Unit, id, n.Labels["r"])
				case len(spec.MachineOf) > 0 && !placed[spec.MachineOf[0]].On(id):
					t.Fatalf("%s is on %s without %s", p.Unit, id, spec.MachineOf[0])
				}
				for _, q := range after.Placements {
					if q.Unit != p.Unit && q.On(id) && slices.ContainsFunc(spec.Conflicts, func(c string) bool { return place.Matches(c, q.Unit) }) {
						t.Fatalf("%s and %s conflict on %s", p.Unit, q.Unit, id)
					}
				}
			}
		}
	})
}

func TestUnitsOfReadyNodesMoveOnlyIfTheirConstraintsDemandIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		d.in.State = place.Apply(d.in.State, place.Plan(d.in))
		before := map[cluster.UnitName]cluster.Placement{}
		for _, p := range d.in.State.Placements {
			before[p.Unit] = p
		}
		ill := cluster.NodeID(fmt.Sprintf("n%d", rapid.IntRange(0, 5).Draw(t, "ill")))
		d.in.Health[ill] = cluster.Lost
		for _, c := range place.Plan(d.in).Changes {
			for _, id := range before[c.Placement.Unit].Nodes {
				if id != ill && !c.Placement.On(id) {
					t.Fatalf("%s left %s when %s was lost", c.Placement.Unit, id, ill)
				}
			}
		}
	})
}
