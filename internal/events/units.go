package events

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// units tells what users did.
func (d *differ) units() {
	walk(d.before.State.Units, d.after.State.Units,
		func(a, b *cluster.Unit) int { return cmp.Compare(a.Name, b.Name) },
		func(u *cluster.Unit) cluster.Revision { return u.Revision },
		func(was, is *cluster.Unit) {
			renewed := was != nil && is != nil && was.UID != is.UID
			if is == nil || renewed {
				order := d.after.State.Revision
				if renewed {
					order = is.Revision
				}
				d.addAt(partUnit, order, was.Revision, unitEvent(cluster.EventUnitDestroyed, was.Name, "destroyed"))
			}
			if was == nil || renewed {
				e := unitEvent(cluster.EventUnitSubmitted, is.Name, "submitted, to be "+string(is.Desired))
				e.Since = is.Created
				d.add(partUnit, is.Revision, e)
			}
			if was != nil && is != nil && !renewed {
				d.unit(was, is)
			}
		})
}

// unit tells what was changed of one that is still the same.
func (d *differ) unit(was, is *cluster.Unit) {
	if was.Hash != is.Hash {
		d.add(partUnit, is.Revision, unitEvent(cluster.EventUnitChanged, is.Name, "its file was replaced"))
	}
	if was.Desired != is.Desired {
		d.add(partUnit, is.Revision, unitEvent(cluster.EventUnitDesired, is.Name, fmt.Sprintf("to be %s, and no longer %s", is.Desired, was.Desired)))
	}
	if was.Restarts != is.Restarts {
		d.add(partUnit, is.Revision, unitEvent(cluster.EventUnitRestart, is.Name, "to be restarted"))
	}
}

func unitEvent(kind cluster.EventKind, name cluster.UnitName, text string) cluster.Event {
	return cluster.Event{Kind: kind, Unit: name, Text: string(name) + ": " + text}
}

// placements tells what the leader decided.
func (d *differ) placements() {
	walk(d.before.State.Placements, d.after.State.Placements,
		func(a, b *cluster.Placement) int { return cmp.Compare(a.Unit, b.Unit) },
		func(p *cluster.Placement) cluster.Revision { return p.Revision },
		func(was, is *cluster.Placement) {
			if is == nil {
				d.left(was, was.Nodes, d.after.State.Revision)
				return
			}
			if was != nil && was.UID != is.UID {
				d.left(was, was.Nodes, is.Revision)
				was = nil
			}
			d.placement(was, is)
		})
}

// left tells that a unit is not to be on nodes any more.
func (d *differ) left(p *cluster.Placement, nodes []cluster.NodeID, order cluster.Revision) {
	for _, node := range nodes {
		e := unitEvent(cluster.EventUnitLeft, p.Unit, "no longer to be on "+d.name(node))
		e.Node = node
		d.addAt(partPlacement, order, p.Revision, e)
	}
}

// placement tells how a placement differs from the one before, nil if the unit
// had none.
func (d *differ) placement(was, is *cluster.Placement) {
	var before []cluster.NodeID
	if was != nil {
		before = was.Nodes
	}
	added, removed := without(is.Nodes, before), without(before, is.Nodes)
	switch {
	case len(is.Nodes) == 0:
		if was != nil && len(before) == 0 && was.Reason == is.Reason {
			return
		}
		e := unitEvent(cluster.EventUnitPending, is.Unit, "pending: "+is.Reason)
		if len(before) > 0 {
			e.From = before[0]
			e.Text = fmt.Sprintf("%s: pending, no longer to be on %s: %s", is.Unit, d.names(before), is.Reason)
		}
		e.Since = is.Since
		d.add(partPlacement, is.Revision, e)
	case len(added) == 1 && len(removed) == 1 && !is.Global:
		e := unitEvent(cluster.EventUnitMoved, is.Unit,
			because(fmt.Sprintf("moved from %s to %s", d.name(removed[0]), d.name(added[0])), is.Reason, "moved from "))
		e.Node, e.From, e.Since = added[0], removed[0], is.Since
		d.add(partPlacement, is.Revision, e)
	case len(added) == 0 && len(removed) == 0:
		if text := retried(was, is, d.names(is.Nodes)); text != "" {
			e := unitEvent(cluster.EventUnitRetry, is.Unit, text)
			e.Node = is.Nodes[0]
			d.add(partPlacement, is.Revision, e)
		}
	default:
		d.left(is, removed, is.Revision)
		for _, node := range added {
			e := unitEvent(cluster.EventUnitPlaced, is.Unit, because("placed on "+d.name(node), is.Reason, "placed on "))
			e.Node, e.Since = node, is.Since
			d.add(partPlacement, is.Revision, e)
		}
	}
}

// retried says what the leader does about a unit that stays where it failed.
func retried(was, is *cluster.Placement, where string) string {
	due := func(p *cluster.Placement) time.Time {
		if p.Retry == nil {
			return time.Time{}
		}
		return p.Retry.Due
	}
	switch {
	case is.Tries() > was.Tries():
		return fmt.Sprintf("tried again on %s, for the %s time", where, ordinal(is.Tries()))
	case !due(is).IsZero() && !due(is).Equal(due(was)):
		return fmt.Sprintf("to be tried again at %s, elsewhere if possible", due(is).UTC().Format(time.RFC3339))
	}
	return ""
}

// ordinal is a number as the place in a row.
func ordinal(n int64) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.FormatInt(n, 10) + suffix
}

// because joins what was decided and why. A reason that says both stands alone.
func because(what, reason, saysBoth string) string {
	switch {
	case reason == "":
		return what
	case strings.HasPrefix(reason, saysBoth):
		return reason
	}
	return what + ": " + reason
}

func (d *differ) names(ids []cluster.NodeID) string {
	var names []string
	for _, id := range ids {
		names = append(names, d.name(id))
	}
	return strings.Join(names, ", ")
}

// without returns what is in a list and not in another; both are sorted.
func without(list, other []cluster.NodeID) []cluster.NodeID {
	var out []cluster.NodeID
	for _, id := range list {
		if _, found := slices.BinarySearch(other, id); !found {
			out = append(out, id)
		}
	}
	return out
}
