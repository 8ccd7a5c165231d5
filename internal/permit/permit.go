package permit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// watchdogMin is the shortest watchdog interval that makes sense: below it a
// loaded machine would kill a healthy process.
const watchdogMin = 100 * time.Millisecond

// Config is what an operator or the unit file may set.
type Config struct {
	// Socket is the path that the agent reaches the process at. Its folder
	// must exist; only root can connect.
	Socket string
	// Marker is the path of the file that stands while a permit is held; its
	// folder must exist and be lost at a reboot. Empty: no marker.
	Marker string
	// Watchdog is the unit's WatchdogSec=, as systemd says it in
	// WATCHDOG_USEC. Zero: the default of cluster.Timings.
	Watchdog time.Duration
}

// Deps is what the process touches. Only Log and Notify are required.
type Deps struct {
	Log *slog.Logger
	// Notify sends one message of sd_notify(3) to systemd.
	Notify func(state string) error
	// Clock reads the clocks; nil: Now.
	Clock func() (Reading, error)
	// Harden keeps the process running on a machine in trouble and returns
	// what could not be done, for a person; nil: Harden.
	Harden func() []string
}

// Run serves the socket and feeds the watchdog until ctx ends, and then returns
// ctx's error, or until a permit expires, and then returns an Unavailable error
// that says so: the caller prints it and exits with failure at once.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	if cfg.Watchdog == 0 {
		cfg.Watchdog = cluster.DefaultTimings().Watchdog
	}
	if cfg.Watchdog < watchdogMin {
		return cluster.Errorf(cluster.Invalid, "watchdog of %s: at least %s", cfg.Watchdog, watchdogMin)
	}
	if deps.Clock == nil {
		deps.Clock = Now
	}
	if deps.Harden == nil {
		deps.Harden = Harden
	}
	for _, problem := range deps.Harden() {
		deps.Log.Warn("a machine in trouble may delay this process, which ends exclusive units early", "why", problem)
	}
	// Before READY=1: what waits for this process must not see the marker of
	// the one before.
	if err := removeIfThere(cfg.Marker); err != nil {
		return err
	}
	listener, err := listen(ctx, cfg.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // nothing is written that could be lost
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	// Closing the listener wakes the one that waits in Accept.
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()

	g := &guard{
		marker: cfg.Marker, watchdog: cfg.Watchdog,
		clock: deps.Clock, notify: deps.Notify, log: deps.Log, end: end,
	}
	defer g.unmark()
	if err := deps.Notify("READY=1"); err != nil {
		return err
	}
	feeding := loop.New("permit", deps.Log, g.step)
	taking := loop.New("permit socket", deps.Log, func(context.Context) (time.Duration, error) {
		err := serveOne(listener, g.offer)
		feeding.Wake()
		return time.Nanosecond, err // the next one at once: Accept waits
	})
	var both sync.WaitGroup
	both.Go(func() { _ = taking.Run(ctx) })
	both.Go(func() { _ = feeding.Run(ctx) })
	both.Wait()
	return context.Cause(ctx)
}
