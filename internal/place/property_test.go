package place_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/unitfile"
)

// TestMain has each property hold for a thousand clusters: what is wrong in one
// of five hundred was found by no run that drew a hundred. A flag overrides it.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "1000"); err != nil {
		panic(err)
	}
	m.Run()
}

// drawn is a random cluster with a history: a first plan was carried out, then
// nodes and units changed.
type drawn struct {
	in    place.Input
	specs map[cluster.UnitName]*place.Spec
	draw  func(t *rapid.T, units int) *place.Spec
}

func draw(t *rapid.T) drawn { return drawWith(t, drawSpec) }

func drawWith(t *rapid.T, spec func(t *rapid.T, units int) *place.Spec) drawn {
	d := drawn{specs: map[cluster.UnitName]*place.Spec{"stranger.service": {}}, draw: spec}
	d.in = place.Input{
		State: &cluster.State{Revision: 100}, Health: map[cluster.NodeID]cluster.Health{},
		Now: now(), Seed: rapid.Uint64().Draw(t, "seed"),
		Specs: func(u cluster.Unit) (*place.Spec, error) { return d.specs[u.Name], nil },
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		d.in.State.Nodes = append(d.in.State.Nodes, cluster.NodeState{Node: cluster.Node{ID: cluster.NodeID(fmt.Sprintf("n%d", i))}})
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "units") {
		name := cluster.UnitName(fmt.Sprintf("u%d@%d.service", i%3, i))
		d.in.State.Units = append(d.in.State.Units, cluster.Unit{Name: name, UID: "1", Revision: 10})
	}
	d.shake(t)
	d.in.State = place.Apply(d.in.State, place.Plan(d.in))
	if rapid.Bool().Draw(t, "removeNode") && len(d.in.State.Nodes) > 1 {
		d.in.State.Nodes = d.in.State.Nodes[1:]
	}
	d.shake(t)
	d.fail(t)
	return d
}

// fail has units fail where they are, some of which failed before.
func (d *drawn) fail(t *rapid.T) {
	for i := range d.in.State.Placements {
		p := &d.in.State.Placements[i]
		if p.Global || len(p.Nodes) == 0 || !rapid.Bool().Draw(t, "fails") {
			continue
		}
		if rapid.Bool().Draw(t, "again") {
			p.Retry = &cluster.Retry{
				Count: 7, Streak: rapid.IntRange(0, 99).Draw(t, "streak"), Last: now().Add(-time.Hour),
				Due: now().Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "due")) * time.Second),
			}
			for _, n := range d.in.State.Nodes {
				if rapid.Bool().Draw(t, "failedThere") {
					p.Retry.Failed = append(p.Retry.Failed, n.Node.ID)
				}
			}
		}
		d.in.State.Statuses = append(d.in.State.Statuses, cluster.Status{
			Unit: p.Unit, Node: p.Nodes[0], UID: p.UID, Epoch: p.Epoch, Restarts: p.Tries(), Active: "failed",
		})
	}
}

// shake gives every node and unit new properties.
func (d *drawn) shake(t *rapid.T) {
	for i := range d.in.State.Nodes {
		n := &d.in.State.Nodes[i].Node
		n.Labels = map[string]string{"r": rapid.SampledFrom([]string{"eu", "us"}).Draw(t, "label")}
		d.in.State.Nodes[i].Report.CPUs = rapid.IntRange(0, 3).Draw(t, "cpus")
		d.in.Health[n.ID] = rapid.SampledFrom([]cluster.Health{
			cluster.Ready, cluster.Ready, cluster.Ready, cluster.Lost, cluster.Dead, "",
		}).Draw(t, "health")
	}
	for i := range d.in.State.Units {
		u := &d.in.State.Units[i]
		u.Desired = rapid.SampledFrom([]cluster.Desired{cluster.Inactive, cluster.Loaded, cluster.Launched, cluster.Launched}).Draw(t, "desired")
		d.specs[u.Name] = d.draw(t, len(d.in.State.Units))
	}
}

func drawSpec(t *rapid.T, units int) *place.Spec {
	s := &place.Spec{Restarts: rapid.Bool().Draw(t, "restarts")}
	other := func(label string) string {
		i := rapid.IntRange(0, units-1).Draw(t, label)
		return fmt.Sprintf("u%d@%d.service", i%3, i)
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
		s.Conflicts = []string{"u[01]*"}
	case 2:
		s.Metadata = []unitfile.Requirement{{Key: "r", Values: []string{"eu"}}}
	}
	wish := rapid.IntRange(0, 11).Draw(t, "wish")
	if s.Global && wish != 0 {
		wish = 11 // most are refused with Global
	}
	switch wish {
	case 0:
		s.Require = []unitfile.Requirement{{Key: "r", Op: unitfile.NotIn, Values: []string{"us"}}}
	case 1:
		s.Near = []unitfile.Peers{{Glob: other("neighbour")}}
	case 2:
		s.Near = []unitfile.Peers{{Glob: "u1@*", Soft: rapid.Bool().Draw(t, "soft")}}
	case 3:
		s.Away = []unitfile.Peers{{Glob: "u2@*", Soft: rapid.Bool().Draw(t, "soft")}}
	case 4, 5:
		s.Spread = []unitfile.Domain{{Label: "r", Soft: rapid.Bool().Draw(t, "soft")}}
	case 6:
		s.Prefer = []unitfile.Preference{{Weight: 2, Labels: []unitfile.Requirement{{Key: "r", Values: []string{"us"}}}}}
	}
	if rapid.Bool().Draw(t, "asks") {
		s.CPU = int64(rapid.SampledFrom([]int{300, 700, 1000, 2000}).Draw(t, "cpu"))
	}
	return s
}

// drawBold draws units that also push others off their nodes.
func drawBold(t *rapid.T, units int) *place.Spec {
	s := drawSpec(t, units)
	s.Priority = rapid.SampledFrom([]int{0, 0, 0, 5, 5, 9, -3}).Draw(t, "priority")
	if !s.Global && s.MachineID == "" && len(s.Conflicts) == 0 && rapid.IntRange(0, 4).Draw(t, "replacer") == 0 {
		i := rapid.IntRange(0, units-1).Draw(t, "victim")
		s.Replaces = []string{rapid.SampledFrom([]string{fmt.Sprintf("u%d@%d.service", i%3, i), "u1@*"}).Draw(t, "glob")}
	}
	return s
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
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

func TestAShelfFindsTheBestNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { sameOnShelves(t, drawWith(t, drawBold).in) })
}

// sameOnShelves demands that on a shelf the same node is found as by a look at
// each, and that it makes no difference whether it is remembered which units are
// on a node.
func sameOnShelves(t interface{ Fatalf(string, ...any) }, in place.Input) {
	where := func(few int) map[cluster.UnitName][]cluster.NodeID {
		nodes := map[cluster.UnitName][]cluster.NodeID{}
		for _, c := range place.PlanBy(few, few, false, in).Changes {
			nodes[c.Placement.Unit] = c.Placement.Nodes
		}
		return nodes
	}
	if diff := cmp.Diff(where(1000), where(0)); diff != "" {
		t.Fatalf("placements (-one by one +by shelves):\n%s", diff)
	}
}

func TestAUnitWhoseTurnIsPassedOverWouldNotHaveMoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
		if diff := cmp.Diff(place.PlanBy(32, 16, true, d.in), place.PlanBy(32, 16, false, d.in)); diff != "" {
			t.Fatalf("the plan (-all turns +as it is made):\n%s", diff)
		}
	})
}

func TestApplyingThePlanMakesTheNextPlanEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
		before := d.in.State.Placements
		first := place.Plan(d.in)
		d.in.State = place.Apply(d.in.State, first)
		if next := place.Plan(d.in); !next.Empty() {
			t.Fatalf("before\n%+v\nthe plan was\n%s\nthe next plan is\n%s\n%v", before, picture(first), picture(next), d.in.Health)
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

func TestAddingAnUnrelatedUnitChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
		d.settle()
		d.in.State.Units = append(d.in.State.Units, cluster.Unit{Name: "stranger.service", UID: "1", Desired: cluster.Launched, Revision: 10})
		got := place.Plan(d.in)
		if len(got.Changes) != 1 || len(got.Deletes) != 0 || got.Changes[0].Placement.Unit != "stranger.service" {
			t.Fatalf("the plan is\n%s", picture(got))
		}
	})
}

func TestAnUnrelatedLabelChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
		d.settle()
		labels := d.in.State.Nodes[rapid.IntRange(0, len(d.in.State.Nodes)-1).Draw(t, "node")].Node.Labels
		labels["color"] = "red"
		if got := place.Plan(d.in); !got.Empty() {
			t.Fatalf("the plan is\n%s", picture(got))
		}
		delete(labels, "color")
		if got := place.Plan(d.in); !got.Empty() {
			t.Fatalf("without it, the plan is\n%s", picture(got))
		}
	})
}

// A node that joins may take what waits, and what is on lost nodes. Nothing that
// is well where it is goes there.
func TestANodeThatJoinsMovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
		d.settle()
		before := map[cluster.UnitName]cluster.Placement{}
		for _, p := range d.in.State.Placements {
			before[p.Unit] = p
		}
		joined := cluster.NodeState{Node: cluster.Node{ID: "n9", Labels: map[string]string{"r": rapid.SampledFrom([]string{"eu", "us", "ap"}).Draw(t, "region")}}}
		d.in.State.Nodes = append(d.in.State.Nodes, joined)
		d.in.Health["n9"] = cluster.Ready
		for _, c := range place.Plan(d.in).Changes {
			for _, id := range before[c.Placement.Unit].Nodes {
				if d.in.Health[id] == cluster.Ready && !c.Placement.On(id) {
					t.Fatalf("%s left %s when n9 joined: %s", c.Placement.Unit, id, c.Placement.Reason)
				}
			}
		}
	})
}

// settle carries out what is to be done, so that all that is planned afterwards
// comes of what changed.
func (d *drawn) settle() { d.in.State = place.Apply(d.in.State, place.Plan(d.in)) }

func TestConstraintsHoldForEveryPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWith(t, drawBold)
		after := place.Apply(d.in.State, place.Plan(d.in))
		placed := map[cluster.UnitName]cluster.Placement{}
		nodes := map[cluster.NodeID]cluster.Node{}
		for _, n := range after.Nodes {
			nodes[n.Node.ID] = n.Node
			promised := int64(0)
			for _, p := range after.Placements {
				if p.On(n.Node.ID) {
					promised += d.specs[p.Unit].CPU
				}
			}
			if has := int64(n.Report.CPUs) * 1000; has > 0 && promised > has {
				t.Fatalf("%s has %d and promised %d", n.Node.ID, has, promised)
			}
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
				case (len(spec.Metadata) > 0 || len(spec.Require) > 0) && n.Labels["r"] != "eu":
					t.Fatalf("%s is on %s, which is in %s", p.Unit, id, n.Labels["r"])
				case len(spec.MachineOf) > 0 && !placed[spec.MachineOf[0]].On(id):
					t.Fatalf("%s is on %s without %s", p.Unit, id, spec.MachineOf[0])
				}
				if !spec.Global && len(spec.Near) > 0 && !spec.Near[0].Soft && !slices.ContainsFunc(after.Placements, func(q cluster.Placement) bool {
					return q.Unit != p.Unit && q.On(id) && place.Matches(spec.Near[0].Glob, q.Unit)
				}) {
					t.Fatalf("%s is on %s without %s", p.Unit, id, spec.Near[0].Glob)
				}
				for _, q := range after.Placements {
					if len(spec.Away) > 0 && !spec.Away[0].Soft && q.Unit != p.Unit && q.On(id) && place.Matches(spec.Away[0].Glob, q.Unit) {
						t.Fatalf("%s is on %s with %s", p.Unit, id, q.Unit)
					}
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
