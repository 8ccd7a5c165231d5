package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// waitTimeout is how long a verb waits when the user does not say: an image may
// have to be fetched meanwhile.
const waitTimeout = 2 * time.Minute

// blockAttempt is how long one of fleetctl's --block-attempts lasted.
const blockAttempt = 2 * time.Second

// waitFlags are those of every verb that waits.
type waitFlags struct {
	noBlock  bool
	attempts int
	timeout  time.Duration
	fleet    bool // they mean what they did to fleetctl
}

func (f *waitFlags) bind(a *app, cmd *cobra.Command) {
	f.fleet = a.fleet()
	flags := cmd.Flags()
	flags.BoolVar(&f.noBlock, "no-block", false, "do not wait until it is done")
	flags.DurationVar(&f.timeout, "wait-timeout", waitTimeout, "stop waiting after this long (0: never); the work goes on")
	flags.IntVar(&f.attempts, "block-attempts", 0, "fleetctl's way to say --wait-timeout: `N` times 2 s (0: wait for ever)")
}

// limit returns how long to wait; 0 is for ever.
func (f *waitFlags) limit(cmd *cobra.Command) (time.Duration, error) {
	said := 0
	for _, flag := range []string{"no-block", "wait-timeout", "block-attempts"} {
		if cmd.Flags().Changed(flag) {
			said++
		}
	}
	switch {
	case f.fleet && (f.noBlock || f.attempts < 0): // the first went before the second, and less than nothing was for ever
		return 0, nil
	case said > 1:
		return 0, misuse("--no-block, --wait-timeout and --block-attempts say the same thing in different ways; use one")
	case f.timeout < 0 || f.attempts < 0:
		return 0, misuse("a wait cannot be less than nothing")
	case cmd.Flags().Changed("block-attempts"):
		return time.Duration(f.attempts) * blockAttempt, nil
	}
	return f.timeout, nil
}

// await waits until every unit is settled, and prints each change of state.
// Units that failed are an error, and so are units that are not done in time:
// nothing that did not come about ends with exit code 0.
func (a *app) await(ctx context.Context, b Backend, w *waiter.Waiter, limit time.Duration) error {
	if w.Done() {
		return nil
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		bounded, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	progress := newProgress(a, w)
	var err error
	for err == nil && !w.Done() && bounded.Err() == nil {
		err = a.follow(bounded, b, w, progress)
	}
	progress.end()
	if err != nil {
		return err
	}
	return a.verdict(ctx, w, limit)
}

// stayFor is how long a service that has begun to run must go on for its start
// to have succeeded: a command that cannot run has ended by then, and nobody
// notices the wait.
const stayFor = 300 * time.Millisecond

// follow feeds a waiter until it is done, and stays done for a moment if some
// unit has only just begun to run. A service that starts again by itself makes
// it wait on.
func (a *app) follow(ctx context.Context, b Backend, w *waiter.Waiter, progress *progress) error {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	stays := loop.NewDeadline(stayFor, enough)
	stays.Stop()
	defer stays.Stop()
	done := false
	return a.watch(ctx, b, func(change wire.Change) error {
		progress.say(w.Apply(change))
		switch {
		case w.Done() && !w.Young():
			return errEnough
		case w.Done() && !done:
			stays.Extend()
		case !w.Done():
			stays.Stop()
		}
		done = w.Done()
		return nil
	})
}

// verdict turns the end of a wait into the outcome of the verb.
func (a *app) verdict(ctx context.Context, w *waiter.Waiter, limit time.Duration) error {
	tally := w.Tally()
	total := tally.Waiting + tally.Reached + tally.Failed
	if w.Done() {
		if tally.Failed == 0 {
			return nil
		}
		return cluster.Errorf(cluster.Conflict, "%d of %d units failed", tally.Failed, total).
			WithHint(a.name + " journal UNIT shows more of what a unit said")
	}
	for i, event := range w.Unsettled() {
		if i == compactUnits {
			a.notef("and %d more", tally.Waiting-i)
			break
		}
		a.notef("%s", eventLine(a, event, 0))
	}
	if ctx.Err() != nil {
		return &exitError{exitGaveUp, cluster.Errorf(cluster.Unknown, "interrupted; %d of %d units are still on their way, and go on", tally.Waiting, total).
			WithHint(a.name + " status UNIT shows how far it is")}
	}
	err := cluster.Errorf(cluster.Unknown, "gave up waiting after %s; %d of %d units are still on their way, and go on", limit, tally.Waiting, total).
		WithHint("wait longer with --wait-timeout, or see " + a.name + " status UNIT")
	if tally.Failed > 0 {
		// A failure is certain; that the rest is late is the lesser news.
		return &exitError{exitRefused, cluster.Errorf(cluster.Conflict, "%d of %d units failed, and %w", tally.Failed, total, err)}
	}
	return &exitError{exitGaveUp, err}
}

// outcomesDone counts what a request did, for one line.
func outcomesDone(outcomes []wire.Outcome) string {
	counts := map[string]int{}
	for _, o := range outcomes {
		counts[o.Done]++
	}
	text := ""
	for _, done := range []string{"created", "replaced", "changed", "destroyed", "unchanged"} {
		if counts[done] > 0 {
			text += fmt.Sprintf(", %d %s", counts[done], done)
		}
	}
	if text == "" {
		return "nothing to do"
	}
	return text[2:]
}
