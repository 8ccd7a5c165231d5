package cli

import (
	"context"

	"github.com/spf13/cobra"
)

const resetLong = `Make this machine forget its cluster without asking the cluster: for a machine
whose cluster is gone, or will not have it back. Its units stop, and what it
stored of the cluster is deleted. The cluster, if it lives, still knows the node;
"argosy node rm" there completes the parting.`

const resetExample = `  argosy reset
  argosy reset --yes`

func newReset(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Make this machine forget its cluster",
		Long:  resetLong, Example: resetExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.confirm(yes, "Stop this machine's units and forget its cluster? What only this machine stores is lost."); err != nil {
				return err
			}
			return a.here(cmd, func(ctx context.Context, b Backend) error {
				if err := b.Reset(ctx); err != nil {
					return err
				}
				a.notef("this machine is in no cluster any more")
				return nil
			})
		},
	}
	bindYes(cmd, &yes)
	return cmd
}
