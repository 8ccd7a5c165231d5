package place

import (
	"cmp"
	"slices"

	"argosy/internal/cluster"
)

// Explanation says for each node whether it may take a unit, and why.
type Explanation struct {
	Unit    cluster.UnitName `json:"unit"`
	Summary string           `json:"summary"` // why the unit is where it is, or is nowhere
	Nodes   []NodeVerdict    `json:"nodes"`   // the best first; nodes that may not come last
	// Changes are what would let nodes take the unit that may not: for each
	// single thing that stands in the way, the nodes where nothing else does.
	Changes []WouldFit `json:"changes,omitempty"`
}

// NodeVerdict is what the filters say of one node, and how it is rated.
type NodeVerdict struct {
	Node   cluster.NodeID  `json:"node"`
	Name   string          `json:"name"`
	Placed bool            `json:"placed,omitempty"` // the unit is there
	OK     bool            `json:"ok"`               // every filter lets it pass
	Checks []FilterVerdict `json:"checks"`
	// What decides among the nodes that pass, in this order: the weight of the
	// preferences that the node meets, how many instances its domains have, how
	// many units are there that are wanted near (less those wanted away), the
	// share of it that would be promised, and how many units it has.
	Preferred int     `json:"preferred,omitempty"`
	Crowd     int     `json:"crowd,omitempty"`
	Wishes    int     `json:"wishes,omitempty"`
	Share     float64 `json:"share,omitempty"`
	Load      int     `json:"load"`
}

// WouldFit says that some nodes would take a unit if one filter let them pass.
type WouldFit struct {
	Filter string   `json:"filter"`
	Why    string   `json:"why"`   // what the filter says of each of them
	Nodes  []string `json:"nodes"` // their names
}

// FilterVerdict is what one filter says of one node; Why is "" if OK.
type FilterVerdict struct {
	Filter string `json:"filter"`
	OK     bool   `json:"ok"`
	Why    string `json:"why,omitempty"`
	common string // of Why, what it may have in common with other nodes
}

// Explain says for each node whether it may take the unit, and why, as things
// are after the plan for the same input was carried out. The unit itself is not
// counted. Of a unit that is inactive it says where it would go.
func Explain(in Input, name cluster.UnitName) Explanation {
	out := Explanation{Unit: name, Summary: "there is no such unit"}
	if in.State == nil || len(in.State.Nodes) == 0 {
		out.Summary = "no node is known"
		return out
	}
	p := newPass(in)
	p.run()
	u := p.find(name)
	if u == nil {
		if p.knows(name) {
			out = Explain(launched(in, name), name)
			out.Summary = "the unit is inactive; it would be " + out.Summary
		}
		return out
	}
	out.Summary = p.reason(u)
	there := slices.Clone(u.at)
	for _, n := range there {
		p.take(u, n)
	}
	ratings := make(map[cluster.NodeID]rating, len(p.nodes))
	for _, n := range p.nodes {
		r := p.rate(u, n, preferred(u.spec, n))
		r.wish = p.wish(u, n)
		ratings[n.id] = r
		out.Nodes = append(out.Nodes, p.judge(u, n, ratings[n.id], slices.Contains(there, n)))
	}
	slices.SortStableFunc(out.Nodes, func(a, b NodeVerdict) int {
		if a.OK == b.OK && ratings[a.Node].better(ratings[b.Node]) || a.OK && !b.OK {
			return -1
		}
		return 1
	})
	out.Changes = wouldFit(out.Nodes)
	return out
}

// launched returns an input in which one unit is to run.
func launched(in Input, name cluster.UnitName) Input {
	state := *in.State
	state.Units = slices.Clone(state.Units)
	for i := range state.Units {
		if state.Units[i].Name == name {
			state.Units[i].Desired = cluster.Launched
		}
	}
	in.State = &state
	return in
}

// wouldFit gathers the nodes that one filter alone keeps a unit from, those of
// the most nodes first.
func wouldFit(nodes []NodeVerdict) []WouldFit {
	var all []WouldFit
	for _, n := range nodes {
		var against []FilterVerdict
		for _, c := range n.Checks {
			if !c.OK {
				against = append(against, c)
			}
		}
		if len(against) != 1 {
			continue
		}
		at := slices.IndexFunc(all, func(w WouldFit) bool { return w.Filter == against[0].Filter && w.Why == against[0].common })
		if at < 0 {
			at = len(all)
			all = append(all, WouldFit{Filter: against[0].Filter, Why: against[0].common})
		}
		all[at].Nodes = append(all[at].Nodes, n.Name)
	}
	for _, w := range all {
		slices.Sort(w.Nodes)
	}
	slices.SortStableFunc(all, func(a, b WouldFit) int { return cmp.Compare(len(b.Nodes), len(a.Nodes)) })
	return all
}

// judge asks every filter about one node.
func (p *pass) judge(u *unit, n *node, r rating, placed bool) NodeVerdict {
	out := NodeVerdict{
		Node: n.id, Name: n.name, Placed: placed, OK: true,
		Preferred: r.preferred, Crowd: r.crowd, Wishes: r.wish, Share: r.share, Load: r.load,
	}
	for _, f := range p.filters.all {
		v := f.check(p, u, n)
		check := FilterVerdict{Filter: f.name, OK: v.ok}
		if !v.ok {
			check.Why, check.common = f.word(p, u, n, v), v.phrase(1)
			out.OK = false
		}
		out.Checks = append(out.Checks, check)
	}
	return out
}
