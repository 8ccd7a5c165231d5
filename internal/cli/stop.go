package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const stopLong = `Stop units. They stay placed and loaded, so that start finds them where they
were. The verb waits until systemd has stopped them. A unit that is not even
loaded is refused: to stop it would load it.`

const stopExample = `  argosy stop hello.service
  argosy stop 'web@{1..3}' --no-block`

func newStop(a *app) *cobra.Command {
	c := &change{app: a, goal: waiter.Stopped, refuse: notLoaded, send: desire(cluster.Loaded)}
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

// notLoaded refuses a unit that is on no node, and wanted on none.
func notLoaded(view wire.UnitView) error {
	if view.Desired != cluster.Inactive {
		return nil
	}
	return cluster.Errorf(cluster.Conflict, "%s is inactive: there is nothing to stop", view.Name)
}
