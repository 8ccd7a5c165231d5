package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// views derives what users see from a snapshot. It is pure.
type views struct {
	state  *cluster.State
	health func(cluster.NodeID) cluster.Health
	names  map[cluster.NodeID]string
	boots  map[cluster.NodeID]string
}

func newViews(state *cluster.State, health func(cluster.NodeID) cluster.Health) views {
	v := views{state, health, make(map[cluster.NodeID]string, len(state.Nodes)), make(map[cluster.NodeID]string, len(state.Nodes))}
	for _, n := range state.Nodes {
		v.names[n.Node.ID], v.boots[n.Node.ID] = n.Node.Name, n.Session.BootID
	}
	return v
}

// name returns a node's name, or what is known of it.
func (v views) name(id cluster.NodeID) string { return cmp.Or(v.names[id], id.Short()) }

// unit returns the view of one unit, with its text.
func (v views) unit(u cluster.Unit) wire.UnitView {
	view := wire.UnitView{Unit: u}
	if p, ok := findPlacement(v.state, u.Name); ok && p.UID == u.UID {
		view.Placement = &p
	}
	for _, s := range statusesOf(v.state, u.Name) {
		if s.UID == u.UID {
			view.Statuses = append(view.Statuses, v.current(s))
		}
	}
	view.State = stateOf(view)
	view.Problem = v.problem(view)
	return view
}

// current returns a status, or, if its node has booted since, one that says
// nothing: what ran before the boot does not.
func (v views) current(s cluster.Status) cluster.Status {
	if boot := v.boots[s.Node]; s.BootID == boot || s.BootID == "" || boot == "" {
		return s
	}
	return cluster.Status{
		Unit: s.Unit, Node: s.Node, UID: s.UID, BootID: s.BootID, Since: s.Since, Revision: s.Revision,
		Problem: "not heard of since the boot",
	}
}

// units returns the views of all units, without their texts.
func (v views) units() []wire.UnitView {
	list := make([]wire.UnitView, 0, len(v.state.Units))
	for _, u := range v.state.Units {
		view := v.unit(u)
		view.Text = ""
		list = append(list, view)
	}
	return list
}

// stateOf sums up what the nodes observed in fleet's words: launched if
// systemd was seen to have started the unit, loaded if some systemd has it,
// inactive otherwise. What the user wants does not enter into it.
func stateOf(view wire.UnitView) cluster.Desired {
	state := cluster.Inactive
	for _, s := range view.Statuses {
		switch {
		case s.Active != "inactive" && s.Active != "":
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
			if h := v.health(id); h == cluster.Lost || h == cluster.Dead {
				problems = append(problems, fmt.Sprintf("%s is %s: what is shown is what it last said", v.name(id), h))
			}
		}
	}
	for _, s := range view.Statuses {
		if text := statusProblem(s); text != "" {
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

// nodes returns the views of all nodes.
func (v views) nodes() []wire.NodeView {
	placed := map[cluster.NodeID]int{}
	for _, p := range v.state.Placements {
		for _, id := range p.Nodes {
			placed[id]++
		}
	}
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
