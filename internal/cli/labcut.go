package cli

import (
	"github.com/spf13/cobra"
)

const labCutExample = `  argosy lab cut node-2      # from everybody
  argosy lab cut 1:3         # these two from each other
  argosy lab cut '1>3'       # what 1 sends to 3 is lost; the other way works`

func newLabCut(_ *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "cut NODE|A:B|A>B",
		Short:             "Cut a network line; packets are lost without a word",
		Long:              "Cut a node from everybody, two nodes from each other, or one direction between\ntwo. Packets are lost without a word, as on a dead line.",
		Example:           labCutExample,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: flags.nodeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := flags.open()
			if err != nil {
				return err
			}
			return l.Cut(cmd.Context(), args[0])
		},
	}
}
