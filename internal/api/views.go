package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// views derives what users see from a snapshot and the health of nodes at that
// moment. It is for one goroutine.
type views struct {
	state *cluster.State
	// ask returns the health of a node, and healths is what it said: of each node
	// it is asked once, so that views are of one moment.
	ask     func(cluster.NodeID) cluster.Health
	healths map[cluster.NodeID]cluster.Health
	names   map[cluster.NodeID]string
	boots   map[cluster.NodeID]string
	// global reports whether a unit asks to be on every node; nil: none is said to.
	global func(cluster.Unit) bool
}

// views derives them with what this server knows.
func (s *Server) views(state *cluster.State) views {
	s.specs.Prune(len(state.Units)) // views are what fills it, with units that come and go
	v := newViews(state, s.Health)
	v.global = func(u cluster.Unit) bool {
		spec, err := s.specs.Of(u)
		return err == nil && spec.Global
	}
	return v
}

func newViews(state *cluster.State, health func(cluster.NodeID) cluster.Health) views {
	v := views{
		state: state, ask: health, healths: map[cluster.NodeID]cluster.Health{},
		names: make(map[cluster.NodeID]string, len(state.Nodes)), boots: make(map[cluster.NodeID]string, len(state.Nodes)),
	}
	for _, n := range state.Nodes {
		v.names[n.Node.ID], v.boots[n.Node.ID] = n.Node.Name, n.Session.BootID
	}
	return v
}

// health returns the health of a node at the moment of the views.
func (v views) health(id cluster.NodeID) cluster.Health {
	h, asked := v.healths[id]
	if !asked {
		h = v.ask(id)
		v.healths[id] = h
	}
	return h
}

// sameRecords reports whether the views of units are made from the records of
// earlier ones. Lists of the mirror are shared between snapshots until they change.
func (v views) sameRecords(earlier views) bool {
	return earlier.state != nil && shared(v.state.Units, earlier.state.Units) &&
		shared(v.state.Placements, earlier.state.Placements) && shared(v.state.Statuses, earlier.state.Statuses)
}

// sameNodes reports whether the views of units say the same of nodes as earlier
// ones.
func (v views) sameNodes(earlier views) bool {
	for id, h := range earlier.healths {
		if v.health(id) != h {
			return false
		}
	}
	return maps.Equal(v.names, earlier.names) && maps.Equal(v.boots, earlier.boots)
}

// name returns a node's name, or what is known of it.
func (v views) name(id cluster.NodeID) string { return cmp.Or(v.names[id], id.Short()) }

// unit returns the view of a unit that is stored, with its text.
func (v views) unit(u cluster.Unit) wire.UnitView { return v.of(recordsOf(v.state, u)) }

// of returns the view of a unit that is stored, with its text.
func (v views) of(r records) wire.UnitView {
	u := *r.unit
	view := wire.UnitView{Unit: u, Global: v.global != nil && v.global(u)}
	if r.placement != nil && r.placement.UID == u.UID {
		p := *r.placement // or the view would hold on to all placements
		view.Placement = &p
	}
	for _, s := range r.statuses {
		if s.UID == u.UID {
			view.Statuses = append(view.Statuses, v.current(s))
		}
	}
	view.State = stateOf(view)
	view.Problem = v.problem(view)
	return view
}

// current returns a status as far as it is true now. If its node has booted
// since, it says nothing: what ran before the boot does not. If its node is lost
// or dead, the last word of its systemd need not be so any more.
func (v views) current(s cluster.Status) cluster.Status {
	if boot := v.boots[s.Node]; s.BootID != boot && s.BootID != "" && boot != "" {
		s = cluster.Status{
			Unit: s.Unit, Node: s.Node, UID: s.UID, BootID: s.BootID, Since: s.Since, Revision: s.Revision,
			Problem: "not heard of since the boot",
		}
	}
	if !v.away(s.Node) {
		return s
	}
	return cluster.Status{
		Unit: s.Unit, Node: s.Node, UID: s.UID, Hash: s.Hash, Epoch: s.Epoch, BootID: s.BootID, Revision: s.Revision,
		Active: cluster.ActiveUnknown, Problem: v.unheard(s.Node) + "; " + lastWord(s),
	}
}

// away reports whether a node is lost or dead: what it last said is history.
func (v views) away(id cluster.NodeID) bool { return v.health(id).Away() }

// unheard says of a node that it is away.
func (v views) unheard(id cluster.NodeID) string {
	return fmt.Sprintf("%s is %s", v.name(id), v.health(id))
}

// lastWord says what a node that is away last said of a unit. It may be only
// cut off, and then what ran there goes on.
func lastWord(s cluster.Status) string {
	switch s.Active {
	case "":
		return s.Problem
	case "failed":
		return "last seen failed (" + s.Failure() + ")"
	case "inactive":
		return "last seen inactive"
	}
	return fmt.Sprintf("last seen %s (%s), and may still run there", s.Active, s.Sub)
}

// listed returns the view of a unit as listings have it: without its text, and
// also if it was destroyed.
func (v views) listed(r records) wire.UnitView {
	if r.unit == nil {
		return v.leftover(r.statuses)
	}
	view := v.of(r)
	view.Text = ""
	return view
}

// units returns the views of all units that are stored, without their texts.
func (v views) units() []wire.UnitView {
	list := make([]wire.UnitView, 0, len(v.state.Units))
	for r := range everyUnit(v.state) {
		if r.unit != nil {
			list = append(list, v.listed(r))
		}
	}
	return list
}

// stateOf sums up what the nodes observed in fleet's words: launched if
// systemd was seen to have started the unit, loaded if some systemd has it,
// inactive otherwise. What the user wants does not enter into it, nor does what
// is not known.
func stateOf(view wire.UnitView) cluster.Desired {
	state := cluster.Inactive
	for _, s := range view.Statuses {
		switch {
		case s.Active == "" || s.Active == cluster.ActiveUnknown:
		case s.Active != "inactive":
			return cluster.Launched
		case s.Load == "loaded" && s.Result != "" && view.Desired == cluster.Launched:
			state = cluster.Launched // ran and ended
		case s.Load == "loaded" && state == cluster.Inactive:
			state = cluster.Loaded
		}
	}
	return state
}

// problem is the one thing to know if a unit is not as desired.
func (v views) problem(view wire.UnitView) string {
	if view.Desired == cluster.Inactive {
		return ""
	}
	if view.Placement != nil && view.Placement.Pending() {
		return view.Placement.Reason
	}
	var problems []string
	if view.Placement != nil {
		for _, id := range view.Placement.Nodes {
			if v.away(id) && !slices.ContainsFunc(view.Statuses, func(s cluster.Status) bool { return s.Node == id }) {
				problems = append(problems, v.unheard(id))
			}
		}
	}
	for _, s := range view.Statuses {
		if s.Active == cluster.ActiveUnknown {
			problems = append(problems, s.Problem) // it names the node
		} else if text := statusProblem(s); text != "" {
			problems = append(problems, text+" on "+v.name(s.Node))
		}
	}
	return strings.Join(problems, "; ")
}

// statusProblem says what a node reports as wrong with a unit, "" if nothing.
func statusProblem(s cluster.Status) string {
	switch {
	case s.Problem != "":
		return s.Problem
	case s.Active == "failed":
		return "failed (" + s.Failure() + ")"
	case s.Load != "loaded" && s.Load != "" && s.Load != "not-found":
		return "systemd says " + s.Load
	}
	return ""
}

// node returns the view of one node.
func (v views) node(n cluster.NodeState) wire.NodeView {
	view := wire.NodeView{
		Node: n.Node, Role: cluster.Worker, Leader: v.state.Leader.Node == n.Node.ID, Health: v.health(n.Node.ID),
		Address: n.Report.Address, Labels: cluster.MergeLabels(n.Node, n.Report), Version: n.Report.Version,
		CPUs: n.Report.CPUs, Memory: n.Report.Memory, Problems: n.Report.Problems,
	}
	if m, ok := findMember(v.state, n.Node.ID); ok && m.State == cluster.MemberVoter {
		view.Role = cluster.Server
	}
	return view
}

// placed counts the units that are placed on each node.
func (v views) placed() map[cluster.NodeID]int {
	counts := map[cluster.NodeID]int{}
	for _, p := range v.state.Placements {
		for _, id := range p.Nodes {
			counts[id]++
		}
	}
	return counts
}

// nodes returns the views of all nodes.
func (v views) nodes() []wire.NodeView { return v.nodesWith(v.placed()) }

// nodesWith is nodes for those who know what is placed.
func (v views) nodesWith(placed map[cluster.NodeID]int) []wire.NodeView {
	list := make([]wire.NodeView, 0, len(v.state.Nodes))
	for _, n := range v.state.Nodes {
		view := v.node(n)
		view.Units = placed[n.Node.ID]
		list = append(list, view)
	}
	return list
}

// The lists of a snapshot are sorted, so finding is a binary search.

func findUnit(state *cluster.State, name cluster.UnitName) (u cluster.Unit, ok bool) {
	i, ok := slices.BinarySearchFunc(state.Units, name, func(u cluster.Unit, n cluster.UnitName) int { return cmp.Compare(u.Name, n) })
	if ok {
		u = state.Units[i]
	}
	return u, ok
}

func findPlacement(state *cluster.State, name cluster.UnitName) (p cluster.Placement, ok bool) {
	i, ok := slices.BinarySearchFunc(state.Placements, name, func(p cluster.Placement, n cluster.UnitName) int { return cmp.Compare(p.Unit, n) })
	if ok {
		p = state.Placements[i]
	}
	return p, ok
}

func findMember(state *cluster.State, id cluster.NodeID) (m cluster.Member, ok bool) {
	i, ok := slices.BinarySearchFunc(state.Members, id, func(m cluster.Member, n cluster.NodeID) int { return cmp.Compare(m.Node, n) })
	if ok {
		m = state.Members[i]
	}
	return m, ok
}

func findNode(state *cluster.State, id cluster.NodeID) (n cluster.NodeState, ok bool) {
	i, ok := slices.BinarySearchFunc(state.Nodes, id, func(n cluster.NodeState, id cluster.NodeID) int { return cmp.Compare(n.Node.ID, id) })
	if ok {
		n = state.Nodes[i]
	}
	return n, ok
}

// statusesOf returns the statuses of one unit, by node.
func statusesOf(state *cluster.State, name cluster.UnitName) []cluster.Status {
	first, _ := slices.BinarySearchFunc(state.Statuses, name, func(s cluster.Status, n cluster.UnitName) int { return cmp.Compare(s.Unit, n) })
	last := first
	for last < len(state.Statuses) && state.Statuses[last].Unit == name {
		last++
	}
	return state.Statuses[first:last]
}
