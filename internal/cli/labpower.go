package cli

import (
	"github.com/spf13/cobra"
)

func newLabPower(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "power NODE off|on",
		Short:             "Pull a node's plug, or boot it again",
		Long:              "off cuts the power in an instant: nothing in the node has time for anything. on\nboots it again with the disk it had.",
		Example:           "  argosy lab power node-2 off\n  argosy lab power node-2 on",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: flags.nodeNames("off", "on"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			switch args[1] {
			case "off":
				return n.PowerOff(cmd.Context())
			case "on":
				return n.PowerOn(cmd.Context())
			}
			return misuse("power is off or on, not %q", args[1])
		},
	}
}
