package cli

import (
	"github.com/spf13/cobra"
)

func newLabShell(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "shell NODE",
		Short:             "Open a shell in a node",
		Long:              "Open a shell in a node, as root.",
		Example:           "  argosy lab shell node-2",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: flags.nodeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			code, err := n.Exec(cmd.Context(), a.env.Stdin, a.env.Stdout, a.env.Stderr, "bash", "-l")
			if err == nil && code != 0 {
				return &exitError{code: code}
			}
			return err
		},
	}
}
