package mirror

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

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
		nodes: newTable(func(n cluster.Node) string { return store.NodeKey(n.ID) },
			func(a, b cluster.Node) int { return cmp.Compare(a.ID, b.ID) }),
		reports: newTable(func(r cluster.Report) string { return store.ReportKey(r.Node) },
			func(a, b cluster.Report) int { return cmp.Compare(a.Node, b.Node) }),
		sessions: newTable(func(s cluster.Session) string { return store.SessionKey(s.Node) },
			func(a, b cluster.Session) int { return cmp.Compare(a.Node, b.Node) }),
		members: newTable(func(m cluster.Member) string { return store.MemberKey(m.Node) },
			func(a, b cluster.Member) int { return cmp.Compare(a.Node, b.Node) }),
		tokens: newTable(func(t cluster.Token) string { return store.TokenKey(t.ID) },
			func(a, b cluster.Token) int { return cmp.Compare(a.ID, b.ID) }),
		units: newTable(func(u cluster.Unit) string { return store.UnitKey(u.Name) },
			func(a, b cluster.Unit) int { return cmp.Compare(a.Name, b.Name) }),
		placements: newTable(func(p cluster.Placement) string { return store.PlacementKey(p.Unit) },
			func(a, b cluster.Placement) int { return cmp.Compare(a.Unit, b.Unit) }),
		statuses: newTable(func(s cluster.Status) string { return store.StatusKey(s.Node, s.Unit) },
			func(a, b cluster.Status) int { return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Node, b.Node)) }),
	}
}

// put decodes a record into its table. Keys of no known kind are passed over:
// they belong to a newer version.
func (t *tables) put(item store.Item) error {
	rev := item.Changed
	switch folderOf(item.Key) {
	case store.KeyCluster:
		return decode(item, &t.cluster, nil)
	case store.KeyLeader:
		return decode(item, &t.leader, func(l *cluster.Leader) { l.Revision = rev })
	case store.PrefixNodes:
		return into(t.nodes, item, func(n *cluster.Node) { n.Revision = rev })
	case store.PrefixReports:
		return into(t.reports, item, func(r *cluster.Report) { r.Revision = rev })
	case store.PrefixSessions:
		return into(t.sessions, item, func(s *cluster.Session) { s.Revision = rev })
	case store.PrefixMembers:
		return into(t.members, item, func(m *cluster.Member) { m.Revision = rev })
	case store.PrefixTokens:
		return into(t.tokens, item, func(x *cluster.Token) { x.Revision = rev })
	case store.PrefixUnits:
		return into(t.units, item, func(u *cluster.Unit) { u.Revision = rev })
	case store.PrefixPlacements:
		return into(t.placements, item, func(p *cluster.Placement) { p.Revision = rev })
	case store.PrefixStatuses:
		return into(t.statuses, item, func(s *cluster.Status) { s.Revision = rev })
	}
	return nil
}

// remove removes a record, if it is of a known kind.
func (t *tables) remove(key string) {
	switch folderOf(key) {
	case store.KeyCluster:
		t.cluster = cluster.Cluster{}
	case store.KeyLeader:
		t.leader = cluster.Leader{}
	case store.PrefixNodes:
		t.nodes.remove(key)
	case store.PrefixReports:
		t.reports.remove(key)
	case store.PrefixSessions:
		t.sessions.remove(key)
	case store.PrefixMembers:
		t.members.remove(key)
	case store.PrefixTokens:
		t.tokens.remove(key)
	case store.PrefixUnits:
		t.units.remove(key)
	case store.PrefixPlacements:
		t.placements.remove(key)
	case store.PrefixStatuses:
		t.statuses.remove(key)
	}
}

// folderOf returns the folder of a key, slash included. Keys right under the
// root are their own folder.
func folderOf(key string) string {
	rest, ok := strings.CutPrefix(key, store.Root)
	if !ok {
		return ""
	}
	kind, _, ok := strings.Cut(rest, "/")
	if !ok {
		return key
	}
	return store.Root + kind + "/"
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

// into puts a record into its table. One that lies under another's key is
// refused: it would be found where it is not.
func into[T any](t *table[T], item store.Item, stamp func(*T)) error {
	var row T
	if err := decode(item, &row, stamp); err != nil {
		return err
	}
	if key := t.key(row); key != item.Key {
		return fmt.Errorf("it belongs under %s", key)
	}
	t.put(item.Key, row)
	return nil
}

// snapshot builds a State that shares its lists with later ones as long as
// they do not change.
func (t *tables) snapshot() *cluster.State {
	return &cluster.State{
		Cluster: t.cluster, Leader: t.leader, Nodes: t.nodeStates(),
		Units: t.units.list(), Placements: t.placements.list(), Statuses: t.statuses.list(),
		Members: t.members.list(), Tokens: t.tokens.list(),
	}
}

// nodeStates joins what is known of each node. Sessions change every second,
// and there are few nodes, so this list is built each time.
func (t *tables) nodeStates() []cluster.NodeState {
	states := make([]cluster.NodeState, 0, len(t.nodes.rows))
	for _, n := range t.nodes.list() {
		states = append(states, cluster.NodeState{
			Node: n, Report: t.reports.rows[store.ReportKey(n.ID)], Session: t.sessions.rows[store.SessionKey(n.ID)],
		})
	}
	return states
}
