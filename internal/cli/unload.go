package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const unloadLong = `Stop units and take them off their nodes; the cluster keeps their text. The verb
waits until no node has them any more.`

const unloadExample = `  argosy unload hello.service
  argosy unload 'web@{1..3}'`

func newUnload(a *app) *cobra.Command {
	c := &change{app: a, goal: waiter.Unloaded, send: desire(cluster.Inactive)}
	cmd := &cobra.Command{
		Use:   "unload UNIT...",
		Short: "Stop units and take them off their nodes",
		Long:  unloadLong, Example: unloadExample,
		Args: cobra.MinimumNArgs(1),
		RunE: c.run,
	}
	c.bind(cmd)
	return cmd
}
