package agent

import (
	"context"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/loop"
)

// withdrawPatience is how long a unit that is to stop waits until the servers know that
// its endpoints are withdrawn: without any server nobody can be told.
const withdrawPatience = 2 * time.Second

// withdrawal is the time between the last call for what a unit offers and its stop.
type withdrawal struct {
	reason string
	told   bool      // the servers know, or do not answer
	until  time.Time // when the unit may stop, once they know
	over   bool
}

// withdraw tells everybody not to use what a unit offers any more, and returns when
// they have heard and DrainTime= has passed. One that is called away goes on from there
// the next time. It does not expect the mutex.
func (w *workers) withdraw(ctx context.Context, step converge.Step) error {
	c := w.c
	leaving, drain := c.leave(step)
	if !leaving.told {
		patient, cancel := context.WithTimeout(ctx, withdrawPatience)
		c.a.statuses.flush(patient)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.mu.Lock()
		leaving.told, leaving.until = true, time.Now().Add(drain)
		c.mu.Unlock()
	}
	if err := loop.Sleep(ctx, time.Until(leaving.until)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	leaving.over = true
	return nil
}

// leave shows that a unit is about to stop. It does not expect the mutex.
func (c *converger) leave(step converge.Step) (w *withdrawal, drain time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.leaving[step.Unit]
	if w == nil {
		w = &withdrawal{reason: step.Reason}
		c.leaving[step.Unit] = w
		c.show(step.Unit, c.shown[step.Unit].Problem, time.Now())
	}
	return w, c.published(step.Unit, c.seen[step.Unit].FileHash).Drain
}

// stays notes that a unit is not to stop, or has started again: what it offers can be
// used as far as it is concerned.
func (c *converger) stays(name cluster.UnitName) { delete(c.leaving, name) }
