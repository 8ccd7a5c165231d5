package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
	"argosy/internal/lab"
)

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
