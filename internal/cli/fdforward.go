package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
	"argosy/internal/cli/tunnel"
)

const fdForwardLong = `Connect standard input and output with a unix socket of this machine, by default
the daemon's. It is the far side of a tunnel: ssh runs it for --tunnel and ssh://
endpoints of fleetctl, and for a context that has such a command.`

const fdForwardExample = `  argosy fd-forward /run/argosy/argosy.sock`

func newFDForward(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "fd-forward [SOCKET]",
		Short: "Connect standard input and output with a unix socket",
		Long:  fdForwardLong, Example: fdForwardExample,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			socket := contexts.LocalSocket
			if len(args) > 0 {
				socket = args[0]
			}
			return tunnel.Forward(cmd.Context(), daemonSocket(socket), a.env.Stdin, a.env.Stdout)
		},
	}
}
