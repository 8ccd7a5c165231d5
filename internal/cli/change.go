package cli

import (
	"context"

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
	limit, err := c.wait.limit(cmd)
	if err != nil {
		return err
	}
	names, err := parseNames(args)
	if err != nil {
		return err
	}
	b, err := c.connect(ctx)
	if err != nil {
		return err
	}
	before, err := c.lookUp(ctx, b, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if view, known := before[name]; known && c.refuse != nil {
			if err := c.refuse(view); err != nil {
				return err
			}
		}
	}
	answer, err := c.inBatches(ctx, names, func(ctx context.Context, part []cluster.UnitName) (wire.DesiredAnswer, error) {
		return c.send(ctx, b, part)
	})
	if err != nil {
		return partly(err, len(answer.Units))
	}
	c.noteOutcomes(answer.Units)
	if c.wait.noBlock {
		return nil
	}
	return c.await(ctx, b, waiter.New(c.goal, answer.Revision, awaited(answer.Units, before)), limit)
}

// desire returns the request that sets a desired state.
func desire(desired cluster.Desired) func(context.Context, Backend, []cluster.UnitName) (wire.DesiredAnswer, error) {
	return func(ctx context.Context, b Backend, names []cluster.UnitName) (wire.DesiredAnswer, error) {
		return b.SetDesired(ctx, wire.DesiredRequest{Names: names, Desired: desired})
	}
}
