package events

import (
	"path"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// Filter says which events a reader wants. The zero Filter wants all.
type Filter struct {
	// Since leaves out what was seen earlier.
	Since time.Time
	// After leaves out what the reader has: everything up to this revision.
	After cluster.Revision
	// Units are names or globs of units, Nodes names or IDs of nodes, Names
	// either. An event that one of them means is wanted; with none, every one.
	Units, Nodes, Names []string
}

// Wants reports whether an event is wanted.
func (f Filter) Wants(e cluster.Event) bool {
	if e.Time.Before(f.Since) || e.Revision <= f.After {
		return false
	}
	if len(f.Units)+len(f.Nodes)+len(f.Names) == 0 {
		return true
	}
	for _, name := range f.Units {
		if MeansUnit(name, e.Unit) {
			return true
		}
	}
	for _, name := range f.Nodes {
		if meansNodeOf(name, e) {
			return true
		}
	}
	for _, name := range f.Names {
		if MeansUnit(name, e.Unit) || meansNodeOf(name, e) {
			return true
		}
	}
	return false
}

// meansNodeOf reports whether a name means the node of an event, or the one
// that something moved away from.
func meansNodeOf(name string, e cluster.Event) bool {
	return MeansNode(name, e.Node, e.NodeName) || MeansNode(name, e.From, e.FromName)
}

// MeansUnit reports whether a name or glob means a unit; without a type it is
// that of a service, as on the command line.
func MeansUnit(pattern string, name cluster.UnitName) bool {
	if name == "" {
		return false
	}
	for _, p := range []string{pattern, string(cluster.UnitName(pattern).WithDefaultType())} {
		if matched, err := path.Match(p, string(name)); p == string(name) || err == nil && matched {
			return true
		}
	}
	return false
}

// prefixMin is the shortest begin of a node's ID that stands for it, as in
// every verb about nodes.
const prefixMin = 4

// MeansNode reports whether a name means a node: its name, its ID, or the begin
// of its ID.
func MeansNode(name string, id cluster.NodeID, nodeName string) bool {
	return id != "" && (name == nodeName || name == string(id) || len(name) >= prefixMin && strings.HasPrefix(string(id), name))
}
