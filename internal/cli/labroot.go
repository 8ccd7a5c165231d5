package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/lab"
)

func newLabRoot(a *app) *cobra.Command {
	var packages []string
	cmd := &cobra.Command{
		Use:     "root",
		Short:   "Build the Debian root of lab nodes ahead of time",
		Long:    "Build the Debian root that lab nodes share, unless it is there. \"lab up\" does it\nwhen it is needed; this is for doing it beside something else.",
		Example: "  argosy lab root",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := lab.EnsureRoot(cmd.Context(), "", packages, a.notef)
			return err
		},
	}
	cmd.Flags().StringSliceVar(&packages, "packages", nil, "Debian `packages` besides the usual ones")
	return cmd
}
