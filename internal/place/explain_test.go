package place_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

func TestExplain(t *testing.T) {
	in := world(t, `node a
		node b region=eu
		node c region=eu lost
		node d region=eu
		unit db.service on=b
		unit off.service inactive
		unit web.service needs=region:eu conflicts=db.* on=d`)
	for _, test := range []struct{ name, unit, want string }{{
		name: "every node is listed with the filters that reject it, the possible ones first",
		unit: "web.service",
		want: `as it was
			d ok=true placed=true load=0
			c ok=false placed=false load=0, health: is lost
			a ok=false placed=false load=0, MachineMetadata: lacks region=eu
			b ok=false placed=false load=1, Conflicts: conflicts with db.* (db.service is there)
			but for health: is lost: [c]
			but for MachineMetadata: lacks region=eu: [a]
			but for Conflicts: conflicts with db.*: [b]`,
	}, {
		name: "of an inactive unit is said where it would go",
		unit: "off.service",
		want: `the unit is inactive; it would be placed on a: least loaded of 3 nodes that fit (0 units)
			a ok=true placed=true load=0
			d ok=true placed=false load=1
			b ok=true placed=false load=1
			c ok=false placed=false load=0, health: is lost
			but for health: is lost: [c]`,
	}, {
		name: "an unknown unit is said to be that",
		unit: "unknown.service",
		want: `there is no such unit`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			got := drawing(place.Explain(in, cluster.UnitName(test.unit)))
			if diff := cmp.Diff(lines(test.want), lines(got)); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
}

// drawing prints an explanation, one line for each node.
func drawing(e place.Explanation) string {
	var b strings.Builder
	fmt.Fprintln(&b, e.Summary)
	for _, n := range e.Nodes {
		fmt.Fprintf(&b, "%s ok=%v placed=%v load=%v", n.Name, n.OK, n.Placed, n.Load)
		for _, c := range n.Checks {
			if !c.OK {
				fmt.Fprintf(&b, ", %s: %s", c.Filter, c.Why)
			}
		}
		fmt.Fprintln(&b)
	}
	for _, c := range e.Changes {
		fmt.Fprintf(&b, "but for %s: %s: %s\n", c.Filter, c.Why, c.Nodes)
	}
	return b.String()
}

func TestCircles(t *testing.T) {
	in := world(t, `unit a.service of=b.service inactive
		unit b.service near=c*
		unit c.service replaces=d.service of=a.service
		unit d.service
		unit fine.service of=a.service`)
	want := map[cluster.UnitName]string{}
	for _, name := range []cluster.UnitName{"a.service", "b.service", "c.service"} {
		want[name] = "MachineOf and Near go round in a circle: a.service -> b.service -> c.service -> a.service"
	}
	if diff := cmp.Diff(want, place.Circles(in.State.Units, in.Specs)); diff != "" {
		t.Errorf("circles (-want +got):\n%s", diff)
	}
}
