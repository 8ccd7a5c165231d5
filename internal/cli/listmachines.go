package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
)

const listMachinesLong = `List the nodes of the cluster, how healthy they are and what is on them.`

const listMachinesExample = `  argosy list-machines
  argosy list-machines --fields machine,ip,metadata --no-legend
  argosy nodes -o json`

const nodeLsExample = `  argosy node ls
  argosy node ls -o wide
  argosy node ls -w`

func newListMachines(a *app) *cobra.Command {
	var f listFlags
	l := nodeListing(a)
	cmd := &cobra.Command{
		Use:     "list-machines",
		Aliases: []string{"nodes", "machines"},
		Short:   "List the nodes of the cluster",
		Long:    listMachinesLong, Example: listMachinesExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd.Context(), a, f, l) },
	}
	bindList(cmd, &f, l)
	return cmd
}

func nodeListing(a *app) listing[wire.NodeView] {
	text := func(value func(wire.NodeView) string) func(wire.NodeView, bool) string {
		return func(n wire.NodeView, _ bool) string { return value(n) }
	}
	fields := "node,role,health,address,units,labels"
	if a.fleet() {
		fields = "machine,ip,metadata"
	}
	return listing[wire.NodeView]{
		columns: []column[wire.NodeView]{
			{"node", true, text(func(n wire.NodeView) string { return n.Name })},
			{"machine", false, func(n wire.NodeView, full bool) string { return machineID(n, full) }},
			{"id", false, text(func(n wire.NodeView) string { return string(n.ID) })},
			{"role", false, text(roleText)},
			{"health", false, text(func(n wire.NodeView) string { return string(n.Health) })},
			{"address", false, text(addressText)},
			{"ip", false, text(addressText)},
			{"units", false, text(func(n wire.NodeView) string { return strconv.Itoa(n.Units) })},
			{"labels", true, text(func(n wire.NodeView) string { return labelText(n.Labels) })},
			{"metadata", true, text(func(n wire.NodeView) string { return labelText(n.Labels) })},
			{"version", false, text(func(n wire.NodeView) string { return n.Version })},
			{"cpus", false, text(func(n wire.NodeView) string { return strconv.Itoa(n.CPUs) })},
			{"promised-cpu", false, text(func(n wire.NodeView) string { return coreText(n.Promised.CPU) })},
			{"used-cpu", false, text(func(n wire.NodeView) string { return coreText(n.Used.CPU) })},
			{"memory", false, text(func(n wire.NodeView) string { return byteText(n.Memory) })},
			{"promised-memory", false, text(func(n wire.NodeView) string { return byteText(n.Promised.Memory) })},
			{"used-memory", false, text(func(n wire.NodeView) string { return byteText(n.Used.Memory) })},
			{"problem", true, text(func(n wire.NodeView) string { return strings.Join(n.Problems, "; ") })},
		},
		fields: fields,
		wide:   "node,id,role,health,address,units,version,cpus,promised-cpu,used-cpu,memory,promised-memory,used-memory,labels,problem",
		name:   func(n wire.NodeView) string { return n.Name },
		fetch: func(ctx context.Context, b Backend) (any, []wire.NodeView, error) {
			list, err := b.Nodes(ctx)
			a.noteStale(list.Stale, list.Age)
			if a.fleet() {
				list.Items = slices.DeleteFunc(slices.Clone(list.Items), lostNode)
			}
			return list, list.Items, err
		},
		change: func(change wire.Change) (any, []wire.NodeView) {
			if !change.Full && len(change.Nodes) == 0 && len(change.GoneNodes) == 0 {
				return nil, nil
			}
			change.Units, change.GoneUnits = nil, nil
			if a.fleet() {
				change = withoutLost(change)
			}
			rows := slices.Clone(change.Nodes)
			for _, id := range change.GoneNodes {
				gone := wire.NodeView{Health: "gone"}
				gone.ID, gone.Name = id, id.Short()
				rows = append(rows, gone)
			}
			return change, rows
		},
	}
}

// lostNode reports whether fleet would have dropped a node: fleetctl listed the
// machines that it heard of.
func lostNode(n wire.NodeView) bool { return n.Health.Away() }

// withoutLost makes a change of nodes that are lost one of nodes that are gone.
func withoutLost(change wire.Change) wire.Change {
	gone := slices.Clone(change.GoneNodes)
	for _, n := range change.Nodes {
		if lostNode(n) {
			gone = append(gone, n.ID)
		}
	}
	change.Nodes, change.GoneNodes = slices.DeleteFunc(slices.Clone(change.Nodes), lostNode), gone
	return change
}

// machineID is a node's ID as fleetctl printed it.
func machineID(n wire.NodeView, full bool) string {
	if full {
		return string(n.ID)
	}
	return n.ID.Short() + "..."
}

func roleText(n wire.NodeView) string {
	if n.Leader {
		return string(n.Role) + ", leader"
	}
	return string(n.Role)
}

func addressText(n wire.NodeView) string {
	if !n.Address.IsValid() {
		return ""
	}
	return n.Address.String()
}

// labelText is the labels in the order of their keys, as fleetctl printed them.
func labelText(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return strings.Join(all, ",")
}

// coreText is thousandths of a core for a person, in cores.
func coreText(milli int64) string { return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) }

// byteText is a size for a person.
func byteText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/step, 0
	for value >= step && unit < 3 {
		value /= step
		unit++
	}
	return fmt.Sprintf("%.1f %s", value, [...]string{"KiB", "MiB", "GiB", "TiB"}[unit])
}
