package cli

import (
	"github.com/spf13/cobra"
)

func newLabExec(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "exec NODE -- COMMAND…",
		Short:             "Run a command in a node",
		Long:              "Run a command in a node, with this terminal's input and output and the command's\nexit code.",
		Example:           "  argosy lab exec node-2 -- systemctl status\n  argosy lab exec 1 -- argosy status",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: flags.nodeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			code, err := n.Exec(cmd.Context(), a.env.Stdin, a.env.Stdout, a.env.Stderr, args[1:]...)
			if err == nil && code != 0 {
				return &exitError{code: code}
			}
			return err
		},
	}
}
