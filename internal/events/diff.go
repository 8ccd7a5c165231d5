package events

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"argosy/internal/cluster"
)

// View is what one server knows at one moment.
type View struct {
	// State is a snapshot of the store; lists that did not change may be shared
	// with other views, which makes comparing them free.
	State *cluster.State
	// Health is how this server times the nodes' sessions. Nodes that it has
	// not timed yet are missing.
	Health map[cluster.NodeID]cluster.Health
	// At is when the view was taken, by the server's clock.
	At time.Time
}

// Diff returns what happened between two views of one server, in the order in
// which it was written to the store. It costs one pass over the lists that
// changed, whatever has changed in them. Diff of a view with itself is empty.
//
// The ID of an event is made from the revision of the record that tells of it,
// so that it is the same on every server, however each cut its snapshots.
func Diff(before, after View) []cluster.Event {
	d := differ{before: before, after: after}
	d.leader()
	d.nodes()
	d.members()
	d.tokens()
	d.units()
	d.placements()
	d.statuses()
	slices.SortStableFunc(d.found, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.part, b.part))
	})
	var out []cluster.Event
	for _, f := range d.found {
		out = append(out, f.event)
	}
	return out
}

// The parts of a state in the order of cause and effect: what one transaction
// wrote, or what was seen together, is told in this order.
type part int

const (
	partHealth part = iota + 1
	partLeader
	partNode
	partMember
	partToken
	partUnit
	partPlacement
	partStatus
)

// found is an event with its place among the others.
type found struct {
	order cluster.Revision // when it happened; 0 is before all writes
	part  part
	event cluster.Event
}

// differ gathers the events between two views.
type differ struct {
	before, after View
	found         []found
}

// add notes an event that a record of a revision tells of.
func (d *differ) add(p part, record cluster.Revision, e cluster.Event) { d.addAt(p, record, record, e) }

// addGone notes one that the lack of a record tells of: it happened at some
// revision up to the snapshot's, and is known by the record's last one.
func (d *differ) addGone(p part, record cluster.Revision, e cluster.Event) {
	d.addAt(p, d.after.State.Revision, record, e)
}

func (d *differ) addAt(p part, order, record cluster.Revision, e cluster.Event) {
	e.ID = id(record, e)
	e.Time, e.Revision = d.after.At, d.after.State.Revision
	if e.Node != "" {
		e.NodeName = d.name(e.Node)
	}
	if e.From != "" {
		e.FromName = d.name(e.From)
	}
	d.found = append(d.found, found{order, p, e})
}

// id names an event: the record it is about, by revision and subject, and what
// it says of it.
func id(record cluster.Revision, e cluster.Event) string {
	subject := string(e.Unit)
	if e.Node != "" {
		subject += "@" + string(e.Node)
	}
	return strconv.FormatInt(int64(record), 10) + "." + string(e.Kind) + "." + subject
}

// name returns a node's name as of either view, or the begin of its ID.
func (d *differ) name(id cluster.NodeID) string {
	for _, state := range []*cluster.State{d.after.State, d.before.State} {
		if at, ok := slices.BinarySearchFunc(state.Nodes, id, func(n cluster.NodeState, id cluster.NodeID) int {
			return cmp.Compare(n.Node.ID, id)
		}); ok {
			return state.Nodes[at].Node.Name
		}
	}
	return id.Short()
}

// knows reports whether a node is in the cluster now.
func (d *differ) knows(id cluster.NodeID) bool {
	_, ok := slices.BinarySearchFunc(d.after.State.Nodes, id, func(n cluster.NodeState, id cluster.NodeID) int {
		return cmp.Compare(n.Node.ID, id)
	})
	return ok
}

// walk calls each for every record that is new, gone or different between two
// sorted lists, with nil for the side that lacks it. Lists that are one and the
// same are not looked at; records are compared by revision, not by content.
func walk[T any](before, after []T, compare func(a, b *T) int, revision func(*T) cluster.Revision, each func(before, after *T)) {
	if len(before) == len(after) && (len(after) == 0 || &before[0] == &after[0]) {
		return
	}
	i, j := 0, 0
	for i < len(before) && j < len(after) {
		a, b := &before[i], &after[j]
		switch order := compare(a, b); {
		case order < 0:
			each(a, nil)
			i++
		case order > 0:
			each(nil, b)
			j++
		default:
			if revision(a) != revision(b) {
				each(a, b)
			}
			i++
			j++
		}
	}
	for ; i < len(before); i++ {
		each(&before[i], nil)
	}
	for ; j < len(after); j++ {
		each(nil, &after[j])
	}
}
