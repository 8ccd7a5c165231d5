package cli

import (
	"context"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const restartLong = `Start launched units anew on the nodes they are on. The verb waits until each is
active in a new main process and names both.`

const restartExample = `  argosy restart hello.service
  argosy restart 'web@{1..3}' --wait-timeout 1m`

func newRestart(a *app) *cobra.Command {
	c := &change{app: a, goal: waiter.Restarted, send: restartUnits}
	cmd := &cobra.Command{
		Use:   "restart UNIT...",
		Short: "Start units anew where they are",
		Long:  restartLong, Example: restartExample,
		Args: cobra.MinimumNArgs(1),
		RunE: c.run,
	}
	c.bind(cmd)
	return cmd
}

func restartUnits(ctx context.Context, b Backend, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return b.Restart(ctx, names)
}
