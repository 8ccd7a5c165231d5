package place

import (
	"cmp"
	"slices"
	"strconv"

	"argosy/internal/cluster"
)

// node is a candidate.
type node struct {
	index  int
	id     cluster.NodeID
	name   string
	state  *cluster.NodeState
	health cluster.Health
	load   int // units placed on it, global ones included
	hash   uint64
	// Of what it has, this much is promised to units; thousandths of a core,
	// and bytes.
	cpu, memory int64
	asking      []*unit // those placed on it that ask for any of it
}

// gone reports whether ordinary units have to leave the node.
func (n *node) gone() bool { return n.health == cluster.Lost || n.health == cluster.Dead }

// milli is how many thousandths of a core the node has, 0 if it has not said.
func (n *node) milli() int64 { return int64(n.state.Report.CPUs) * 1000 }

// bytes is how much memory the node has, 0 if it has not said.
func (n *node) bytes() int64 { return n.state.Report.Memory }

// label returns the value of a label: that of operators, else that of the
// node's configuration, else a fact.
func (n *node) label(key string) (value string, there bool) {
	if value, set := n.state.Node.Labels[key]; set {
		return value, value != "" // an empty one removes it
	}
	if value, set := n.state.Report.Labels[key]; set {
		return value, true
	}
	return fact(n, key)
}

// fact returns what every node knows of itself under the name of a label.
func fact(n *node, key string) (string, bool) {
	report := n.state.Report
	switch key {
	case "name":
		return n.name, true
	case "id":
		return string(n.id), true
	case "arch":
		return report.Arch, report.Arch != ""
	case "cpus":
		return strconv.Itoa(report.CPUs), report.CPUs > 0
	case "mem":
		// The kernel keeps some: a machine with 32G shows 31.3, and is meant
		// by mem>=32G.
		const gib = 1 << 30
		return strconv.FormatInt((report.Memory+gib-1)/gib, 10) + "G", report.Memory > 0
	case "version":
		return report.Version, report.Version != ""
	}
	return "", false
}

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
			id: s.Node.ID, name: name, state: s,
			health: p.in.Health[s.Node.ID], hash: hash(p.in.Seed, string(s.Node.ID)),
		}
		p.nodes[i] = &slab[i]
		p.byID[s.Node.ID] = &slab[i]
	}
	slices.SortFunc(p.nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	for i, n := range p.nodes {
		n.index = i
	}
}

// hash is FNV-1a over a string, begun with the seed.
func hash(seed uint64, s string) uint64 {
	h := uint64(14695981039346656037) ^ mix(seed)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of splitmix64: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
