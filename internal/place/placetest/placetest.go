// Package placetest makes clusters to measure planning with.
package placetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/specs"
)

// Kind is what the units of a cluster ask for.
type Kind string

// The kinds. The first two have the shape of the benchmark of SwarmKit's
// scheduler (manager/scheduler/scheduler_test.go): tasks without demands, and
// tasks that a third of the nodes may take.
const (
	Plain    Kind = "plain"    // nothing
	Labelled Kind = "labelled" // a label, which every third node has
	// Mixed units come in applications of ten: six instances of a template that
	// are spread over zones, conflict with each other and ask for CPU and memory;
	// three that each have to be where one of those is; and one that asks for a
	// label and for memory.
	Mixed Kind = "mixed"
)

// zones is how many failure domains the nodes are in.
const zones = 10

// New returns a cluster in which all units are new. Their texts have been read
// already, as they have in a leader.
func New(kind Kind, nodes, units int) place.Input {
	cache := &specs.Cache{}
	in := place.Input{
		State: &cluster.State{Revision: 1}, Health: map[cluster.NodeID]cluster.Health{},
		Specs: cache.Of, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Seed: 7,
	}
	for i := range nodes {
		n := node(i)
		in.State.Nodes = append(in.State.Nodes, n)
		in.Health[n.Node.ID] = cluster.Ready
	}
	for i := range units {
		in.State.Units = append(in.State.Units, Unit(kind, i))
	}
	slices.SortFunc(in.State.Units, func(a, b cluster.Unit) int { return cmp.Compare(a.Name, b.Name) })
	for i := range in.State.Units {
		u := &in.State.Units[i]
		// They lie in memory as those that were read from a store, by name.
		u.Name, u.Text = cluster.UnitName(strings.Clone(string(u.Name))), strings.Clone(u.Text)
		_, _ = cache.Of(*u)
	}
	return in
}

// Settled returns the same cluster after its units were placed.
func Settled(in place.Input) place.Input {
	in.State = place.Apply(in.State, place.Plan(in))
	return in
}

// Running returns the same cluster after all nodes have said that what is placed
// on them runs.
func Running(in place.Input) place.Input {
	state := *in.State
	state.Statuses = nil
	for _, p := range state.Placements {
		for _, id := range p.Nodes {
			state.Statuses = append(state.Statuses, cluster.Status{
				Unit: p.Unit, Node: id, UID: p.UID, Epoch: p.Epoch, Load: "loaded", Active: "active", Sub: "running",
			})
		}
	}
	in.State = &state
	return in
}

// With returns a cluster with one more unit, which is new.
func With(in place.Input, u cluster.Unit) place.Input {
	state := *in.State
	at, _ := slices.BinarySearchFunc(state.Units, u, func(a, b cluster.Unit) int { return cmp.Compare(a.Name, b.Name) })
	state.Units = slices.Insert(slices.Clone(state.Units), at, u)
	in.State = &state
	return in
}

func node(i int) cluster.NodeState {
	id := cluster.NodeID(fmt.Sprintf("%032x", i+1))
	labels := map[string]string{"zone": fmt.Sprintf("zone-%d", i%zones)}
	if i%3 == 0 {
		labels["disk"] = "ssd"
	}
	return cluster.NodeState{
		Node:   cluster.Node{ID: id, Name: fmt.Sprintf("node-%d", i+1), Labels: labels},
		Report: cluster.Report{Node: id, CPUs: 16, Memory: 64 << 30},
	}
}

// Unit returns the unit of a number, of which a cluster of n units has those
// below n.
func Unit(kind Kind, i int) cluster.Unit {
	name, demands := fmt.Sprintf("unit-%d.service", i), ""
	switch kind {
	case Plain:
	case Labelled:
		demands = "[X-Argosy]\nRequire=disk=ssd\n"
	case Mixed:
		name, demands = member(i/10, i%10)
	}
	text := "[Service]\nExecStart=/bin/sleep infinity\n" + demands
	return cluster.Unit{
		Name: cluster.UnitName(name), UID: "1", Desired: cluster.Launched, Revision: 1,
		Text: text, Hash: cluster.HashText(strings.Join([]string{name, text}, "\n")),
	}
}

// member returns the name and the demands of one unit of an application.
func member(app, i int) (name, demands string) {
	switch {
	case i < 6:
		return fmt.Sprintf("web-%d@%d.service", app, i+1), fmt.Sprintf(
			"[X-Fleet]\nConflicts=web-%d@*.service\n[X-Argosy]\nSpread=zone\nCPU=100m\nMemory=64M\n", app)
	case i < 9:
		return fmt.Sprintf("kick-%d@%d.service", app, i-5), fmt.Sprintf("[X-Fleet]\nMachineOf=web-%d@%%i.service\n", app)
	}
	return fmt.Sprintf("db-%d.service", app), "[X-Argosy]\nRequire=disk=ssd\nMemory=512M\n"
}
