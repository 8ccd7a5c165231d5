package cli

import (
	"github.com/spf13/cobra"
)

func newLabDisk(_ *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "disk NODE full|ok",
		Short:             "Fill the disk of a node, or free it",
		Long:              "Fill the disk that holds /var/lib/argosy of a node, or free it again.",
		Example:           "  argosy lab disk node-2 full\n  argosy lab disk node-2 ok",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: flags.nodeNames("full", "ok"),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			switch args[1] {
			case "full":
				return n.FillDisk()
			case "ok":
				return n.FreeDisk()
			}
			return misuse("a disk is full or ok, not %q", args[1])
		},
	}
}
