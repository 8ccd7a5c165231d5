package audit

import (
	"cmp"
	"fmt"
	"slices"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/unitfile"
)

// LearnersMax is how many members may be on their way into the voting set: a
// pair, so that the set need not rest on an even number.
const LearnersMax = 2

// check collects what is wrong with one snapshot.
type check struct {
	state    *cluster.State
	specs    []*place.Spec // of the units of the placements; never nil
	units    map[cluster.UnitName]cluster.Unit
	nodes    map[cluster.NodeID]*cluster.NodeState
	on       map[cluster.NodeID][]cluster.UnitName // placed there
	findings []Finding
}

func newCheck(state *cluster.State, specs func(cluster.Unit) (*place.Spec, error)) *check {
	c := &check{
		state: state, units: map[cluster.UnitName]cluster.Unit{},
		nodes: map[cluster.NodeID]*cluster.NodeState{}, on: map[cluster.NodeID][]cluster.UnitName{},
	}
	for _, u := range state.Units {
		c.units[u.Name] = u
	}
	for i := range state.Nodes {
		c.nodes[state.Nodes[i].Node.ID] = &state.Nodes[i]
	}
	for _, p := range state.Placements {
		for _, id := range p.Nodes {
			c.on[id] = append(c.on[id], p.Unit)
		}
		c.specs = append(c.specs, c.spec(p.Unit, specs))
	}
	return c
}

// spec returns what a unit demands: nothing if it cannot be read.
func (c *check) spec(name cluster.UnitName, specs func(cluster.Unit) (*place.Spec, error)) *place.Spec {
	if u, exists := c.units[name]; exists {
		if spec, err := specs(u); err == nil {
			return spec
		}
	}
	return &place.Spec{}
}

// known reports whether a node is one of the cluster.
func (c *check) known(id cluster.NodeID) bool { return c.nodes[id] != nil }

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
			if !c.known(id) {
				c.atRest("placed-node", name, "%s is placed on %s, which is no node of the cluster", name, id.Short())
			}
		}
	}
}

// conflicts: no two units that must not be together are on one node.
func (c *check) conflicts() {
	for i, p := range c.state.Placements {
		globs := enemies(c.specs[i])
		if len(globs) == 0 {
			continue
		}
		for _, id := range p.Nodes {
			for _, other := range c.on[id] {
				if other != p.Unit && slices.ContainsFunc(globs, func(glob string) bool { return place.Matches(glob, other) }) {
					c.atRest("conflict", string(p.Unit), "%s and %s conflict and are both placed on %s", p.Unit, other, id.Short())
				}
			}
		}
	}
}

// enemies returns the globs of what must not be on one node with a unit of a spec.
func enemies(spec *place.Spec) []string {
	globs := slices.Clone(spec.Conflicts)
	for _, away := range spec.Away {
		if !away.Soft {
			globs = append(globs, away.Glob)
		}
	}
	return globs
}

// room: no node is promised to more than it has, of those that said what that
// is.
func (c *check) room() {
	type promise struct{ milli, bytes int64 }
	promised := map[cluster.NodeID]promise{}
	for i, p := range c.state.Placements {
		spec := c.specs[i]
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

// demands: a unit is only where its own demands on the node are met. Those on
// room and on distance have rules of their own, and how instances are spread is
// looked at only when one is placed.
func (c *check) demands() {
	for i, p := range c.state.Placements {
		for _, id := range p.Nodes {
			if n := c.nodes[id]; n != nil {
				c.labels(p.Unit, c.specs[i], n)
				c.company(p.Unit, c.specs[i], n)
			}
		}
	}
}

// labels: the node is the one that is wanted, and has the labels.
func (c *check) labels(name cluster.UnitName, spec *place.Spec, n *cluster.NodeState) {
	id := n.Node.ID
	if want := spec.MachineID; want != "" && want != string(id) && want != id.Short() {
		c.atRest("machine", string(name), "%s is placed on %s and wants machine %s", name, id.Short(), want)
	}
	for _, all := range [][]unitfile.Requirement{spec.Metadata, spec.Require} {
		for _, want := range all {
			if !want.Met(n.Label) {
				c.atRest("labels", string(name), "%s is placed on %s, which does not meet %s", name, id.Short(), want)
			}
		}
	}
}

// company: the units that are wanted on the same node are there.
func (c *check) company(name cluster.UnitName, spec *place.Spec, n *cluster.NodeState) {
	here := c.on[n.Node.ID]
	for _, peer := range spec.MachineOf {
		if !slices.Contains(here, peer) {
			c.atRest("machine-of", string(name), "%s is placed on %s without %s", name, n.Node.ID.Short(), peer)
		}
	}
	for _, near := range spec.Near {
		if !near.Soft && !slices.ContainsFunc(here, func(other cluster.UnitName) bool { return other != name && place.Matches(near.Glob, other) }) {
			c.atRest("near", string(name), "%s is placed on %s without any %s", name, n.Node.ID.Short(), near.Glob)
		}
	}
}

// reports: sessions, reports and statuses are of nodes of the cluster.
func (c *check) reports() {
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
		if !c.known(s.Node) {
			c.atRest("status-node", string(s.Unit), "a status of %s is of %s, which is no node of the cluster", s.Unit, s.Node.Short())
		}
		c.offers(s)
	}
}

// offers: nothing is announced of a unit that does not run.
func (c *check) offers(s cluster.Status) {
	for i, told := range catalog.Announce(s.Offers, s, "") {
		if s.Offers[i].Healthy && !told.Healthy {
			c.never("offer", string(s.Unit), "%s is announced by %s on %s: %s", told.Service, s.Unit, s.Node.Short(), told.Reason)
		}
		if i > 0 && s.Offers[i-1].Compare(told) >= 0 {
			c.never("offer-order", string(s.Unit), "the offers of %s on %s are not sorted, or one is made twice", s.Unit, s.Node.Short())
		}
	}
}

// members: they are nodes of the cluster, and only one of them changes.
func (c *check) members() {
	counts := map[cluster.MemberState]int{}
	byID := map[uint64]cluster.NodeID{}
	for _, m := range c.state.Members {
		counts[m.State]++
		if !c.known(m.Node) {
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
