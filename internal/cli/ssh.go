package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
)

const sshLong = `Open a shell on a node, or run a command there, as root in the folder "/". It
goes through the cluster: no keys, no sshd, no other port. For a unit it is the
node that the unit runs on; what you run there is not inside the unit.

The words of the command are joined by blanks and handed to root's shell, as ssh
does. At a terminal the command has one too; otherwise its two outputs stay
apart, and bytes go through as they are. The exit code is the command's, 128 and
the signal's number if a signal ended it, and 255 if it could not be run to its
end. What was started on the node ends with the verb.`

const sshExample = `  argosy ssh node-2
  argosy ssh node-2 -- systemctl status nginx
  argosy ssh hello.service -- 'ps aux | grep hello'
  argosy ssh node-2 -- tar cz /etc > node-2.tgz`

// exitNoSession is the exit code of a command that could not be run to its end,
// which is not one that commands have: ssh's.
const exitNoSession = 255

// Terminal is the terminal that the user sits at.
type Terminal interface {
	// Raw hands every key on instead of acting on it, until restore is called.
	Raw() (restore func(), err error)
	// Sizes tells the size now and whenever it changes, until ctx ends.
	Sizes(ctx context.Context) <-chan wire.TerminalSize
}

// sshTarget is where a shell is wanted.
type sshTarget struct{ name, node, unit string }

func newSSH(a *app) *cobra.Command {
	var to sshTarget
	var tty bool
	cmd := &cobra.Command{
		Use:   "ssh NODE|UNIT [COMMAND...]",
		Short: "Open a shell on a node, or run a command there",
		Long:  sshLong, Example: sshExample,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.sshTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if to.node != "" && to.unit != "" {
				return misuse("--machine and --unit both say where to go; use one")
			}
			if to.node == "" && to.unit == "" {
				if len(args) == 0 || args[0] == "--" {
					return misuse("ssh needs a node or a unit")
				}
				to.name, args = args[0], args[1:]
			}
			if len(args) > 0 && args[0] == "--" {
				args = args[1:]
			}
			return a.ssh(cmd.Context(), to, wire.Terminal{Command: strings.Join(args, " "), TTY: tty})
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the name is the command's
	flags.StringVarP(&to.node, "machine", "m", "", "this `node`, by name or ID")
	flags.StringVarP(&to.unit, "unit", "u", "", "the node of this `unit`")
	flags.BoolVarP(&tty, "tty", "t", false, "give the command a terminal even when there is none here")
	complete(cmd, "machine", a.nodeNames)
	complete(cmd, "unit", a.unitNames(false))
	return cmd
}

// sshTargets proposes what the first word may be; the others are the command's.
func (a *app) sshTargets(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || cmd.Flags().Changed("machine") || cmd.Flags().Changed("unit") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.unitAndNodeNames(cmd, args, begun)
}

func (a *app) ssh(ctx context.Context, to sshTarget, want wire.Terminal) error {
	b, err := a.connect(ctx)
	if err != nil {
		return &exitError{exitNoSession, err}
	}
	request, cancel := a.request(ctx)
	node, err := a.sshNode(request, b, to)
	cancel()
	if err != nil {
		if _, usage := err.(*usageError); usage { //nolint:errorlint // it is not wrapped
			return err
		}
		return &exitError{exitNoSession, err}
	}
	code, err := a.terminal(ctx, b, node, want)
	if err != nil {
		return &exitError{exitNoSession, err}
	}
	if code != 0 {
		return &exitError{code, nil}
	}
	return nil
}

// terminal connects this process with a command on a node.
func (a *app) terminal(ctx context.Context, b Backend, node cluster.NodeID, want wire.Terminal) (int, error) {
	streams := channel.Streams{In: a.env.Stdin, Out: a.env.Stdout, Err: a.env.Stderr}
	want.TTY = want.TTY || a.env.IsTerminal(a.env.Stdin) && a.env.IsTerminal(a.env.Stdout)
	if want.TTY {
		want.Term = a.env.Getenv("TERM")
	}
	if want.TTY && a.env.Terminal != nil && a.env.IsTerminal(a.env.Stdin) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		streams.Sizes = a.env.Terminal.Sizes(ctx)
		want.Size = <-streams.Sizes
		restore, err := a.env.Terminal.Raw()
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	return b.Terminal(ctx, node, want, streams)
}

// sshNode finds the node that is meant, by its own name or by a unit's.
func (a *app) sshNode(ctx context.Context, b Backend, to sshTarget) (cluster.NodeID, error) {
	if to.node != "" {
		node, err := findNode(ctx, b, to.node)
		return node.ID, err
	}
	nodes, err := b.Nodes(ctx)
	if err != nil {
		return "", err
	}
	if to.unit != "" {
		return nodeOfUnit(ctx, b, to.unit, nodes.Items)
	}
	node, nodeErr := findNode(ctx, b, to.name)
	if nodeErr != nil && cluster.KindOf(nodeErr) != cluster.NotFound {
		return "", nodeErr // the begin of several IDs
	}
	unit, unitErr := nodeOfUnit(ctx, b, to.name, nodes.Items)
	switch _, misnamed := unitErr.(*usageError); { //nolint:errorlint // it is not wrapped
	case nodeErr != nil && (misnamed || cluster.KindOf(unitErr) == cluster.NotFound):
		return "", cluster.Errorf(cluster.NotFound, "there is no node and no unit %q", to.name).
			WithHint("the nodes are " + strings.Join(namesOfNodes(nodes.Items, nil), ", "))
	case nodeErr != nil:
		return unit, unitErr
	case unitErr == nil:
		return "", cluster.Errorf(cluster.Invalid, "%q is a node and a unit", to.name).WithHint("say which with --machine or --unit")
	}
	return node.ID, nil
}

// nodeOfUnit returns the node that a unit runs on, or is placed on.
func nodeOfUnit(ctx context.Context, b Backend, arg string, nodes []wire.NodeView) (cluster.NodeID, error) {
	name, err := parseName(arg)
	if err != nil {
		return "", err
	}
	unit, err := b.Unit(ctx, name)
	if err != nil {
		return "", err
	}
	var on []cluster.NodeID
	if unit.Placement != nil {
		on = unit.Placement.Nodes
	}
	if len(on) == 0 {
		for _, s := range unit.Statuses {
			on = append(on, s.Node)
		}
	}
	switch len(on) {
	case 0:
		return "", cluster.Errorf(cluster.Conflict, "%s is on no node", name).WithHint("argosy status " + string(name) + " says why")
	case 1:
		return on[0], nil
	}
	return "", cluster.Errorf(cluster.Invalid, "%s is on %d nodes: %s", name, len(on), strings.Join(namesOfNodes(nodes, on), ", ")).
		WithHint("name one of them: argosy ssh NODE")
}

// namesOfNodes returns the names of nodes; of all of them, if only is nil.
func namesOfNodes(nodes []wire.NodeView, only []cluster.NodeID) []string {
	var list []string
	for _, n := range nodes {
		if only == nil || slices.Contains(only, n.ID) {
			list = append(list, n.Name)
		}
	}
	return list
}
