package place

import "argosy/internal/cluster"

// Plan returns what has to change so that every unit that is not inactive is
// where it should be.
func Plan(Input) Proposal { return Proposal{} }

// Explanation says for each node whether it may take a unit, and why.
type Explanation struct {
	Unit    cluster.UnitName
	Nodes   []NodeVerdict // by score, best first; nodes that may not come last
	Summary string
}

// NodeVerdict is what the filters and scores say of one node.
type NodeVerdict struct {
	Node   cluster.NodeID
	Name   string
	Placed bool // the unit is there now
	OK     bool
	Checks []FilterVerdict
	Score  float64
}

// FilterVerdict is what one filter says of one node; Why is "" if OK.
type FilterVerdict struct {
	Filter string
	OK     bool
	Why    string
}

// Explain says for each node whether it may take the unit, and why.
func Explain(Input, cluster.UnitName) Explanation { return Explanation{} }
