package catalog

import (
	"cmp"
	"slices"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// Catalog is all that every node knows: the services, by name, and where nodes are,
// by ID.
type Catalog struct {
	Services []cluster.Service     `json:"services"`
	Nodes    []cluster.Whereabouts `json:"nodes"`
}

// Change is what is new or different in a catalog, whole, and what is gone from it.
type Change struct {
	Services  []cluster.Service
	Gone      []string // services
	Nodes     []cluster.Whereabouts
	GoneNodes []cluster.NodeID
}

// Empty reports whether nothing changed.
func (c Change) Empty() bool {
	return len(c.Services)+len(c.Gone)+len(c.Nodes)+len(c.GoneNodes) == 0
}

// All returns the catalog of a cluster.
func All(state *cluster.State, health func(cluster.NodeID) cluster.Health) Catalog {
	return Catalog{Of(state, health), Nodes(state, health)}
}

// Nodes returns where the nodes of a cluster are. One that has not yet said its
// address is not listed.
func Nodes(state *cluster.State, health func(cluster.NodeID) cluster.Health) []cluster.Whereabouts {
	var all []cluster.Whereabouts
	for i := range state.Nodes {
		n := &state.Nodes[i]
		if !n.Report.Address.IsValid() {
			continue
		}
		name := cmp.Or(n.Node.Name, n.Node.ID.Short())
		all = append(all, cluster.Whereabouts{ID: n.Node.ID, Name: name, Address: n.Report.Address, Away: health(n.Node.ID).Away()})
	}
	return all
}

// To returns what leads from a catalog to a later one.
func (c Catalog) To(after Catalog) Change {
	var change Change
	change.Services, change.Gone = Diff(c.Services, after.Services)
	i := 0
	for _, n := range after.Nodes {
		for ; i < len(c.Nodes) && c.Nodes[i].ID < n.ID; i++ {
			change.GoneNodes = append(change.GoneNodes, c.Nodes[i].ID)
		}
		same := i < len(c.Nodes) && c.Nodes[i] == n
		if i < len(c.Nodes) && c.Nodes[i].ID == n.ID {
			i++
		}
		if !same {
			change.Nodes = append(change.Nodes, n)
		}
	}
	for ; i < len(c.Nodes); i++ {
		change.GoneNodes = append(change.GoneNodes, c.Nodes[i].ID)
	}
	return change
}

// Told returns the catalog after what a server tells of it: all of it, or what changed.
func (c Catalog) Told(m wire.Services) Catalog {
	if m.Full {
		return Catalog{m.Services, m.Nodes}
	}
	return c.With(Change{m.Services, m.Gone, m.Nodes, m.GoneNodes})
}

// With returns the catalog after a change. The catalog itself stays as it is.
func (c Catalog) With(change Change) Catalog {
	after := Catalog{Services: c.Services, Nodes: c.Nodes}
	if len(change.Services)+len(change.Gone) > 0 {
		after.Services = Apply(c.Services, change.Services, change.Gone)
	}
	if len(change.Nodes)+len(change.GoneNodes) > 0 {
		after.Nodes = applyNodes(c.Nodes, change.Nodes, change.GoneNodes)
	}
	return after
}

func applyNodes(before, changed []cluster.Whereabouts, gone []cluster.NodeID) []cluster.Whereabouts {
	byID := func(n cluster.Whereabouts, id cluster.NodeID) int { return cmp.Compare(n.ID, id) }
	after := slices.Clone(before)
	for _, id := range gone {
		if at, found := slices.BinarySearchFunc(after, id, byID); found {
			after = slices.Delete(after, at, at+1)
		}
	}
	for _, n := range changed {
		at, found := slices.BinarySearchFunc(after, n.ID, byID)
		if found {
			after[at] = n
		} else {
			after = slices.Insert(after, at, n)
		}
	}
	return after
}
