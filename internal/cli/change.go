package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

// change is what stop, unload, restart and destroy have in common: units that
// the cluster has are asked to change, and waited for.
type change struct {
	*app
	goal waiter.Goal
	// refuse says why a unit cannot be asked to change so; nil never does.
	refuse func(wire.UnitView) error
	send   func(ctx context.Context, b Backend, names []cluster.UnitName) (wire.DesiredAnswer, error)
	wait   waitFlags
}

func (c *change) bind(cmd *cobra.Command) {
	c.wait.bind(c.app, cmd)
	cmd.ValidArgsFunction = c.unitNames(false)
}

func (c *change) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	j, err := c.begin(cmd, args)
	if err != nil {
		return err
	}
	return c.ask(ctx, j, j.names, j.before)
}

// job is one call of a verb, once its arguments are read and its units looked up.
type job struct {
	backend Backend
	names   []cluster.UnitName
	before  map[cluster.UnitName]wire.UnitView // those that there are
	limit   time.Duration                      // of the wait; 0 is for ever
}

// begin reads the arguments of a verb, and refuses what needs no request to be
// refused.
func (c *change) begin(cmd *cobra.Command, args []string) (j job, err error) {
	ctx := cmd.Context()
	if j.limit, err = c.wait.limit(cmd); err != nil {
		return j, err
	}
	if j.names, err = parseNames(args); err != nil {
		return j, err
	}
	if j.backend, err = c.connect(ctx); err != nil {
		return j, err
	}
	if j.before, err = c.lookUp(ctx, j.backend, j.names); err != nil {
		return j, err
	}
	for _, name := range j.names {
		if view, known := j.before[name]; known && c.refuse != nil {
			if err := c.refuse(view); err != nil {
				return j, err
			}
		}
	}
	return j, nil
}

// ask asks for the change of some units, and waits for it.
func (c *change) ask(ctx context.Context, j job, names []cluster.UnitName, before map[cluster.UnitName]wire.UnitView) error {
	answer, err := c.inBatches(ctx, names, func(ctx context.Context, part []cluster.UnitName) (wire.DesiredAnswer, error) {
		return c.send(ctx, j.backend, part)
	})
	if err != nil {
		return partly(err, len(answer.Units))
	}
	c.noteOutcomes(answer.Units)
	if c.wait.noBlock {
		return nil
	}
	return c.await(ctx, j.backend, waiter.New(c.goal, answer.Revision, awaited(answer.Units, before)), j.limit)
}

// desire returns the request that sets a desired state.
func desire(desired cluster.Desired) func(context.Context, Backend, []cluster.UnitName) (wire.DesiredAnswer, error) {
	return func(ctx context.Context, b Backend, names []cluster.UnitName) (wire.DesiredAnswer, error) {
		return b.SetDesired(ctx, wire.DesiredRequest{Names: names, Desired: desired})
	}
}
