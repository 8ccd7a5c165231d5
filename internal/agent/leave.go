package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"argosy/internal/converge"
	"argosy/internal/systemd"
)

// leaveRounds bounds how often Leave looks again: stop and remove, then forget.
const leaveRounds = 5

func (a *Agent) leave(ctx context.Context) error {
	var errs []error
	for range leaveRounds {
		units, err := a.deps.Manager.Observe(ctx)
		if err != nil {
			return err
		}
		decisions := converge.Plan(converge.Input{Seen: units, Now: time.Now()})
		steps := converge.Steps(decisions)
		if len(steps) == 0 {
			return a.disk.forget()
		}
		errs = a.leaveRound(ctx, decisions)
		if steps[len(steps)-1].Kind == converge.Reload {
			errs = append(errs, a.deps.Manager.Reload(ctx))
		}
	}
	return errors.Join(append(errs, errors.New("units of the cluster are left on this node"))...)
}

// leaveRound carries out the steps of all units, side by side.
func (a *Agent) leaveRound(ctx context.Context, decisions []converge.Decision) []error {
	var group sync.WaitGroup
	errs := make([]error, len(decisions))
	slots := make(chan struct{}, a.cfg.Parallel)
	for i, d := range decisions {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = a.takeAway(ctx, d)
		})
	}
	group.Wait()
	return errs
}

// takeAway goes on after a failed step: a file without its process is better
// than both.
func (a *Agent) takeAway(ctx context.Context, d converge.Decision) error {
	var errs []error
	for _, step := range d.Steps {
		var err error
		result := "done"
		switch step.Kind {
		case converge.Reload:
		case converge.Remove:
			err = a.deps.Manager.Remove(ctx, step.Unit)
		default:
			result, err = a.deps.Manager.Run(ctx, systemd.Verb(step.Kind), step.Unit)
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s %s: %w", step.Kind, step.Unit, err))
		case result != "done":
			errs = append(errs, fmt.Errorf("%s %s: systemd's job ended as %q", step.Kind, step.Unit, result))
		}
	}
	return errors.Join(errs...)
}
