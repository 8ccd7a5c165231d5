package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func newLabHeal(_ *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "heal [NODE|A:B|A>B]",
		Short:             "Mend what was cut: one line, or all",
		Long:              "Mend one line, named as it was cut, every line of a node, or all there are.",
		Example:           "  argosy lab heal\n  argosy lab heal node-2\n  argosy lab heal 1:3",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: flags.cutNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := flags.open()
			if err != nil {
				return err
			}
			return l.Heal(cmd.Context(), strings.Join(args, ""))
		},
	}
}
