package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"argosy/internal/lab"
)

const labLong = `A lab is a cluster on this machine, to try Argosy and to develop on it: each node
is a real systemd in a network namespace of its own. Nothing of it can be reached
from the network of this machine. Labs of different names live side by side.`

// labFlags are those of every lab verb.
type labFlags struct{ name, stateDir string }

func newLab(a *app) *cobra.Command {
	flags := &labFlags{}
	cmd := newVerbGroup("lab", "Machines on one machine: a cluster to try things on",
		newLabUp(a, flags), newLabDown(a, flags), newLabLs(a, flags), newLabExec(a, flags), newLabShell(a, flags),
		newLabPower(a, flags), newLabCut(a, flags), newLabHeal(a, flags), newLabPause(a, flags), newLabResume(a, flags),
		newLabDisk(a, flags), newLabLogs(a, flags), newLabRoot(a))
	cmd.Long = labLong
	cmd.PersistentFlags().StringVar(&flags.name, "name", "lab", "the `name` of the lab")
	cmd.PersistentFlags().StringVar(&flags.stateDir, "state", lab.DefaultStateDir, "the `folder` that labs are kept in")
	complete(cmd, "name", flags.labNames)
	return cmd
}

func (f *labFlags) open() (*lab.Lab, error) { return lab.Open(f.stateDir, f.name) }

func (f *labFlags) node(name string) (*lab.Node, error) {
	l, err := f.open()
	if err != nil {
		return nil, err
	}
	return l.Node(name)
}

// labNodeVerb makes a verb that does one thing to one node.
func labNodeVerb(flags *labFlags, name, short string, do func(*lab.Node, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " NODE", Short: short, Long: short + ", as if it were a virtual machine.",
		Example: "  argosy lab " + name + " node-2",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: flags.nodeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			return do(n, cmd.Context())
		},
	}
}

// nodeNames proposes the nodes of the lab for the first argument, and the words
// of a verb for the second.
func (f *labFlags) nodeNames(second ...string) completer {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return f.names(), cobra.ShellCompDirectiveNoFileComp
		case 1:
			return second, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func (f *labFlags) names() []string {
	l, err := f.open()
	if err != nil {
		return nil // whoever presses Tab wants no error messages
	}
	nodes, err := l.Nodes()
	if err != nil {
		return nil
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name())
	}
	return names
}

// cutNames proposes what can be mended: a line that is cut, or those of a node.
func (f *labFlags) cutNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var lines []string
	if l, err := f.open(); err == nil && len(args) == 0 {
		lines, _ = l.Cuts()
		for _, name := range f.names() {
			if !slices.Contains(lines, name) && len(cutsAt(name, lines)) > 0 {
				lines = append(lines, name)
			}
		}
	}
	return lines, cobra.ShellCompDirectiveNoFileComp
}

// labNames proposes the labs of this machine.
func (f *labFlags) labNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	labs, _ := lab.List(f.stateDir)
	var names []string
	for _, l := range labs {
		names = append(names, l.Name())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
