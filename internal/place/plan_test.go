package place_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

func TestPlan(t *testing.T) {
	for _, test := range []struct{ name, world, want string }{{
		name: "a new unit goes to the node with the fewest units",
		world: `node a
			node b
			unit db.service on=a
			unit web.service`,
		want: `web.service [b]: placed on b: least loaded of 2 nodes that fit (0 units)`,
	}, {
		name: "global units count as load",
		world: `node a x=1
			node b
			unit everywhere.service global needs=x:1 on=a
			unit web.service`,
		want: `everywhere.service [a]: global, on 1 of 2 nodes: 1 lacks x=1
			web.service [b]: placed on b: least loaded of 2 nodes that fit (0 units)`,
	}, {
		name: "a placed unit is not moved for the sake of balance",
		world: `node a
			node b
			unit one.service on=a
			unit two.service on=a`,
	}, {
		name: "an empty state stops nothing",
		world: `unit web.service on=a
			old gone.service a`,
	}, {
		name: "a unit of a lost node moves",
		world: `node a lost
			node b
			unit web.service on=a`,
		want: `web.service [b]: moved from a, which is lost, to b: the only node that fits`,
	}, {
		name: "a unit of a dead node moves",
		world: `node a dead
			node b
			unit web.service on=a`,
		want: `web.service [b]: moved from a, which is dead, to b: the only node that fits`,
	}, {
		name: "a unit of a removed node moves",
		world: `node b
			unit web.service on=a`,
		want: `web.service [b]: moved from a, which was removed from the cluster, to b: the only node that fits`,
	}, {
		name: "a unit of a lost node stays assigned to it while no other may take it",
		world: `node a lost x=1
			node b
			unit web.service needs=x:1 on=a`,
		want: `web.service [a]: stays on a, which is lost: 0 of 2 nodes: 1 is lost, 1 lacks x=1`,
	}, {
		name: "when all nodes seem lost nothing moves",
		world: `node a lost
			node b lost
			unit one.service on=a
			unit two.service on=b
			unit new.service`,
		want: `new.service pending: 0 of 2 nodes: 2 are lost
			one.service [a]: stays on a, which is lost: 0 of 2 nodes: 2 are lost
			two.service [b]: stays on b, which is lost: 0 of 2 nodes: 2 are lost`,
	}, {
		name: "a node that was never heard of keeps what it has and gets nothing",
		world: `node a unheard
			unit old.service on=a
			unit new.service`,
		want: `new.service pending: 0 of 1 nodes: 1 has not been heard of`,
	}, {
		name: "a unit leaves a node that no longer satisfies its constraints",
		world: `node a
			node b region=eu
			unit web.service needs=region:eu on=a`,
		want: `web.service [b]: moved from a, which lacks region=eu, to b: the only node that fits`,
	}, {
		name: "a unit that fits nowhere any more is pending, with the counts",
		world: `node a
			node b
			node c
			unit db.service on=c
			unit web.service needs=region:eu|us on=a`,
		want: `web.service pending: 0 of 3 nodes: 3 lack region=eu or us`,
	}, {
		name: "each node is counted by the first filter that rejects it",
		world: `node a
			node b region=eu
			node c region=eu lost
			unit db.service on=b
			unit web.service needs=region:eu conflicts=db.*`,
		want: `web.service pending: 0 of 3 nodes: 1 conflicts with db.*, 1 is lost, 1 lacks region=eu`,
	}, {
		name: "values of one key are alternatives, keys are all needed",
		world: `node a region=eu
			node b region=us disk=ssd
			node c region=asia disk=ssd
			unit web.service needs=region:eu|us needs=disk:ssd`,
		want: `web.service [b]: placed on b: the only node that fits`,
	}, {
		name: "a machine ID is matched whole",
		world: `node 0123456789abcdef
			node 0123456700000000
			unit web.service id=0123456789abcdef`,
		want: `web.service [0123456789abcdef]: placed on 0123456789abcdef: the only node that fits`,
	}, {
		name: "a machine ID is matched by its first eight digits, not fewer",
		world: `node 0123456789abcdef
			unit one.service id=01234567
			unit two.service id=0123456`,
		want: `one.service [0123456789abcdef]: placed on 0123456789abcdef: the only node that fits
			two.service pending: 0 of 1 nodes: 1 is not machine 0123456`,
	}, {
		name: "conflicts count from the side that names them",
		world: `node a
			node b
			unit db.service on=a
			unit web.service conflicts=db.service on=a`,
		want: `web.service [b]: moved from a, which conflicts with db.service, to b: the only node that fits`,
	}, {
		name: "conflicts count from the other side too",
		world: `node a
			unit db.service conflicts=web* on=a
			unit web.service`,
		want: `web.service pending: 0 of 1 nodes: 1 conflicts with db.service`,
	}, {
		name: "a unit does not conflict with itself, so a template gives one per node",
		world: `node a
			node b
			unit web@1.service conflicts=web@*.service on=a
			unit web@2.service conflicts=web@*.service
			unit web@3.service conflicts=web@*.service`,
		want: `web@2.service [b]: placed on b: the only node that fits
			web@3.service pending: 0 of 2 nodes: 2 conflict with web@*.service`,
	}, {
		name: "conflicting names may hold backslashes",
		world: `node a
			unit a\x2db.service on=a
			unit web.service conflicts=a\x2db.service`,
		want: `web.service pending: 0 of 1 nodes: 1 conflicts with a\x2db.service`,
	}, {
		name: "a follower goes where its peer is",
		world: `node a
			node b
			unit db.service on=b
			unit web.service of=db.service`,
		want: `web.service [b]: placed on b: the only node that fits`,
	}, {
		name: "peer and follower are placed in one plan, whatever their names",
		world: `node a
			unit a.service of=b.service
			unit b.service of=c.service
			unit c.service`,
		want: `a.service [a]: placed on a: the only node that fits
			b.service [a]: placed on a: the only node that fits
			c.service [a]: placed on a: the only node that fits`,
	}, {
		name: "a follower moves with its peer in the same plan",
		world: `node a lost
			node b
			unit a.service of=z.service on=a
			unit z.service on=a`,
		want: `a.service [b]: moved from a, which does not have z.service, to b: the only node that fits
			z.service [b]: moved from a, which is lost, to b: the only node that fits`,
	}, {
		name: "a follower waits for a peer that is pending, inactive or unknown",
		world: `node a
			unit a.service of=pending.service
			unit b.service of=inactive.service
			unit c.service of=unknown.service
			unit inactive.service inactive
			unit pending.service needs=x:1`,
		want: `a.service pending: MachineOf=pending.service: that unit is pending itself
			b.service pending: MachineOf=inactive.service: that unit is inactive
			c.service pending: MachineOf=unknown.service: there is no such unit
			pending.service pending: 0 of 1 nodes: 1 lacks x=1`,
	}, {
		name: "units that follow each other in a circle are refused with the circle",
		world: `node a
			unit a.service of=b.service
			unit b.service of=a.service
			unit c.service of=a.service`,
		want: `a.service pending: MachineOf goes round in a circle: a.service -> b.service -> a.service
			b.service pending: MachineOf goes round in a circle: a.service -> b.service -> a.service
			c.service pending: MachineOf=a.service: that unit is pending itself`,
	}, {
		name: "a global unit runs on every node that fits and comes to new ones",
		world: `node a x=1
			node b x=1
			node c
			unit all.service global on=a
			unit some.service global needs=x:1`,
		want: `all.service [a b c]: global, on 3 of 3 nodes
			some.service [a b]: global, on 2 of 3 nodes: 1 lacks x=1`,
	}, {
		name: "of two new global units that conflict the first by name wins",
		world: `node a
			unit one.service global conflicts=two.service
			unit two.service global`,
		want: `one.service [a]: global, on 1 of 1 nodes
			two.service pending: 0 of 1 nodes: 1 conflicts with one.service`,
	}, {
		name: "a global unit that is placed is not displaced by a new one of an earlier name",
		world: `node a
			unit one.service global conflicts=two.service
			unit two.service global on=a`,
		want: `one.service pending: 0 of 1 nodes: 1 conflicts with two.service
			two.service [a]: global, on 1 of 1 nodes`,
	}, {
		name: "a global unit keeps a lost node and does not come to one",
		world: `node a lost
			node b lost
			node c
			unit all.service global on=a`,
		want: `all.service [a c]: global, on 2 of 3 nodes: 1 is lost`,
	}, {
		name: "a unit that stops being global keeps one node",
		world: `node a
			node b
			unit web.service on=a,b`,
		want: `web.service [a]: kept on a`,
	}, {
		name: "placements of destroyed and inactive units are deleted",
		world: `node a
			unit off.service inactive on=a
			old gone.service a`,
		want: `gone.service deleted: the unit was destroyed
			off.service deleted: the unit is inactive`,
	}, {
		name: "a unit submitted again under the same name is a new one",
		world: `node a
			unit web.service
			old web.service b`,
		want: `web.service [a]: placed on a: the only node that fits`,
	}, {
		name: "a unit whose constraints cannot be read stays if placed, else waits with the reason",
		world: `node a
			unit new.service broken
			unit old.service broken on=a
			unit orphan.service broken on=b`,
		want: `new.service pending: new.service:3: what is this
			orphan.service pending: orphan.service:3: what is this`,
	}, {
		name: "a template is not placed",
		world: `node a
			unit web@.service`,
		want: `web@.service pending: a template is not placed itself; start an instance of it`,
	}, {
		name: "what the same words of a unit forbid is counted together",
		world: `node a
			node b
			node c
			node d
			node e lost
			unit a1.service on=a
			unit a2.service on=b
			unit a3.service on=c
			unit a4.service on=d
			unit web.service conflicts=a*`,
		want: `web.service pending: 0 of 5 nodes: 4 conflict with a*, 1 is lost`,
	}, {
		name: "many different reasons are cut short, but never by one",
		world: `node a
			node b
			node c
			node d
			node e lost
			unit a1.service on=a conflicts=web.service
			unit a2.service on=b conflicts=web.service
			unit a3.service on=c conflicts=web.service
			unit a4.service on=d conflicts=web.service
			unit web.service
			unit x.service conflicts=a4.service require=name!=a,name!=b`,
		want: `web.service pending: 0 of 5 nodes: 1 conflicts with a1.service, 1 conflicts with a2.service, 1 conflicts with a3.service, and 2 other reasons
			x.service [c]: placed on c: the only node that fits`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			in := world(t, test.world)
			got := picture(place.Plan(in))
			sameOnShelves(t, in)
			if diff := cmp.Diff(lines(test.want), lines(got)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// lines cuts a text into lines without their indentation.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func TestChangeNamesWhatItWasComputedFrom(t *testing.T) {
	in := world(t, `node a
		unit new.service
		unit old.service on=b
		old gone.service a`)
	got := place.Plan(in)
	want := place.Proposal{
		Changes: []place.Change{{
			Placement: cluster.Placement{
				Unit: "new.service", UID: "uid-new.service", Nodes: []cluster.NodeID{"a"}, Epoch: 101,
				Reason: "placed on a: the only node that fits", Since: now(),
			},
			UnitRevision: 10,
		}, {
			Placement: cluster.Placement{
				Unit: "old.service", UID: "uid-old.service", Nodes: []cluster.NodeID{"a"}, Epoch: 101,
				Reason: "moved from b, which was removed from the cluster, to a: the only node that fits",
				Since:  now(), Revision: 10,
			},
			UnitRevision: 10, PlacementRevision: 10,
		}},
		Deletes: []place.Deletion{{Unit: "gone.service", PlacementRevision: 10, Reason: "the unit was destroyed"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proposal (-want +got):\n%s", diff)
	}
}

// The epoch is the fencing token that the unit is told, so it must grow even
// when the placement was deleted in between.
func TestEpochGrowsWheneverNodesChangeAndOnlyThen(t *testing.T) {
	in := world(t, `node a
		node b
		unit web.service`)
	epoch := func() cluster.Epoch {
		in.State = place.Apply(in.State, place.Plan(in))
		if len(in.State.Placements) == 0 {
			return 0
		}
		return in.State.Placements[0].Epoch
	}
	first := epoch()
	if again := epoch(); again != first {
		t.Errorf("nothing changed, and the epoch went from %d to %d", first, again)
	}
	in.Health[in.State.Placements[0].Nodes[0]] = cluster.Lost
	moved := epoch()
	if moved <= first {
		t.Errorf("the unit moved, and the epoch went from %d to %d", first, moved)
	}
	in.State.Units[0].Desired = cluster.Inactive
	if epoch() != 0 {
		t.Error("an inactive unit has a placement")
	}
	in.State.Units[0].Desired = cluster.Loaded
	if again := epoch(); again <= moved {
		t.Errorf("the unit was stopped and started, and the epoch went from %d to %d", moved, again)
	}
}

func TestReasonOfALostNodeIsDroppedWhenTheNodeIsBack(t *testing.T) {
	in := world(t, `node a lost
		unit web.service on=a`)
	in.State = place.Apply(in.State, place.Plan(in))
	epoch := in.State.Placements[0].Epoch
	in.Health["a"] = cluster.Ready
	got := place.Plan(in)
	if diff := cmp.Diff([]string{"web.service [a]: kept on a"}, lines(picture(got))); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if got.Changes[0].Placement.Epoch != epoch {
		t.Error("the epoch grew although the node did not change")
	}
}

func TestSeedSpreadsTies(t *testing.T) {
	in := world(t, `node a
		node b
		node c
		unit web.service`)
	seen := map[cluster.NodeID]bool{}
	for seed := range uint64(50) {
		in.Seed = seed
		seen[place.Plan(in).Changes[0].Placement.Nodes[0]] = true
	}
	if len(seen) != 3 {
		t.Errorf("50 seeds chose only %v", seen)
	}
}

func TestParseSpecReadsXFleet(t *testing.T) {
	spec, err := place.ParseSpec(cluster.Unit{Name: "web@1.service", Text: "[Service]\nExecStart=/bin/true\n[X-Fleet]\nConflicts=%p@*.service\n"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&place.Spec{Conflicts: []string{"web@*.service"}}, spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}
