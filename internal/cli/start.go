package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const startLong = `Run units somewhere in the cluster. Units that it does not have yet are
submitted first: from a file, or as an instance of a template. The verb waits
until every unit is active on its node and prints each change of state with its
reason; it looks on for 0.3 s after a service has begun to run, since one that
ends at once has failed. A unit that fails to start shows systemd's result and
its last lines of log, and the exit code is 1. Ctrl-C ends the waiting, not the
work.`

const startExample = `  argosy start hello.service
  argosy start 'web@{1..3}'
  argosy start --replace --wait-timeout 30s hello.service`

func newStart(a *app) *cobra.Command {
	h := &handover{app: a, verb: "start", desired: cluster.Launched, goal: waiter.Launched}
	cmd := &cobra.Command{
		Use:   "start UNIT|FILE...",
		Short: "Run units in the cluster",
		Long:  startLong, Example: startExample,
		Args: cobra.MinimumNArgs(1),
		RunE: h.run,
	}
	h.bind(cmd)
	return cmd
}
