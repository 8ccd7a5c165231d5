package cli

import (
	"context"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const destroyLong = `Stop units and take them out of the cluster, text and all. The verb waits until
no node has anything of them any more.`

const destroyExample = `  argosy destroy hello.service
  argosy destroy 'web@{1..3}' web@.service`

func newDestroy(a *app) *cobra.Command {
	c := &change{app: a, goal: waiter.Destroyed, send: destroyUnits}
	cmd := &cobra.Command{
		Use:   "destroy UNIT...",
		Short: "Take units out of the cluster for good",
		Long:  destroyLong, Example: destroyExample,
		Args: cobra.MinimumNArgs(1),
		RunE: c.run,
	}
	c.bind(cmd)
	return cmd
}

func destroyUnits(ctx context.Context, b Backend, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return b.Destroy(ctx, names)
}
