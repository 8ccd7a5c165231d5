package place_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/place"
)

// What units ask of placing beyond what fleet knew, and Replaces=, which fleet
// did not get right.
func TestWishes(t *testing.T) {
	for _, test := range []struct{ name, world, want string }{{
		name: "require: labels and facts of the node",
		world: `node a disk=hdd memory=64G
			node b disk=ssd memory=31.2G
			node c disk=ssd memory=8G
			unit web.service require=disk=ssd,mem>=32G`,
		want: `web.service [b]: placed on b: the only node that fits`,
	}, {
		name: "require: a node that no longer meets it is left, and what is missing is named",
		world: `node a
			unit web.service require=gpu on=a`,
		want: `web.service pending: 0 of 1 nodes: 1 does not meet gpu`,
	}, {
		name: "prefer: the greatest weight first, whatever the load",
		world: `node a disk=ssd
			node b gpu=1
			node c disk=ssd gpu=1
			unit x.service on=c
			unit y.service on=c
			unit web.service prefer=5:disk=ssd prefer=3:gpu`,
		want: `web.service [c]: placed on c: least loaded of 1 nodes that fit and are preferred (2 units)`,
	}, {
		name: "prefer: is a wish",
		world: `node a
			unit web.service prefer=5:disk=ssd`,
		want: `web.service [a]: placed on a: the only node that fits`,
	}, {
		name: "prefer: moves nothing that is placed",
		world: `node a
			node b disk=ssd
			unit web.service prefer=5:disk=ssd on=a`,
	}, {
		name: "cpu: no node is promised to more than it has",
		world: `node a cpus=2
			node b cpus=2
			unit a.service cpu=1.5
			unit b.service cpu=1.5
			unit c.service cpu=1`,
		want: `a.service [a]: placed on a: least promised of 2 nodes that fit (0 units)
			b.service [b]: placed on b: the only node that fits
			c.service pending: 0 of 2 nodes: 2 lack 1 of CPU`,
	}, {
		name: "memory: the node with the smallest share promised",
		world: `node a memory=8G
			node b memory=2G
			unit x.service memory=2G on=a
			unit web.service memory=1G`,
		want: `web.service [a]: placed on a: least promised of 2 nodes that fit (1 units)`,
	}, {
		name: "memory: a node that has not said what it has takes nothing that asks, and keeps what it has",
		world: `node a
			unit old.service memory=1G on=a
			unit web.service memory=1G`,
		want: `web.service pending: 0 of 1 nodes: 1 lacks 1G of memory`,
	}, {
		name: "memory: a node that shrank is left by the least important",
		world: `node a memory=3G
			node b memory=2G
			unit a.service memory=2G on=a
			unit b.service memory=2G priority=1 on=a`,
		want: `a.service [b]: moved from a, which lacks 2G of memory (1G of 3G is free), to b: the only node that fits`,
	}, {
		name: "priority: who is more important is placed first",
		world: `node a cpus=1
			unit a.service cpu=1
			unit b.service cpu=1 priority=1`,
		want: `a.service pending: 0 of 1 nodes: 1 lacks 1 of CPU
			b.service [a]: placed on a: the only node that fits`,
	}, {
		name: "priority: pushes the least important off, and no more than needed; they go elsewhere",
		world: `node a cpus=4
			node b cpus=1
			unit big.service cpu=2 priority=5 on=a
			unit small.service cpu=1 on=a
			unit tiny.service cpu=1 priority=-1 on=a
			unit web.service cpu=1 priority=9 require=name=a`,
		want: `tiny.service [b]: moved from a, where web.service of priority 9 needs the room, to b: the only node that fits
			web.service [a]: placed on a: 1 of lower priority made room`,
	}, {
		name: "priority: who has to be beside one that is pushed off goes with it",
		world: `node a cpus=2 name=a
			node b cpus=2
			unit db.service cpu=1 on=a
			unit kick.service of=db.service on=a
			unit web.service cpu=2 priority=9 require=name=a`,
		want: `db.service [b]: moved from a, where web.service of priority 9 needs the room, to b: the only node that fits
			kick.service [b]: moved from a, which does not have db.service, to b: the only node that fits
			web.service [a]: placed on a: 1 of lower priority made room`,
	}, {
		name: "priority: a global unit has room made on every node where that helps",
		world: `node a cpus=1
			node b cpus=1
			node c cpus=1
			unit old@1.service cpu=1 on=a
			unit old@2.service cpu=1 priority=9 on=b
			unit web.service cpu=1 priority=5 global`,
		want: `old@1.service pending: 0 of 3 nodes: 3 lack 1 of CPU
			web.service [a c]: global, on 2 of 3 nodes: 1 lacks 1 of CPU`,
	}, {
		name: "priority: equals do not push each other",
		world: `node a cpus=1
			unit old.service cpu=1 priority=9 on=a
			unit web.service cpu=1 priority=9`,
		want: `web.service pending: 0 of 1 nodes: 1 lacks 1 of CPU`,
	}, {
		name: "priority: nobody leaves where that would not help",
		world: `node a cpus=2
			unit old.service cpu=1 on=a
			unit web.service cpu=3 priority=9`,
		want: `web.service pending: 0 of 1 nodes: 1 lacks 3 of CPU`,
	}, {
		name: "spread: instances go round the domains",
		world: `node a zone=x
			node b zone=x
			node c zone=y
			node d zone=z
			unit web@1.service spread=zone
			unit web@2.service spread=zone
			unit web@3.service spread=zone
			unit web@4.service spread=zone require=name!=d`,
		want: `web@1.service [c]: placed on c: best spread of 4 nodes that fit (0 units)
			web@2.service [d]: placed on d: best spread of 3 nodes that fit (0 units)
			web@3.service [a]: placed on a: best spread of 2 nodes that fit (0 units)
			web@4.service [b]: placed on b: best spread of 3 nodes that fit (0 units)`,
	}, {
		name: "spread: an instance waits rather than crowd a domain",
		world: `node a zone=x memory=8G
			node b zone=y
			unit web@1.service spread=zone on=a
			unit web@2.service spread=zone of=gone.service
			unit web@3.service spread=zone memory=1G`,
		want: `web@2.service pending: MachineOf=gone.service: there is no such unit
			web@3.service pending: 0 of 2 nodes: 1 is in the fuller zone=x, 1 lacks 1G of memory`,
	}, {
		name: "spread: as a wish it only chooses",
		world: `node a zone=x memory=9G
			node b zone=y
			unit web@1.service spread=-zone on=a
			unit web@2.service spread=-zone memory=1G`,
		want: `web@2.service [a]: placed on a: the only node that fits`,
	}, {
		name: "spread: a node without the label takes no instance",
		world: `node a
			unit web@1.service spread=zone`,
		want: `web@1.service pending: 0 of 1 nodes: 1 lacks the label zone`,
	}, {
		name: "near: waits for a neighbour, and follows it",
		world: `node a lost
			node b
			node c
			unit db@1.service on=a
			unit web.service near=db@*.service on=a
			unit alone.service near=cache*`,
		want: `alone.service pending: Near=cache*: no such unit is placed
			db@1.service [c]: moved from a, which is lost, to c: least loaded of 2 nodes that fit (0 units)
			web.service [c]: moved from a, which does not have db@*.service, to c: the only node that fits`,
	}, {
		name: "near and away as wishes choose among those that fit",
		world: `node a
			node b
			node c
			unit db.service on=b
			unit batch.service on=c
			unit x.service on=a
			unit y.service on=a
			unit web.service near=-db* away=-batch*`,
		want: `web.service [b]: placed on b: best by its wishes of 3 nodes that fit (1 units)`,
	}, {
		name: "away: holds for whoever comes later, whichever names the other",
		world: `node a
			unit web.service away=batch* on=a
			unit batch.service`,
		want: `batch.service pending: 0 of 1 nodes: 1 conflicts with web.service`,
	}, {
		name: "spread: equally loaded nodes are told apart by their domain, b",
		world: `node a zone=x
			node b zone=y
			unit other.service on=b
			unit web@1.service spread=zone on=a
			unit web@2.service spread=zone`,
		want: `web@2.service [b]: placed on b: the only node that fits`,
	}, {
		name: "away: equally loaded nodes are told apart by who is there, b",
		world: `node a
			node b
			unit calm.service on=b
			unit noisy.service on=a
			unit web.service away=-noisy.service`,
		want: `web.service [b]: placed on b: best by its wishes of 2 nodes that fit (1 units)`,
	}, {
		name: "spread: equally loaded nodes are told apart by their domain, a",
		world: `node a zone=x
			node b zone=y
			unit other.service on=a
			unit web@1.service spread=zone on=b
			unit web@2.service spread=zone`,
		want: `web@2.service [a]: placed on a: the only node that fits`,
	}, {
		name: "away: equally loaded nodes are told apart by who is there, a",
		world: `node a
			node b
			unit calm.service on=a
			unit noisy.service on=b
			unit web.service away=-noisy.service`,
		want: `web.service [a]: placed on a: best by its wishes of 2 nodes that fit (1 units)`,
	}, {
		name: "replaces: the victim leaves and goes where it may",
		world: `node a
			node b
			unit x.service on=b
			unit y.service on=b
			unit old.service on=a
			unit new.service replaces=old*`,
		want: `new.service [a]: placed on a: least loaded of 2 nodes that fit (1 units)
			old.service [b]: moved from a, which has what replaces it, new.service, to b: the only node that fits`,
	}, {
		name: "replaces: who would not be beside the victim has its place at once",
		world: `node a
			unit old.service global on=a
			unit eager.service global conflicts=old.service
			unit new.service replaces=old.service`,
		want: `eager.service [a]: global, on 1 of 1 nodes
			new.service [a]: placed on a: the only node that fits
			old.service pending: 0 of 1 nodes: 1 conflicts with eager.service`,
	}, {
		name: "replaces: a victim that may go nowhere else waits, and says why",
		world: `node a
			node b
			unit old.service require=name=a on=a
			unit new.service require=name=a replaces=old*`,
		want: `new.service [a]: placed on a: the only node that fits
			old.service pending: 0 of 2 nodes: 1 does not meet name=a, 1 has what replaces it, new.service`,
	}, {
		name: "replaces: units that replace each other let each other be",
		world: `node a
			unit a.service replaces=b*
			unit b.service replaces=a*`,
		want: `a.service [a]: placed on a: the only node that fits
			b.service [a]: placed on a: the only node that fits`,
	}, {
		name: "replaces: what replaces itself by a glob lets its own kind be",
		world: `node a
			unit web@1.service replaces=web@*
			unit web@2.service replaces=web@*`,
		want: `web@1.service [a]: placed on a: the only node that fits
			web@2.service [a]: placed on a: the only node that fits`,
	}, {
		name: "replaces and near in a circle are refused with the circle",
		world: `node a
			unit a.service near=b.service replaces=b*
			unit b.service`,
		want: `a.service pending: Near and Replaces go round in a circle: a.service -> b.service -> a.service
			b.service pending: Near and Replaces go round in a circle: a.service -> b.service -> a.service`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			in := world(t, test.world)
			got := place.Plan(in)
			sameOnShelves(t, in)
			if diff := cmp.Diff(lines(test.want), lines(picture(got))); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			in.State = place.Apply(in.State, got)
			if again := place.Plan(in); !again.Empty() {
				t.Errorf("the next plan is\n%s", picture(again))
			}
		})
	}
}
