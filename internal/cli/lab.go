package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
	"argosy/internal/cli/table"
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

const labUpLong = `Make a lab, or complete one that is there: missing nodes are added, nodes that
are off are booted, nodes that are paused go on, and all become one cluster.
Lines that are cut stay cut. Afterwards plain "argosy" talks to it.

The Debian root that nodes share is built once and kept; other --packages make
another one.`

const labUpExample = `  argosy lab up
  argosy lab up --nodes 5 --name big
  argosy lab up --name web --packages redis-server,haproxy`

func newLabUp(a *app, flags *labFlags) *cobra.Command {
	var cfg lab.Config
	var noForm bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a lab, or complete one",
		Long:  labUpLong, Example: labUpExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Name, cfg.StateDir, cfg.Form, cfg.Progress = flags.name, flags.stateDir, !noForm, a.notef
			l, err := lab.Up(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return a.useLab(l)
		},
	}
	cmd.Flags().IntVar(&cfg.Nodes, "nodes", 3, "how many `nodes` there are to be at least")
	cmd.Flags().StringSliceVar(&cfg.Packages, "packages", nil, "Debian `packages` that nodes have besides the usual ones")
	cmd.Flags().BoolVar(&noForm, "no-form", false, "boot the nodes only; form no cluster")
	return cmd
}

// useLab makes a lab the cluster that plain argosy talks to.
func (a *app) useLab(l *lab.Lab) error {
	nodes, err := l.Nodes()
	if err != nil {
		return err
	}
	path, err := contexts.Path(a.env.Getenv)
	if err != nil {
		return err
	}
	err = contexts.Update(path, func(f *contexts.File) error {
		if err := f.Set(contexts.Context{Name: l.Name(), Socket: nodes[0].Socket()}); err != nil {
			return err
		}
		return f.Use(l.Name())
	})
	if err == nil {
		a.notef("argosy talks to %s now (context %s)", nodes[0].Name(), l.Name())
	}
	return err
}

func newLabDown(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "End a lab and remove everything of it",
		Long:    "End a lab and remove everything of it, also what a killed run has left behind.",
		Example: "  argosy lab down\n  argosy lab down --name big",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := flags.open()
			if err != nil {
				return err
			}
			if err := l.Down(cmd.Context()); err != nil {
				return err
			}
			return a.forgetLab(l)
		},
	}
}

// forgetLab takes a lab out of the contexts, if it is there.
func (a *app) forgetLab(l *lab.Lab) error {
	path, err := contexts.Path(a.env.Getenv)
	if err != nil {
		return err
	}
	return contexts.Update(path, func(f *contexts.File) error {
		if _, err := f.Get(l.Name()); err != nil {
			return nil // was never there
		}
		return f.Remove(l.Name())
	})
}

func newLabLs(a *app, flags *labFlags) *cobra.Command {
	var noLegend bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the labs and their nodes",
		Long:    "List the labs of this machine and their nodes.",
		Example: "  argosy lab ls",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			labs, err := lab.List(flags.stateDir)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, l := range labs {
				nodes, err := l.Nodes()
				if err != nil {
					rows = append(rows, []string{l.Name(), "-", "-", "damaged: argosy lab down --name " + l.Name()})
					continue
				}
				for _, n := range nodes {
					rows = append(rows, []string{l.Name(), n.Name(), n.Address().String(), string(n.Power())})
				}
				if cuts, err := l.Cuts(); err == nil && len(cuts) > 0 {
					a.notef("lab %s: cut: %s", l.Name(), strings.Join(cuts, " "))
				}
			}
			columns := []table.Column{{Title: "LAB"}, {Title: "NODE"}, {Title: "ADDRESS"}, {Title: "POWER"}}
			a.printf("%s", table.New(columns, table.Options{NoLegend: noLegend}).Text(rows))
			return nil
		},
	}
	cmd.Flags().BoolVar(&noLegend, "no-legend", false, "leave out the line of titles")
	return cmd
}

func newLabExec(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "exec NODE -- COMMAND…",
		Short:   "Run a command in a node",
		Long:    "Run a command in a node, with this terminal's input and output and the command's\nexit code.",
		Example: "  argosy lab exec node-2 -- systemctl status\n  argosy lab exec 1 -- argosy status",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			code, err := n.Exec(cmd.Context(), a.env.Stdin, a.env.Stdout, a.env.Stderr, args[1:]...)
			if err == nil && code != 0 {
				return &exitError{code: code}
			}
			return err
		},
	}
}

func newLabShell(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "shell NODE",
		Short:   "Open a shell in a node",
		Long:    "Open a shell in a node, as root.",
		Example: "  argosy lab shell node-2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			code, err := n.Exec(cmd.Context(), a.env.Stdin, a.env.Stdout, a.env.Stderr, "bash", "-l")
			if err == nil && code != 0 {
				return &exitError{code: code}
			}
			return err
		},
	}
}

func newLabPower(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:       "power NODE off|on",
		Short:     "Pull a node's plug, or boot it again",
		Long:      "off cuts the power in an instant: nothing in the node has time for anything. on\nboots it again with the disk it had.",
		Example:   "  argosy lab power node-2 off\n  argosy lab power node-2 on",
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"off", "on"},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			switch args[1] {
			case "off":
				return n.PowerOff(cmd.Context())
			case "on":
				return n.PowerOn(cmd.Context())
			}
			return misuse("power is off or on, not %q", args[1])
		},
	}
}

const labCutExample = `  argosy lab cut node-2      # from everybody
  argosy lab cut 1:3         # these two from each other
  argosy lab cut '1>3'       # what 1 sends to 3 is lost; the other way works`

func newLabCut(_ *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "cut NODE|A:B|A>B",
		Short:   "Cut a network line; packets are lost without a word",
		Long:    "Cut a node from everybody, two nodes from each other, or one direction between\ntwo. Packets are lost without a word, as on a dead line.",
		Example: labCutExample,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := flags.open()
			if err != nil {
				return err
			}
			return l.Cut(cmd.Context(), args[0])
		},
	}
}

func newLabHeal(_ *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "heal [NODE|A:B|A>B]",
		Short:   "Mend what was cut: one line, or all",
		Long:    "Mend one line, named as it was cut, every line of a node, or all there are.",
		Example: "  argosy lab heal\n  argosy lab heal node-2\n  argosy lab heal 1:3",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := flags.open()
			if err != nil {
				return err
			}
			return l.Heal(cmd.Context(), strings.Join(args, ""))
		},
	}
}

func newLabPause(_ *app, flags *labFlags) *cobra.Command {
	return labNodeVerb(flags, "pause", "Stop every process of a node where it is", (*lab.Node).Pause)
}

func newLabResume(_ *app, flags *labFlags) *cobra.Command {
	return labNodeVerb(flags, "resume", "Let a paused node go on", (*lab.Node).Resume)
}

// labNodeVerb makes a verb that does one thing to one node.
func labNodeVerb(flags *labFlags, name, short string, do func(*lab.Node, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " NODE", Short: short, Long: short + ", as if it were a virtual machine.",
		Example: "  argosy lab " + name + " node-2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			return do(n, cmd.Context())
		},
	}
}

func newLabDisk(_ *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "disk NODE full|ok",
		Short:   "Fill the disk of a node, or free it",
		Long:    "Fill the disk that holds /var/lib/argosy of a node, or free it again.",
		Example: "  argosy lab disk node-2 full\n  argosy lab disk node-2 ok",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			switch args[1] {
			case "full":
				return n.FillDisk()
			case "ok":
				return n.FreeDisk()
			}
			return misuse("a disk is full or ok, not %q", args[1])
		},
	}
}

func newLabLogs(a *app, flags *labFlags) *cobra.Command {
	var follow bool
	lines := 100
	cmd := &cobra.Command{
		Use:     "logs NODE",
		Short:   "Show the log of a node",
		Long:    "Show the end of a node's journal; of a node that is off or paused, what it\nprinted last.",
		Example: "  argosy lab logs node-2\n  argosy lab logs -f node-2",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			if n.Power() != lab.On {
				return a.printEnd(cmd.Context(), n.Console(), lines)
			}
			journal := []string{"journalctl", "--no-pager", "-n", strconv.Itoa(lines)}
			if follow {
				journal = append(journal, "-f")
			}
			_, err = n.Exec(cmd.Context(), nil, a.env.Stdout, a.env.Stderr, journal...)
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines")
	cmd.Flags().IntVarP(&lines, "lines", "n", lines, "how many `lines` of the past")
	return cmd
}

// printEnd prints the end of a file.
func (a *app) printEnd(ctx context.Context, path string, lines int) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	tail := exec.CommandContext(ctx, "tail", "-n", strconv.Itoa(lines), path)
	tail.Stdout, tail.Stderr = a.env.Stdout, a.env.Stderr
	if err := tail.Run(); err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	return nil
}

func newLabRoot(a *app) *cobra.Command {
	var packages []string
	cmd := &cobra.Command{
		Use:     "root",
		Short:   "Build the Debian root of lab nodes ahead of time",
		Long:    "Build the Debian root that lab nodes share, unless it is there. \"lab up\" does it\nwhen it is needed; this is for doing it beside something else.",
		Example: "  argosy lab root",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := lab.EnsureRoot(cmd.Context(), "", packages, a.notef)
			return err
		},
	}
	cmd.Flags().StringSliceVar(&packages, "packages", nil, "Debian `packages` besides the usual ones")
	return cmd
}
