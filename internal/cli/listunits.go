package cli

import (
	"context"
	"maps"
	"path"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

const listUnitsLong = `List units that are on nodes or wait for one, a line for each unit and node. A
unit that waits shows why. Of a unit on a node that is lost or dead nothing is
known any more: it is shown as unknown, with what was last seen of it. Patterns
are those of the shell; without one, all units are listed. list-unit-files lists
what the cluster has stored.`

const listUnitsExample = `  argosy list-units
  argosy list-units 'web@*' -o wide
  argosy list-units --fields unit,node,sub --no-legend
  argosy list-units -w`

func newListUnits(a *app) *cobra.Command {
	var f listFlags
	var patterns []string
	l := unitListing(a, &patterns)
	cmd := &cobra.Command{
		Use:   "list-units [PATTERN...]",
		Short: "List units and where they run",
		Long:  listUnitsLong, Example: listUnitsExample,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.unitNames(false),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if patterns, err = parsePatterns(args); err != nil {
				return err
			}
			return show(cmd.Context(), a, f, l)
		},
	}
	bindList(cmd, &f, l)
	return cmd
}

// unitRow is one unit on one node, or waiting for one.
type unitRow struct {
	unit   *wire.UnitView
	status cluster.Status
	node   string // its name
	ip     string
}

func unitListing(a *app, patterns *[]string) listing[unitRow] {
	text := func(value func(unitRow) string) func(unitRow, bool) string {
		return func(r unitRow, _ bool) string { return value(r) }
	}
	fields := "unit,node,active,sub,problem"
	if a.fleet() {
		fields = "unit,machine,active,sub"
	}
	nodes := map[cluster.NodeID]wire.NodeView{}
	return listing[unitRow]{
		columns: []column[unitRow]{
			{"unit", true, text(func(r unitRow) string { return string(r.unit.Name) })},
			{"node", true, text(func(r unitRow) string { return r.node })},
			{"machine", false, machineText},
			{"load", false, text(func(r unitRow) string { return r.status.Load })},
			{"active", false, text(func(r unitRow) string { return r.status.Active })},
			{"sub", false, text(func(r unitRow) string { return r.status.Sub })},
			{"problem", true, text(problemText)},
			{"since", false, text(func(r unitRow) string { return timeText(r.status.Since) })},
			{"pid", false, text(func(r unitRow) string { return numberText(r.status.MainPID) })},
			{"epoch", false, text(func(r unitRow) string { return numberText(int(r.status.Epoch)) })},
			{"hash", false, func(r unitRow, full bool) string { return hashText(r.unit.Hash, full) }},
		},
		fields: fields,
		wide:   "unit,node,load,active,sub,since,pid,epoch,hash,problem",
		name:   func(r unitRow) string { return string(r.unit.Name) },
		key:    func(r unitRow) string { return string(r.unit.Name) + " " + r.node },
		fetch: func(ctx context.Context, b Backend) (any, []unitRow, error) {
			list, err := b.Units(ctx)
			if err != nil {
				return nil, nil, err
			}
			a.noteStale(list.Stale, list.Age)
			// Without the names of the nodes the listing is still worth having.
			if known, err := b.Nodes(ctx); err == nil {
				note(nodes, known.Items)
			}
			rows := unitRows(matching(list.Items, *patterns), nodes)
			list.Items = shown(rows)
			return list, rows, nil
		},
		change: func(change wire.Change) (any, []unitRow) {
			note(nodes, change.Nodes)
			change.Nodes, change.GoneNodes = nil, nil
			return unitChange(change, *patterns, func(views []wire.UnitView) []unitRow { return unitRows(views, nodes) },
				func(name cluster.UnitName) unitRow {
					return unitRow{unit: &wire.UnitView{Unit: cluster.Unit{Name: name}}, status: cluster.Status{Active: "gone"}}
				})
		},
	}
}

// unitChange returns the part of a watch message that patterns match, and its
// rows; nil if nothing is left of it.
func unitChange[T any](change wire.Change, patterns []string, rows func([]wire.UnitView) []T, gone func(cluster.UnitName) T) (any, []T) {
	change.Units = matching(change.Units, patterns)
	var names []cluster.UnitName
	for _, name := range change.GoneUnits {
		if matches(name, patterns) {
			names = append(names, name)
		}
	}
	change.GoneUnits = names
	if !change.Full && len(change.Units) == 0 && len(names) == 0 {
		return nil, nil
	}
	all := rows(change.Units)
	for _, name := range names {
		all = append(all, gone(name))
	}
	return change, all
}

func note(nodes map[cluster.NodeID]wire.NodeView, views []wire.NodeView) {
	for _, view := range views {
		nodes[view.ID] = view
	}
}

// unitRows returns the rows of units: one for each node that has said something
// of the unit, one for each that it is placed on and that has not, and one if
// it waits for a node.
func unitRows(views []wire.UnitView, nodes map[cluster.NodeID]wire.NodeView) []unitRow {
	rows := make([]unitRow, 0, len(views))
	for i := range views {
		view := &views[i]
		told := map[cluster.NodeID]bool{}
		for _, status := range view.Statuses {
			told[status.Node] = true
			rows = append(rows, rowOn(view, status, nodes))
		}
		switch p := view.Placement; {
		case p == nil && view.Desired != cluster.Inactive && view.Desired != "":
			rows = append(rows, unitRow{unit: view, status: cluster.Status{Active: "pending"}})
		case p == nil:
		case p.Pending():
			rows = append(rows, unitRow{unit: view, status: cluster.Status{Active: "pending"}})
		default:
			for _, id := range p.Nodes {
				if !told[id] {
					rows = append(rows, rowOn(view, cluster.Status{Node: id, Active: "placed"}, nodes))
				}
			}
		}
	}
	return rows
}

// shown returns the units that rows are of: those on no node, and waiting for none,
// have no row.
func shown(rows []unitRow) []wire.UnitView {
	units := make([]wire.UnitView, 0, len(rows))
	for i, r := range rows {
		if i == 0 || rows[i-1].unit != r.unit {
			units = append(units, *r.unit)
		}
	}
	return units
}

func rowOn(view *wire.UnitView, status cluster.Status, nodes map[cluster.NodeID]wire.NodeView) unitRow {
	row := unitRow{unit: view, status: status, node: status.Node.Short()}
	if node, ok := nodes[status.Node]; ok {
		row.node, row.ip = node.Name, addressText(node)
	}
	return row
}

// machineText is a node as fleetctl printed it: ID and address.
func machineText(r unitRow, full bool) string {
	if r.status.Node == "" {
		return ""
	}
	id := r.status.Node.Short() + "..."
	if full {
		id = string(r.status.Node)
	}
	if r.ip == "" {
		return id
	}
	return id + "/" + r.ip
}

func problemText(r unitRow) string {
	switch {
	case r.status.Problem != "":
		return r.status.Problem
	case r.status.Active == "pending" && r.unit.Placement != nil:
		return r.unit.Placement.Reason
	case r.status.Active == "active":
		return ""
	}
	return r.unit.Problem
}

func timeText(t time.Time) string {
	if t.Unix() <= 0 { // also systemd's word for never
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// hashText is a hash, or the begin of it that git has made people used to.
func hashText(hash cluster.Hash, full bool) string {
	if full {
		return string(hash)
	}
	return string(hash[:min(7, len(hash))])
}

// parsePatterns checks patterns; names without a type are services, as
// everywhere.
func parsePatterns(args []string) ([]string, error) {
	var patterns []string
	for _, arg := range args {
		if _, err := path.Match(arg, ""); err != nil {
			return nil, misuse("%q is no pattern: %s", arg, err)
		}
		patterns = append(patterns, arg)
	}
	return patterns, nil
}

func matching(views []wire.UnitView, patterns []string) []wire.UnitView {
	if len(patterns) == 0 {
		return views
	}
	some := []wire.UnitView{}
	for _, view := range views {
		if matches(view.Name, patterns) {
			some = append(some, view)
		}
	}
	return some
}

// matches reports whether a pattern matches the name, or the name without
// ".service".
func matches(name cluster.UnitName, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	spellings := map[string]bool{string(name): true}
	if name.Type() == "service" {
		spellings[name.Stem()] = true
	}
	for _, pattern := range patterns {
		for spelling := range maps.Keys(spellings) {
			if ok, err := path.Match(pattern, spelling); ok && err == nil {
				return true
			}
		}
	}
	return false
}
