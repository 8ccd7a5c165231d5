package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const loadLong = `Place units on nodes and make systemd know them there, without starting them.
Units that the cluster does not have yet are submitted first. The verb waits
until they are loaded.`

const loadExample = `  argosy load hello.service
  argosy load 'web@{1..3}'`

func newLoad(a *app) *cobra.Command {
	h := &handover{app: a, verb: "load", desired: cluster.Loaded, goal: waiter.Loaded}
	cmd := &cobra.Command{
		Use:   "load UNIT|FILE...",
		Short: "Place units on nodes without starting them",
		Long:  loadLong, Example: loadExample,
		Args: cobra.MinimumNArgs(1),
		RunE: h.run,
	}
	h.bind(cmd)
	return cmd
}
