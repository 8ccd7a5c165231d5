package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

const listUnitFilesLong = `List the units that the cluster has stored: what is wanted of each, what it is,
and where it is placed.`

const listUnitFilesExample = `  argosy list-unit-files
  argosy list-unit-files --fields unit,dstate,state,target,desc
  argosy list-unit-files -o name 'web@*'`

func newListUnitFiles(a *app) *cobra.Command {
	var f listFlags
	var patterns []string
	l := unitFileListing(a, &f, &patterns)
	cmd := &cobra.Command{
		Use:   "list-unit-files [PATTERN...]",
		Short: "List the units that the cluster has stored",
		Long:  listUnitFilesLong, Example: listUnitFilesExample,
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

// fileRow is one stored unit.
type fileRow struct {
	unit  wire.UnitView
	nodes map[cluster.NodeID]wire.NodeView
}

func unitFileListing(a *app, f *listFlags, patterns *[]string) listing[fileRow] {
	text := func(value func(fileRow) string) func(fileRow, bool) string {
		return func(r fileRow, _ bool) string { return value(r) }
	}
	fields := "unit,hash,dstate,state,target,problem"
	if a.fleet() {
		fields = "unit,hash,dstate,state,target"
	}
	target := func(r fileRow, full bool) string {
		if a.fleet() {
			return fleetTarget(r, full)
		}
		return targetText(r)
	}
	nodes := map[cluster.NodeID]wire.NodeView{}
	rows := func(views []wire.UnitView) []fileRow {
		all := make([]fileRow, 0, len(views))
		for _, view := range views {
			if view.Desired != "" { // else nothing is stored: a node is still busy with it
				all = append(all, fileRow{view, nodes})
			}
		}
		return all
	}
	return listing[fileRow]{
		columns: []column[fileRow]{
			{"unit", true, text(func(r fileRow) string { return string(r.unit.Name) })},
			{"hash", false, func(r fileRow, full bool) string { return hashText(r.unit.Hash, full) }},
			{"dstate", false, text(func(r fileRow) string { return string(r.unit.Desired) })},
			{"state", false, text(func(r fileRow) string { return string(r.unit.State) })},
			{"target", false, target},
			{"tmachine", false, target},
			{"global", false, text(globalText)},
			{"problem", true, text(func(r fileRow) string { return r.unit.Problem })},
			{"created", false, text(func(r fileRow) string { return timeText(r.unit.Created) })},
			{"desc", true, text(func(r fileRow) string { return description(r.unit.Text) })},
		},
		fields: fields,
		wide:   "unit,hash,dstate,state,target,global,created,problem",
		name:   func(r fileRow) string { return string(r.unit.Name) },
		fetch: func(ctx context.Context, b Backend) (any, []fileRow, error) {
			list, err := b.Units(ctx)
			if err != nil {
				return nil, nil, err
			}
			a.noteStale(list.Stale, list.Age)
			if known, err := b.Nodes(ctx); err == nil {
				note(nodes, known.Items)
			}
			list.Items = matching(list.Items, *patterns)
			if strings.Contains(f.fields, "desc") {
				if err := withTexts(ctx, b, list.Items); err != nil {
					return nil, nil, err
				}
			}
			return list, rows(list.Items), nil
		},
		change: func(change wire.Change) (any, []fileRow) {
			note(nodes, change.Nodes)
			change.Nodes, change.GoneNodes = nil, nil
			return unitChange(change, *patterns, rows, func(name cluster.UnitName) fileRow {
				return fileRow{unit: wire.UnitView{Unit: cluster.Unit{Name: name}, State: "gone"}}
			})
		},
	}
}

// withTexts fills in the texts, which listings of the API leave out.
func withTexts(ctx context.Context, b Backend, views []wire.UnitView) error {
	for i := range views {
		view, err := b.Unit(ctx, views[i].Name)
		if err != nil {
			return err
		}
		views[i].Text = view.Text
	}
	return nil
}

// description returns what a unit file says that the unit is.
func description(text string) string {
	file, err := unitfile.Parse("unit", []byte(text))
	if err != nil {
		return ""
	}
	values := file.Values("Unit", "Description")
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// targetText names the nodes that a unit is placed on.
func targetText(r fileRow) string {
	p := r.unit.Placement
	switch {
	case isGlobal(r):
		return "global"
	case p == nil || p.Pending():
		return ""
	}
	var names []string
	for _, id := range p.Nodes {
		name := id.Short()
		if node, ok := r.nodes[id]; ok {
			name = node.Name
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

// fleetTarget is the same in fleetctl's words: ID and address.
func fleetTarget(r fileRow, full bool) string {
	p := r.unit.Placement
	switch {
	case isGlobal(r):
		return "global"
	case p == nil || p.Pending():
		return ""
	}
	row := rowOn(&r.unit, cluster.Status{Node: p.Nodes[0]}, r.nodes)
	return machineText(row, full)
}

func globalText(r fileRow) string {
	if isGlobal(r) {
		return "true"
	}
	return "false"
}

// isGlobal reports whether a unit asks to be on every node, be it placed or not;
// a server of an older version only says so of those that are placed.
func isGlobal(r fileRow) bool {
	return r.unit.Global || r.unit.Placement != nil && r.unit.Placement.Global
}
