package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

const kvWatchLong = `Print what changes, a line each: "put" or "delete", the revision, the key and the
value, until interrupted. A connection that breaks is made anew, and nothing is
missed meanwhile.`

const kvExecWatchLong = `Run a command for each change of a key, or with --prefix of all that begin with
it, one after the other, until interrupted. The command has in its environment
ARGOSY_EVENT (put or delete), ARGOSY_KEY, ARGOSY_VALUE and ARGOSY_REVISION. One
that fails is told and the next change awaited.`

// followKeys calls each for what changes, without a gap when a connection breaks.
func (a *app) followKeys(ctx context.Context, b Backend, q client.KeysQuery, each func(wire.KeyEvents) error) error {
	stream := func(ctx context.Context, each func(wire.KeyEvents) error) error { return b.WatchKeys(ctx, q, each) }
	return keepOn(ctx, a, stream, func(m wire.KeyEvents) error {
		q.After = max(q.After, m.Revision)
		if len(m.Events) == 0 {
			return nil
		}
		return each(m)
	})
}

// bindKeysWatch gives a verb the flags of a watch.
func bindKeysWatch(cmd *cobra.Command, q *client.KeysQuery) {
	cmd.Flags().BoolVar(&q.Prefix, "prefix", false, "all that begin with KEY")
	cmd.Flags().Int64Var((*int64)(&q.After), "after", 0, "what happened after this `revision`, too, as far as it is kept")
}

func eventWord(e wire.KeyEvent) string {
	if e.Deleted {
		return "delete"
	}
	return "put"
}

func newKVWatch(a *app) *cobra.Command {
	var q client.KeysQuery
	var output string
	forms := []string{"line", outputJSON, outputYAML}
	cmd := &cobra.Command{
		Use: "watch KEY", Short: "Print what changes",
		Long: kvWatchLong, Example: "  argosy kv watch /app/motd\n  argosy kv watch /services/ --prefix -o json\n  argosy kv watch /app/motd --after 117",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			q.Key = args[0]
			return a.followKeys(cmd.Context(), b, q, func(m wire.KeyEvents) error {
				if output != forms[0] {
					return a.encode(output, m, true)
				}
				for _, e := range m.Events {
					a.printf("%s %d %s %s\n", eventWord(e), e.Changed, e.Key, keyRow{KeyItem: e.KeyItem}.text())
				}
				return nil
			})
		},
	}
	bindKeysWatch(cmd, &q)
	bindOutput(cmd, &output, forms)
	return cmd
}

func newKVExecWatch(a *app) *cobra.Command {
	var q client.KeysQuery
	cmd := &cobra.Command{
		Use: "exec-watch KEY -- COMMAND [ARG...]", Short: "Run a command for each change",
		Long: kvExecWatchLong, Example: "  argosy kv exec-watch /services/web/ --prefix -- systemctl reload haproxy",
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			q.Key = args[0]
			return a.followKeys(cmd.Context(), b, q, func(m wire.KeyEvents) error {
				for _, e := range m.Events {
					if err := a.runFor(cmd.Context(), args[1:], e); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	bindKeysWatch(cmd, &q)
	return cmd
}

// runFor runs a command for a change, to its end.
func (a *app) runFor(ctx context.Context, line []string, e wire.KeyEvent) error {
	run := exec.CommandContext(ctx, line[0], line[1:]...)
	run.Stdout, run.Stderr = a.env.Stdout, a.env.Stderr
	run.Env = append(os.Environ(), "ARGOSY_EVENT="+eventWord(e), "ARGOSY_KEY="+e.Key.String(), "ARGOSY_VALUE="+e.Value.String(),
		fmt.Sprintf("ARGOSY_REVISION=%d", e.Changed))
	err := run.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); ran || ctx.Err() != nil {
		a.notef("%s: %s", line[0], err)
		return nil
	}
	if err != nil {
		return cluster.Errorf(cluster.Invalid, "run %s: %w", line[0], err)
	}
	return nil
}
