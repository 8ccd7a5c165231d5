package place

import (
	"cmp"
	"slices"

	"argosy/internal/cluster"
)

// node is a candidate.
type node struct {
	stock
	index  int  // by ID
	turn   int  // among those that are equal in all else
	gone   bool // ordinary units have to leave it
	id     cluster.NodeID
	name   string
	state  *cluster.NodeState
	health cluster.Health
	hash   uint64
	asking []*unit // those placed on it that ask for CPU or memory
}

// stock is what a node has, and what of it is taken. Nodes of equal stock suit a
// unit equally well, labels and other units aside.
type stock struct {
	milli, bytes int64         // thousandths of a core, and memory; 0 if it has not said
	promised     cluster.Usage // to units
	load         int           // units placed on it, global ones included
}

func byIndex(a, b *node) int { return cmp.Compare(a.index, b.index) }

// label returns the value of a label, and whether the node has it.
func (n *node) label(key string) (value string, there bool) { return n.state.Label(key) }

func (p *pass) addNodes(states []cluster.NodeState) {
	p.byID = make(map[cluster.NodeID]*node, len(states))
	slab := make([]node, len(states))
	p.nodes = make([]*node, len(states))
	for i := range states {
		s := &states[i]
		name := s.Node.Name
		if name == "" {
			name = s.Node.ID.Short()
		}
		slab[i] = node{
			id: s.Node.ID, name: name, state: s, health: p.in.Health[s.Node.ID],
			stock: stock{milli: int64(s.Report.CPUs) * 1000, bytes: s.Report.Memory},
		}
		slab[i].gone = slab[i].health.Away()
		p.nodes[i] = &slab[i]
		p.byID[s.Node.ID] = &slab[i]
	}
	slices.SortFunc(p.nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	for i, n := range p.nodes {
		n.index = i
	}
	inTurn(p.nodes, p.in.Seed)
}
