package cli

import (
	"context"

	"github.com/spf13/cobra"
)

const leaveLong = `Make this machine leave its cluster: its units move elsewhere, and its identity
is given back and forgotten. A server that the quorum cannot do without is
refused, above all the only one. If the cluster cannot be reached, "argosy reset"
parts this machine from it all the same.`

const leaveExample = `  argosy leave
  argosy leave --yes`

func newLeave(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Make this machine leave its cluster",
		Long:  leaveLong, Example: leaveExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.confirm(yes, "Make this machine leave its cluster?"); err != nil {
				return err
			}
			return a.here(cmd, func(ctx context.Context, b Backend) error {
				if err := b.Leave(ctx); err != nil {
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
