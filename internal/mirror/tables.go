package mirror

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// table holds the records of one kind, and their sorted list while it is
// current. The list is shared with snapshots, so it is never changed: a change
// of the records makes the next snapshot build another.
type table[T any] struct {
	rows   map[string]T // by the key below the folder
	sorted []T
	stale  bool
}

func newTable[T any]() *table[T] { return &table[T]{rows: map[string]T{}} }

func (t *table[T]) put(name string, row T) { t.rows[name], t.stale = row, true }

func (t *table[T]) remove(name string) {
	if _, ok := t.rows[name]; ok {
		delete(t.rows, name)
		t.stale = true
	}
}

// list returns the rows in the order of less.
func (t *table[T]) list(compare func(a, b T) int) []T {
	if t.stale {
		t.sorted = slices.SortedFunc(maps.Values(t.rows), compare)
		t.stale = false
	}
	return t.sorted
}

// tables are all records, by kind.
type tables struct {
	cluster    cluster.Cluster
	leader     cluster.Leader
	nodes      *table[cluster.Node]
	reports    *table[cluster.Report]
	sessions   *table[cluster.Session]
	members    *table[cluster.Member]
	tokens     *table[cluster.Token]
	units      *table[cluster.Unit]
	placements *table[cluster.Placement]
	statuses   *table[cluster.Status]
}

func newTables() tables {
	return tables{
		nodes: newTable[cluster.Node](), reports: newTable[cluster.Report](),
		sessions: newTable[cluster.Session](), members: newTable[cluster.Member](),
		tokens: newTable[cluster.Token](), units: newTable[cluster.Unit](),
		placements: newTable[cluster.Placement](), statuses: newTable[cluster.Status](),
	}
}

// put decodes a record into its table. Keys of no known kind are passed over:
// they belong to a newer version.
func (t *tables) put(item store.Item) error {
	rev := item.Changed
	switch folder, name := split(item.Key); folder {
	case store.KeyCluster:
		return decode(item, &t.cluster, nil)
	case store.KeyLeader:
		return decode(item, &t.leader, func(l *cluster.Leader) { l.Revision = rev })
	case store.PrefixNodes:
		return into(t.nodes, name, item, func(n *cluster.Node) { n.Revision = rev })
	case store.PrefixReports:
		return into(t.reports, name, item, nil)
	case store.PrefixSessions:
		return into(t.sessions, name, item, func(s *cluster.Session) { s.Revision = rev })
	case store.PrefixMembers:
		return into(t.members, name, item, func(m *cluster.Member) { m.Revision = rev })
	case store.PrefixTokens:
		return into(t.tokens, name, item, func(x *cluster.Token) { x.Revision = rev })
	case store.PrefixUnits:
		return into(t.units, name, item, func(u *cluster.Unit) { u.Revision = rev })
	case store.PrefixPlacements:
		return into(t.placements, name, item, func(p *cluster.Placement) { p.Revision = rev })
	case store.PrefixStatuses:
		return into(t.statuses, name, item, func(s *cluster.Status) { s.Revision = rev })
	}
	return nil
}

// remove removes a record, if it is of a known kind.
func (t *tables) remove(key string) {
	switch folder, name := split(key); folder {
	case store.KeyCluster:
		t.cluster = cluster.Cluster{}
	case store.KeyLeader:
		t.leader = cluster.Leader{}
	case store.PrefixNodes:
		t.nodes.remove(name)
	case store.PrefixReports:
		t.reports.remove(name)
	case store.PrefixSessions:
		t.sessions.remove(name)
	case store.PrefixMembers:
		t.members.remove(name)
	case store.PrefixTokens:
		t.tokens.remove(name)
	case store.PrefixUnits:
		t.units.remove(name)
	case store.PrefixPlacements:
		t.placements.remove(name)
	case store.PrefixStatuses:
		t.statuses.remove(name)
	}
}

// split takes a key apart into its folder, slash included, and the rest. Keys
// right under the root are their own folder.
func split(key string) (folder, name string) {
	rest, ok := strings.CutPrefix(key, store.Root)
	if !ok {
		return "", ""
	}
	kind, name, ok := strings.Cut(rest, "/")
	if !ok {
		return key, ""
	}
	return store.Root + kind + "/", name
}

// decode reads a record and stamps it with its revision.
func decode[T any](item store.Item, row *T, stamp func(*T)) error {
	var fresh T
	if err := json.Unmarshal(item.Value, &fresh); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if stamp != nil {
		stamp(&fresh)
	}
	*row = fresh
	return nil
}

func into[T any](t *table[T], name string, item store.Item, stamp func(*T)) error {
	var row T
	if err := decode(item, &row, stamp); err != nil {
		return err
	}
	t.put(name, row)
	return nil
}

// snapshot builds a State that shares its lists with later ones as long as
// they do not change.
func (t *tables) snapshot() *cluster.State {
	return &cluster.State{
		Cluster: t.cluster,
		Leader:  t.leader,
		Nodes:   t.nodeStates(),
		Units:   t.units.list(func(a, b cluster.Unit) int { return cmp.Compare(a.Name, b.Name) }),
		Placements: t.placements.list(func(a, b cluster.Placement) int {
			return cmp.Compare(a.Unit, b.Unit)
		}),
		Statuses: t.statuses.list(func(a, b cluster.Status) int {
			return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Node, b.Node))
		}),
		Members: t.members.list(func(a, b cluster.Member) int { return cmp.Compare(a.Node, b.Node) }),
		Tokens:  t.tokens.list(func(a, b cluster.Token) int { return cmp.Compare(a.ID, b.ID) }),
	}
}

// nodeStates joins what is known of each node. Sessions change every second,
// and there are few nodes, so this list is built each time.
func (t *tables) nodeStates() []cluster.NodeState {
	states := make([]cluster.NodeState, 0, len(t.nodes.rows))
	for _, n := range t.nodes.list(func(a, b cluster.Node) int { return cmp.Compare(a.ID, b.ID) }) {
		id := string(n.ID)
		states = append(states, cluster.NodeState{Node: n, Report: t.reports.rows[id], Session: t.sessions.rows[id]})
	}
	return states
}
