package place_test

import (
	"fmt"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/unitfile"
)

// BenchmarkPlan measures how long a plan takes when all units are new, when
// none is, and when none fits.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []struct{ units, nodes int }{{1000, 3}, {10000, 1000}} {
		in := crowd(size.units, size.nodes)
		b.Run(fmt.Sprintf("%dunits/%dnodes/new", size.units, size.nodes), func(b *testing.B) {
			for b.Loop() {
				if got := place.Plan(in); len(got.Changes) != size.units {
					b.Fatal(len(got.Changes))
				}
			}
		})
		settled := in
		settled.State = place.Apply(in.State, place.Plan(in))
		b.Run(fmt.Sprintf("%dunits/%dnodes/settled", size.units, size.nodes), func(b *testing.B) {
			for b.Loop() {
				if !place.Plan(settled).Empty() {
					b.Fatal("not settled")
				}
			}
		})
		pending := in
		pending.Specs = func(cluster.Unit) (*place.Spec, error) {
			return &place.Spec{Metadata: []unitfile.Requirement{{Key: "none", Values: []string{"such"}}}}, nil
		}
		b.Run(fmt.Sprintf("%dunits/%dnodes/pending", size.units, size.nodes), func(b *testing.B) {
			for b.Loop() {
				place.Plan(pending)
			}
		})
	}
}

// crowd makes a cluster in which every tenth unit is an instance of a template
// that allows one per node, and another tenth wants a region.
func crowd(units, nodes int) place.Input {
	in := place.Input{State: &cluster.State{Revision: 1}, Health: map[cluster.NodeID]cluster.Health{}, Now: now()}
	for i := range nodes {
		id := cluster.NodeID(fmt.Sprintf("%032x", i))
		in.State.Nodes = append(in.State.Nodes, cluster.NodeState{Node: cluster.Node{
			ID: id, Name: fmt.Sprintf("n%d", i), Labels: map[string]string{"region": []string{"eu", "us"}[i%2]},
		}})
		in.Health[id] = cluster.Ready
	}
	for i := range units {
		in.State.Units = append(in.State.Units, cluster.Unit{
			Name: cluster.UnitName(fmt.Sprintf("unit%d@%d.service", i%10, i)), UID: "1", Desired: cluster.Launched, Revision: 1,
		})
	}
	plain := &place.Spec{}
	one := &place.Spec{Conflicts: []string{"unit3@*.service"}}
	eu := &place.Spec{Metadata: []unitfile.Requirement{{Key: "region", Values: []string{"eu"}}}}
	in.Specs = func(u cluster.Unit) (*place.Spec, error) {
		switch u.Name.Prefix() {
		case "unit3":
			return one, nil
		case "unit4":
			return eu, nil
		}
		return plain, nil
	}
	return in
}
