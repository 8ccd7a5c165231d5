package audit

import (
	"cmp"
	"fmt"
	"slices"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

// LearnersMax is how many members may be on their way into the voting set: a
// pair, so that the set need not rest on an even number.
const LearnersMax = 2

// check collects what is wrong with one snapshot.
type check struct {
	state    *cluster.State
	specs    func(cluster.Unit) (*place.Spec, error)
	units    map[cluster.UnitName]cluster.Unit
	known    map[cluster.NodeID]bool
	findings []Finding
}

func newCheck(state *cluster.State, specs func(cluster.Unit) (*place.Spec, error)) *check {
	c := &check{state: state, specs: specs, units: map[cluster.UnitName]cluster.Unit{}, known: map[cluster.NodeID]bool{}}
	for _, u := range state.Units {
		c.units[u.Name] = u
	}
	for _, n := range state.Nodes {
		c.known[n.Node.ID] = true
	}
	return c
}

// never notes what must not even be for a moment.
func (c *check) never(rule, subject, format string, args ...any) {
	c.findings = append(c.findings, Finding{Rule: rule, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

// atRest notes what must not be once the leader has followed.
func (c *check) atRest(rule, subject, format string, args ...any) {
	c.findings = append(c.findings, Finding{Rule: rule, Subject: subject, Message: fmt.Sprintf(format, args...), Passing: true})
}

// order: every list of a snapshot is sorted and names nothing twice.
func (c *check) order() {
	s := c.state
	ascending(c, "nodes", s.Nodes, func(a, b cluster.NodeState) int { return cmp.Compare(a.Node.ID, b.Node.ID) })
	ascending(c, "units", s.Units, func(a, b cluster.Unit) int { return cmp.Compare(a.Name, b.Name) })
	ascending(c, "placements", s.Placements, func(a, b cluster.Placement) int { return cmp.Compare(a.Unit, b.Unit) })
	ascending(c, "statuses", s.Statuses, func(a, b cluster.Status) int {
		return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Node, b.Node))
	})
	ascending(c, "members", s.Members, func(a, b cluster.Member) int { return cmp.Compare(a.Node, b.Node) })
	ascending(c, "tokens", s.Tokens, func(a, b cluster.Token) int { return cmp.Compare(a.ID, b.ID) })
}

func ascending[T any](c *check, list string, rows []T, compare func(a, b T) int) {
	for i := 1; i < len(rows); i++ {
		if compare(rows[i-1], rows[i]) >= 0 {
			c.never("order", list, "the list of %s is not sorted, or names something twice, at position %d", list, i)
			return
		}
	}
}

// placements: each is well formed, of a unit that wants it, on nodes that exist.
func (c *check) placements() {
	for _, p := range c.state.Placements {
		name := string(p.Unit)
		if !p.Global && len(p.Nodes) > 1 {
			c.never("one-node", name, "%s is placed on %d nodes and is not global", name, len(p.Nodes))
		}
		if p.Epoch < 1 {
			c.never("epoch", name, "the placement of %s has epoch %d; epochs begin at 1", name, p.Epoch)
		}
		if !slices.IsSorted(p.Nodes) || len(slices.Compact(slices.Clone(p.Nodes))) != len(p.Nodes) {
			c.never("placement-order", name, "the nodes of %s are not sorted, or one is named twice", name)
		}
		if p.Reason == "" {
			c.never("reason", name, "the placement of %s has no reason", name)
		}
		u, exists := c.units[p.Unit]
		switch {
		case !exists:
			c.atRest("placed-unit", name, "%s is placed and does not exist", name)
		case u.UID != p.UID:
			c.atRest("placed-unit", name, "%s is placed as it was before it was destroyed and submitted again", name)
		case u.Desired == cluster.Inactive:
			c.atRest("placed-unit", name, "%s is placed and inactive", name)
		}
		for _, id := range p.Nodes {
			if !c.known[id] {
				c.atRest("placed-node", name, "%s is placed on %s, which is no node of the cluster", name, id.Short())
			}
		}
	}
}

// conflicts: no two units that must not be together are on one node.
func (c *check) conflicts() {
	on := map[cluster.NodeID][]cluster.UnitName{}
	for _, p := range c.state.Placements {
		for _, id := range p.Nodes {
			on[id] = append(on[id], p.Unit)
		}
	}
	for _, p := range c.state.Placements {
		globs := c.enemies(p.Unit)
		if len(globs) == 0 {
			continue
		}
		for _, id := range p.Nodes {
			for _, other := range on[id] {
				if other != p.Unit && slices.ContainsFunc(globs, func(glob string) bool { return place.Matches(glob, other) }) {
					c.atRest("conflict", string(p.Unit), "%s and %s conflict and are both placed on %s", p.Unit, other, id.Short())
				}
			}
		}
	}
}

// enemies returns the globs of what must not be on one node with a unit.
func (c *check) enemies(name cluster.UnitName) []string {
	spec := c.spec(name)
	globs := slices.Clone(spec.Conflicts)
	for _, away := range spec.Away {
		if !away.Soft {
			globs = append(globs, away.Glob)
		}
	}
	return globs
}

// spec returns what a unit demands: nothing if it cannot be read.
func (c *check) spec(name cluster.UnitName) place.Spec {
	if u, exists := c.units[name]; exists {
		if spec, err := c.specs(u); err == nil {
			return *spec
		}
	}
	return place.Spec{}
}

// room: no node is promised to more than it has, of those that said what that
// is.
func (c *check) room() {
	type promise struct{ milli, bytes int64 }
	promised := map[cluster.NodeID]promise{}
	for _, p := range c.state.Placements {
		spec := c.spec(p.Unit)
		for _, id := range p.Nodes {
			sum := promised[id]
			promised[id] = promise{sum.milli + spec.CPU, sum.bytes + spec.Memory}
		}
	}
	// The messages are the same whatever the excess: a plan that lessens it is
	// no finding.
	for _, n := range c.state.Nodes {
		id := n.Node.ID
		if has := int64(n.Report.CPUs) * 1000; has > 0 && promised[id].milli > has {
			c.atRest("room", string(id), "%s is promised to more than its CPUs", id.Short())
		}
		if has := n.Report.Memory; has > 0 && promised[id].bytes > has {
			c.atRest("room", string(id), "%s is promised to more than its memory", id.Short())
		}
	}
}

// nodes: sessions, reports and statuses are of nodes of the cluster.
func (c *check) nodes() {
	for _, n := range c.state.Nodes {
		id := n.Node.ID
		if s := n.Session; s.Node != "" && s.Node != id {
			c.never("session", string(id), "node %s has the session of %s", id.Short(), s.Node.Short())
		}
		if r := n.Report; r.Node != "" && r.Node != id {
			c.never("report", string(id), "node %s has the report of %s", id.Short(), r.Node.Short())
		}
	}
	for _, s := range c.state.Statuses {
		if !c.known[s.Node] {
			c.atRest("status-node", string(s.Unit), "a status of %s is of %s, which is no node of the cluster", s.Unit, s.Node.Short())
		}
	}
}

// members: they are nodes of the cluster, and only one of them changes.
func (c *check) members() {
	counts := map[cluster.MemberState]int{}
	byID := map[uint64]cluster.NodeID{}
	for _, m := range c.state.Members {
		counts[m.State]++
		if !c.known[m.Node] {
			c.atRest("member-node", string(m.Node), "server %s is no node of the cluster", m.Node.Short())
		}
		if other, taken := byID[m.MemberID]; taken && m.MemberID != 0 {
			c.never("member-id", string(m.Node), "nodes %s and %s are the same member of etcd", other.Short(), m.Node.Short())
		}
		byID[m.MemberID] = m.Node
	}
	if n := counts[cluster.MemberAdding]; n > 1 {
		c.never("one-change", "members", "%d servers are being added at once", n)
	}
	if n := counts[cluster.MemberLeaving]; n > 1 {
		c.never("one-change", "members", "%d servers are being removed at once", n)
	}
	if n := counts[cluster.MemberLearner]; n > LearnersMax {
		c.never("one-change", "members", "%d servers are learners at once; the limit is %d", n, LearnersMax)
	}
}

// tokens: none was used more often than allowed.
func (c *check) tokens() {
	for _, t := range c.state.Tokens {
		if t.Uses < 0 {
			c.never("token", t.ID, "token %s has %d uses left", t.ID, t.Uses)
		}
	}
}
