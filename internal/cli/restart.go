package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

const restartLong = `Start launched units anew on the nodes they are on, one after the other, in the
order given: the next is touched when the one before is active in a new main
process. The first that does not come back, or not within --wait-timeout, is the
last; the units that were not restarted are named.

A global unit is restarted on all of its nodes at once.`

const restartExample = `  argosy restart hello.service
  argosy restart 'web@{1..3}' --wait-timeout 1m
  argosy restart 'batch@{1..50}' --all-at-once`

// restart is the verb's own part of a change: to go one by one.
type restart struct {
	change
	allAtOnce bool
}

func newRestart(a *app) *cobra.Command {
	r := &restart{change: change{app: a, goal: waiter.Restarted, refuse: notLaunched, send: restartUnits}}
	cmd := &cobra.Command{
		Use:   "restart UNIT...",
		Short: "Start units anew where they are, one after the other",
		Long:  restartLong, Example: restartExample,
		Args: cobra.MinimumNArgs(1),
		RunE: r.run,
	}
	r.bind(cmd)
	cmd.Flags().BoolVar(&r.allAtOnce, "all-at-once", false, "do not wait for one unit before the next; --no-block implies it")
	return cmd
}

func restartUnits(ctx context.Context, b Backend, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return b.Restart(ctx, names)
}

// notLaunched refuses a unit that nobody wants to run.
func notLaunched(view wire.UnitView) error {
	if view.Desired == cluster.Launched {
		return nil
	}
	return cluster.Errorf(cluster.Conflict, "%s is not launched but %s: there is nothing to restart", view.Name, view.Desired).
		WithHint("argosy start " + string(view.Name))
}

func (r *restart) run(cmd *cobra.Command, args []string) error {
	if r.allAtOnce || r.wait.noBlock {
		return r.change.run(cmd, args)
	}
	j, err := r.begin(cmd, args)
	if err != nil {
		return err
	}
	// What is wrong with the last unit must not be found after the first was touched.
	for _, name := range j.names {
		if _, known := j.before[name]; !known {
			return cluster.Errorf(cluster.NotFound, "there is no unit %s", name).WithHint(r.name + " list-unit-files shows what there is")
		}
	}
	for i, name := range j.names {
		if err := r.one(cmd.Context(), j, name, i == 0); err != nil {
			return notRestarted(err, name, j.names[i+1:])
		}
	}
	return nil
}

// one restarts a unit and waits until it is back. What was looked up before the
// first is of use for that one only: the others may have moved meanwhile.
func (r *restart) one(ctx context.Context, j job, name cluster.UnitName, first bool) (err error) {
	names, before := []cluster.UnitName{name}, j.before
	if !first {
		if before, err = r.lookUp(ctx, j.backend, names); err != nil {
			return err
		}
	}
	return r.ask(ctx, j, names, before)
}

// notRestarted adds to the reason why a unit did not come back which ones were
// left alone for it.
func notRestarted(err error, name cluster.UnitName, rest []cluster.UnitName) error {
	if len(rest) == 0 {
		return err
	}
	left := make([]string, 0, len(rest))
	for _, unit := range rest[:min(len(rest), compactUnits)] {
		left = append(left, string(unit))
	}
	if more := len(rest) - len(left); more > 0 {
		left = append(left, fmt.Sprintf("and %d more", more))
	}
	told := cluster.Errorf(cluster.KindOf(err), "%s: %w; not restarted: %s", name, err, strings.Join(left, ", ")).WithHint(cluster.HintOf(err))
	if exit, ok := errors.AsType[*exitError](err); ok {
		return &exitError{exit.code, told}
	}
	return told
}
