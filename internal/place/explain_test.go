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
			a ok=false placed=false load=0, MachineMetadata: lacks region=eu
			c ok=false placed=false load=0, health: is lost
			b ok=false placed=false load=1, Conflicts: conflicts with db.service`,
	}, {
		name: "an inactive unit has no verdicts",
		unit: "off.service",
		want: `the unit is inactive`,
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
	return b.String()
}
