package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

const nodeRmLong = `Remove a node from the cluster for good. What is placed on it moves elsewhere,
and its certificate opens no door any more. The machine itself is not touched:
if it is alive, "argosy leave" on it is the better way.`

const nodeRmExample = `  argosy node rm node-3
  argosy node rm 3f2a9c01 --yes`

const nodeLabelLong = `Set or take away labels of a node. Units ask for them with MachineMetadata=. A
label that is set here masks the one of the same name in the node's own
configuration; KEY- takes it away.`

const nodeLabelExample = `  argosy node label node-2 region=eu disk=ssd
  argosy node label node-2 disk-`

// nodePrefixMin is the shortest begin of a node ID that names the node: shorter
// ones are more likely a mistyped name.
const nodePrefixMin = 4

func newNode(a *app) *cobra.Command {
	ls := newListMachines(a)
	ls.Use, ls.Aliases, ls.Example = "ls", nil, nodeLsExample
	return newVerbGroup("node", "List, label and remove nodes", ls, newNodeRm(a), newNodeLabel(a))
}

func newNodeRm(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NODE",
		Short: "Remove a node from the cluster for good",
		Long:  nodeRmLong, Example: nodeRmExample,
		Aliases:           []string{"remove"},
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.nodeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withNode(cmd.Context(), args[0], func(ctx context.Context, b Backend, node wire.NodeView) error {
				if err := a.confirm(yes, "Remove %s (%s, %s) from the cluster for good?", node.Name, node.ID.Short(), node.Health); err != nil {
					return err
				}
				request, cancel := a.request(ctx) // only now: a person may take long to answer
				defer cancel()
				if err := b.RemoveNode(request, node.ID); err != nil {
					return err
				}
				a.notef("%s removed", node.Name)
				return nil
			})
		},
	}
	bindYes(cmd, &yes)
	return cmd
}

func newNodeLabel(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "label NODE KEY=VALUE|KEY-...",
		Short: "Set or take away labels of a node",
		Long:  nodeLabelLong, Example: nodeLabelExample,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.nodeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			labels, err := parseLabels(args[1:])
			if err != nil {
				return err
			}
			return a.withNode(cmd.Context(), args[0], func(ctx context.Context, b Backend, node wire.NodeView) error {
				request, cancel := a.request(ctx)
				defer cancel()
				view, err := b.PatchNode(request, node.ID, wire.NodePatch{Labels: labels})
				if err != nil {
					return err
				}
				a.notef("%s  %s", view.Name, labelText(view.Labels))
				return nil
			})
		},
	}
}

// parseLabels reads KEY=VALUE and KEY-; an empty value removes a label.
func parseLabels(args []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, arg := range args {
		key, value, set := strings.Cut(arg, "=")
		if !set {
			if key, set = strings.CutSuffix(arg, "-"); !set {
				return nil, misuse("%q is no label: use KEY=VALUE, or KEY- to take it away", arg)
			}
		}
		if !unitfile.IsLabelKey(key) {
			return nil, misuse("%q is no key of a label: use letters, digits, '_', '.', '-' and '/'", key)
		}
		labels[key] = value
	}
	return labels, nil
}

// withNode finds a node and does one thing with it.
func (a *app) withNode(ctx context.Context, arg string, do func(context.Context, Backend, wire.NodeView) error) error {
	b, err := a.connect(ctx)
	if err != nil {
		return err
	}
	request, cancel := a.request(ctx)
	node, err := findNode(request, b, arg)
	cancel()
	if err != nil {
		return err
	}
	return do(ctx, b, node)
}

// findNode returns the node of a name, an ID, or the begin of one.
func findNode(ctx context.Context, b Backend, arg string) (wire.NodeView, error) {
	list, err := b.Nodes(ctx)
	if err != nil {
		return wire.NodeView{}, err
	}
	var found []wire.NodeView
	for _, node := range list.Items {
		if node.Name == arg || string(node.ID) == arg {
			return node, nil
		}
		if len(arg) >= nodePrefixMin && strings.HasPrefix(string(node.ID), arg) {
			found = append(found, node)
		}
	}
	switch len(found) {
	case 0:
		return wire.NodeView{}, cluster.Errorf(cluster.NotFound, "no node %q", arg).WithHint("argosy node ls shows those there are")
	case 1:
		return found[0], nil
	}
	return wire.NodeView{}, cluster.Errorf(cluster.Invalid, "%q is the begin of the IDs of %d nodes", arg, len(found)).WithHint("give more digits, or the name")
}
