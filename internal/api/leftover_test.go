package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
)

func TestADestroyedUnitIsShownWhileANodeHasIt(t *testing.T) {
	status := func(unit cluster.UnitName, node cluster.NodeID, active string) cluster.Status {
		return cluster.Status{Unit: unit, Node: node, UID: "u-" + cluster.UID(unit), Load: "loaded", Active: active}
	}
	stored := func(name cluster.UnitName) cluster.Unit {
		return cluster.Unit{Name: name, UID: "u-" + cluster.UID(name), Desired: cluster.Launched}
	}
	cases := map[string]struct {
		units    []cluster.Unit
		statuses []cluster.Status
		want     string
	}{
		"a unit that is stored is shown once": {
			units:    []cluster.Unit{stored("b.service")},
			statuses: []cluster.Status{status("b.service", "n1", "active")},
			want:     "b.service launched on 1",
		},
		"a unit that was destroyed is shown with every node that has it, in its place": {
			units:    []cluster.Unit{stored("a.service"), stored("c.service")},
			statuses: []cluster.Status{status("b.service", "n1", "deactivating"), status("b.service", "n2", "active")},
			want:     "a.service launched on 0, b.service  on 2, c.service launched on 0",
		},
		"a unit that no node has is gone": {
			want: "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			state := &cluster.State{Units: c.units, Statuses: c.statuses}
			var got []string
			for _, v := range new(picture).next(newViews(state, func(cluster.NodeID) cluster.Health { return cluster.Ready })).units {
				got = append(got, fmt.Sprintf("%s %s on %d", v.Name, v.Desired, len(v.Statuses)))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
