package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"argosy/internal/lab"
)

func newLabLogs(a *app, flags *labFlags) *cobra.Command {
	var follow bool
	lines := 100
	cmd := &cobra.Command{
		Use:               "logs NODE",
		Short:             "Show the log of a node",
		Long:              "Show the end of a node's journal; of a node that is off or paused, what it\nprinted last.",
		Example:           "  argosy lab logs node-2\n  argosy lab logs -f node-2",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: flags.nodeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := flags.node(args[0])
			if err != nil {
				return err
			}
			if n.Power() != lab.On {
				return a.printEnd(cmd.Context(), n.Console(), lines)
			}
			journal := []string{"journalctl", "--no-pager", "-n", strconv.Itoa(lines)}
			if follow {
				journal = append(journal, "-f")
			}
			_, err = n.Exec(cmd.Context(), nil, a.env.Stdout, a.env.Stderr, journal...)
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines")
	cmd.Flags().IntVarP(&lines, "lines", "n", lines, "how many `lines` of the past")
	return cmd
}

// printEnd prints the end of a file.
func (a *app) printEnd(ctx context.Context, path string, lines int) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	tail := exec.CommandContext(ctx, "tail", "-n", strconv.Itoa(lines), path)
	tail.Stdout, tail.Stderr = a.env.Stdout, a.env.Stderr
	if err := tail.Run(); err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	return nil
}
