package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// tokenKept is how long an expired token is kept, so that a late use of it is
// told that it expired, not that it never was.
const tokenKept = 24 * time.Hour

// garbageMax bounds how many operations a write of garbage has; a node may
// have had thousands of units.
const garbageMax = 50

// garbage returns the deletion of records that have no reason to exist:
// statuses of nodes that were removed, and tokens long expired. Statuses of
// destroyed units are not garbage before their node says that they are gone.
func garbage(state *cluster.State, now time.Time) []write {
	var out []write
	open := map[cluster.NodeID]*write{}
	var order []cluster.NodeID
	flush := func(id cluster.NodeID) {
		out = append(out, *open[id])
		delete(open, id)
	}
	for _, s := range state.Statuses {
		if member(state, s.Node) {
			continue
		}
		w, found := open[s.Node]
		if !found {
			// The guard spares a node that has just joined again.
			w = &write{conds: []store.Cond{store.Absent(store.NodeKey(s.Node))}}
			open[s.Node] = w
			order = append(order, s.Node)
		}
		w.ops = append(w.ops, store.Delete(store.StatusKey(s.Node, s.Unit)))
		if len(w.ops) == garbageMax {
			flush(s.Node)
		}
	}
	for _, id := range order {
		if open[id] != nil {
			flush(id)
		}
	}
	for _, t := range state.Tokens {
		if now.Sub(t.Expires) > tokenKept {
			out = append(out, write{
				conds: []store.Cond{store.ChangedAt(store.TokenKey(t.ID), t.Revision)},
				ops:   []store.Op{store.Delete(store.TokenKey(t.ID))},
			})
		}
	}
	return out
}

// sweptFor remembers which cluster was found to have no orphans.
type sweptFor struct {
	term  int64
	nodes []cluster.NodeID
}

// needed reports whether orphans may have come about since.
func (s sweptFor) needed(r round) bool {
	return s.term != r.leader.Term ||
		slices.ContainsFunc(s.nodes, func(id cluster.NodeID) bool { return !member(r.state, id) })
}

// orphans returns the deletion of sessions and reports of nodes that were
// removed. Snapshots do not hold those, so the store is asked, but only when a
// leader begins and after nodes were removed.
func (e *Engine) orphans(ctx context.Context, r round) ([]write, error) {
	if !e.swept.needed(r) {
		if len(e.swept.nodes) != len(r.state.Nodes) {
			e.swept.nodes = nodeIDs(r.state)
		}
		return nil, nil
	}
	var out []write
	for _, prefix := range []string{store.PrefixSessions, store.PrefixReports} {
		items, err := list(ctx, e.deps.Store, prefix)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			id := cluster.NodeID(strings.TrimPrefix(item.Key, prefix))
			if !member(r.state, id) {
				out = append(out, write{
					conds: []store.Cond{store.Absent(store.NodeKey(id))},
					ops:   []store.Op{store.Delete(item.Key)},
				})
			}
		}
	}
	if len(out) == 0 {
		e.swept = sweptFor{term: r.leader.Term, nodes: nodeIDs(r.state)}
	}
	return out, nil
}

func nodeIDs(state *cluster.State) []cluster.NodeID {
	ids := make([]cluster.NodeID, len(state.Nodes))
	for i, n := range state.Nodes {
		ids[i] = n.Node.ID
	}
	return ids
}

// list lists with a limit on its time.
func list(ctx context.Context, s store.Store, prefix string) ([]store.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, commitMax)
	defer cancel()
	items, _, err := s.List(ctx, prefix)
	return items, err
}
