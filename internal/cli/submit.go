package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cluster"
)

const submitLong = `Hand units to the cluster without running them. A unit is named by its file, or
by the name of an instance whose template the cluster or this folder has.

A unit that the cluster has already stays as it is, with a warning if the file
says something else; --replace takes the file, unless the unit is loaded or
launched (then use load --replace or start --replace). All units are checked
before the first is sent: one bad line, and nothing is stored.`

const submitExample = `  argosy submit hello.service
  argosy submit units/*.service units/*.timer
  argosy submit --replace hello.service`

func newSubmit(a *app) *cobra.Command {
	h := &handover{app: a, verb: "submit", desired: cluster.Inactive}
	cmd := &cobra.Command{
		Use:   "submit FILE...",
		Short: "Hand units to the cluster",
		Long:  submitLong, Example: submitExample,
		Args: cobra.MinimumNArgs(1),
		RunE: h.run,
	}
	h.bind(cmd)
	return cmd
}
