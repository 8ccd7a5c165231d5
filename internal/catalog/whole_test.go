package catalog_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
)

func TestWhereNodesAre(t *testing.T) {
	state := world()
	state.Nodes[0].Node.Name = ""
	state.Nodes = append(state.Nodes, cluster.NodeState{Node: cluster.Node{ID: "c", Name: "has said nothing yet"}})
	health := func(id cluster.NodeID) cluster.Health {
		if id == "b" {
			return cluster.Dead
		}
		return cluster.Ready
	}
	want := []cluster.Whereabouts{
		{ID: "a", Name: "a", Address: netip.MustParseAddr("10.0.0.1")},
		{ID: "b", Name: "node-b", Address: netip.MustParseAddr("10.0.0.2"), Away: true},
	}
	got := catalog.All(state, health)
	if diff := cmp.Diff(want, got.Nodes, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got.Services) != 1 {
		t.Errorf("%d services", len(got.Services))
	}
}

// whole draws a catalog of few services and nodes.
func whole(t *rapid.T, label string) catalog.Catalog {
	c := catalog.Catalog{Services: drawn(t, label)}
	for _, id := range []cluster.NodeID{"a", "b", "c", "d"} {
		if n := rapid.IntRange(0, 2).Draw(t, label+"node "+string(id)); n > 0 {
			c.Nodes = append(c.Nodes, cluster.Whereabouts{ID: id, Away: n == 2})
		}
	}
	return c
}

func TestAChangeMakesOneCatalogOfAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := whole(t, "before"), whole(t, "after")
		change := before.To(after)
		options := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}
		if diff := cmp.Diff(after, before.With(change), options...); diff != "" {
			t.Fatalf("after %+v (-want +got):\n%s", change, diff)
		}
		if cmp.Equal(before, after, options...) != change.Empty() {
			t.Fatalf("%+v to %+v: %+v", before, after, change)
		}
	})
}
