package place

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// pass is the working memory of one plan: the nodes and units as they are
// placed so far, and the indexes over them.
type pass struct {
	in        Input
	nodes     []*node // by ID
	units     []*unit // by name; those that are not inactive
	byID      map[cluster.NodeID]*node
	byName    map[cluster.UnitName]*unit
	inactive  map[cluster.UnitName]cluster.Revision
	filters   []filter // static, then dynamic
	static    []filter
	dynamic   []filter
	scores    []score
	classes   map[string]*class
	conflicts *conflicts
}

// node is a candidate.
type node struct {
	index  int
	id     cluster.NodeID
	name   string
	labels map[string]string
	health cluster.Health
	load   int // units placed on it, global ones included
	hash   uint64
}

// gone reports whether ordinary units have to leave the node.
func (n *node) gone() bool { return n.health == cluster.Lost || n.health == cluster.Dead }

// unit is a unit that wants a place.
type unit struct {
	cluster.Unit
	index  int
	spec   Spec
	broken bool     // its constraints cannot be read
	wants  []string // its metadata requirements in words
	class  *class
	hash   uint64
	record *cluster.Placement // as stored
	old    *cluster.Placement // the record, if it is of this very unit
	at     []*node            // by ID
	left   []string           // which nodes it had to leave, and why
	reason string             // why it was put where it is, in this pass
	// obstacle is why it cannot be placed on any node whatever.
	obstacle string
}

func (u *unit) on(n *node) bool { return slices.Contains(u.at, n) }

func newPass(in Input) *pass {
	p := &pass{in: in, filters: filters(), scores: scores(), classes: map[string]*class{}}
	for _, f := range p.filters {
		if f.static {
			p.static = append(p.static, f)
		} else {
			p.dynamic = append(p.dynamic, f)
		}
	}
	p.addNodes(in.State.Nodes)
	records := make(map[cluster.UnitName]*cluster.Placement, len(in.State.Placements))
	for i := range in.State.Placements {
		records[in.State.Placements[i].Unit] = &in.State.Placements[i]
	}
	p.addUnits(in.State.Units, records)
	p.conflicts = newConflicts(p.units)
	return p
}

func (p *pass) addNodes(states []cluster.NodeState) {
	p.byID = make(map[cluster.NodeID]*node, len(states))
	for _, s := range states {
		name := s.Node.Name
		if name == "" {
			name = s.Node.ID.Short()
		}
		n := &node{
			id: s.Node.ID, name: name, labels: cluster.MergeLabels(s.Node, s.Report),
			health: p.in.Health[s.Node.ID], hash: hash(p.in.Seed, string(s.Node.ID)),
		}
		p.nodes = append(p.nodes, n)
		p.byID[n.id] = n
	}
	slices.SortFunc(p.nodes, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	for i, n := range p.nodes {
		n.index = i
	}
}

func (p *pass) addUnits(units []cluster.Unit, records map[cluster.UnitName]*cluster.Placement) {
	p.byName = make(map[cluster.UnitName]*unit, len(units))
	p.inactive = map[cluster.UnitName]cluster.Revision{}
	for _, stored := range units {
		if stored.Desired == cluster.Inactive {
			p.inactive[stored.Name] = stored.Revision
			continue
		}
		u := &unit{Unit: stored, hash: hash(p.in.Seed, string(stored.Name)), record: records[stored.Name]}
		if u.record != nil && u.record.UID == u.UID {
			u.old = u.record
		}
		p.constrain(u)
		p.units = append(p.units, u)
		p.byName[u.Name] = u
	}
	slices.SortFunc(p.units, func(a, b *unit) int { return cmp.Compare(a.Name, b.Name) })
	for i, u := range p.units {
		u.index = i
	}
}

// constrain reads the constraints of a unit. A unit that is placed already
// stays where it is even if they cannot be read.
func (p *pass) constrain(u *unit) {
	spec, err := p.in.Specs(u.Unit)
	if err != nil {
		u.broken, u.obstacle = true, err.Error()
		if u.old != nil {
			u.spec.Global = u.old.Global
		}
		return
	}
	if u.Name.IsTemplate() {
		u.obstacle = "a template is not placed itself; start an instance of it"
	}
	u.spec = spec
	for _, want := range spec.Metadata {
		u.wants = append(u.wants, words(want))
	}
}

// put places a unit on a node.
func (p *pass) put(u *unit, n *node) {
	at, _ := slices.BinarySearchFunc(u.at, n, func(a, b *node) int { return cmp.Compare(a.index, b.index) })
	u.at = slices.Insert(u.at, at, n)
	n.load++
	p.conflicts.put(u, n)
}

// take removes a unit from a node.
func (p *pass) take(u *unit, n *node) {
	u.at = slices.DeleteFunc(u.at, func(have *node) bool { return have == n })
	n.load--
	p.conflicts.take(u, n)
}

// order returns the units by name, except that those named by MachineOf come
// before the units that follow them. Units that follow each other in a circle
// can never be placed and are told so.
func (p *pass) order() []*unit {
	const (
		unseen = iota
		open
		done
	)
	marks := make([]int, len(p.units))
	out := make([]*unit, 0, len(p.units))
	var path []*unit
	var visit func(u *unit)
	visit = func(u *unit) {
		marks[u.index] = open
		path = append(path, u)
		for _, name := range u.spec.MachineOf {
			peer, found := p.byName[name]
			switch {
			case !found || marks[peer.index] == done:
			case marks[peer.index] == open:
				closeCircle(path[slices.Index(path, peer):])
			default:
				visit(peer)
			}
		}
		path = path[:len(path)-1]
		marks[u.index] = done
		out = append(out, u)
	}
	for _, u := range p.units {
		if marks[u.index] == unseen {
			visit(u)
		}
	}
	return out
}

// closeCircle tells units that follow each other in a circle.
func closeCircle(circle []*unit) {
	names := make([]string, 0, len(circle)+1)
	for _, u := range circle {
		names = append(names, string(u.Name))
	}
	names = append(names, string(circle[0].Name))
	for _, u := range circle {
		u.obstacle = "MachineOf goes round in a circle: " + strings.Join(names, " -> ")
	}
}

// waitsFor says which of the units that must be on the same node is not
// placed, or "".
func (p *pass) waitsFor(u *unit) string {
	for _, name := range u.spec.MachineOf {
		peer, active := p.byName[name]
		switch {
		case !active:
			if _, stored := p.inactive[name]; stored {
				return fmt.Sprintf("MachineOf=%s: that unit is inactive", name)
			}
			return fmt.Sprintf("MachineOf=%s: there is no such unit", name)
		case len(peer.at) == 0:
			return fmt.Sprintf("MachineOf=%s: that unit is pending itself", name)
		}
	}
	return ""
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
