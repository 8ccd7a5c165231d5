package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const stopLong = `Stop units. They stay placed and loaded, so that start finds them where they
were. The verb waits until systemd has stopped them.`

const stopExample = `  argosy stop hello.service
  argosy stop 'web@{1..3}' --no-block`

func newStop(a *app) *cobra.Command {
	c := &change{app: a, goal: waiter.Stopped, send: desire(cluster.Loaded)}
	cmd := &cobra.Command{
		Use:   "stop UNIT...",
		Short: "Stop units; they stay loaded on their nodes",
		Long:  stopLong, Example: stopExample,
		Args: cobra.MinimumNArgs(1),
		RunE: c.run,
	}
	c.bind(cmd)
	return cmd
}
