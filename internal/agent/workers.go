package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

const (
	// slow is when a job no longer counts against the limit of jobs at once,
	// and is shown as what it is doing.
	// A start while systemd is late takes long, which says nothing of the unit:
	// twice what systemd's last answer took is added, up to slowMax.
	slow    = 500 * time.Millisecond
	slowMax = 2 * time.Second
	// Reloads gather the units that need one: not before reloadGather, and
	// not later than reloadPatience after the first asked, even if others are
	// still on their way.
	reloadGather   = 50 * time.Millisecond
	reloadPatience = time.Second
	reloadRetry    = 2 * time.Second
)

// workers carries out the steps of units. Its fields are guarded by the
// converger's mutex, which its lower-case methods expect to be held, except
// where they say otherwise.
type workers struct {
	c     *converger
	ctx   context.Context //nolint:containedctx // of the run; workers outlive the round that sent them
	queue *queue
	group sync.WaitGroup

	jobs map[cluster.UnitName]*job
	// reload holds the units that wait for one, since when.
	reload    map[cluster.UnitName]bool
	since     time.Time
	reloading bool
	notBefore time.Time // after a reload that failed
}

// job is one unit's worker.
type job struct {
	cancel  context.CancelFunc
	heading bool // for a reload
	slow    bool
}

func newWorkers(c *converger, parallel int) *workers {
	return &workers{
		c: c, queue: newQueue(parallel),
		jobs: map[cluster.UnitName]*job{}, reload: map[cluster.UnitName]bool{},
	}
}

// spawn runs a function on a goroutine that wait waits for.
func (w *workers) spawn(f func()) { w.group.Go(f) }

// wait returns when every worker has; it does not expect the mutex.
func (w *workers) wait() { w.group.Wait() }

func (w *workers) busy(name cluster.UnitName) bool { return w.jobs[name] != nil }

// quick reports whether a worker has the unit that will be done soon.
func (w *workers) quick(name cluster.UnitName) bool {
	j := w.jobs[name]
	return j != nil && !j.slow
}

// interrupt makes a unit's worker stop waiting.
func (w *workers) interrupt(name cluster.UnitName) {
	if j := w.jobs[name]; j != nil {
		j.cancel()
	}
}

// send begins a unit's steps, up to the reload if there is one among them, when it
// is the unit's turn; the rest is decided anew when systemd has read the file.
func (w *workers) send(d converge.Decision, want *cluster.Assignment, now time.Time) {
	steps := d.Steps
	if i := index(steps, converge.Reload); i >= 0 {
		steps = steps[:i]
	}
	if len(steps) == 0 {
		w.queue.leave(d.Unit)
		if len(w.reload) == 0 {
			w.since = now
		}
		w.reload[d.Unit] = true
		return
	}
	heading := len(steps) < len(d.Steps)
	if stop, start := index(steps, converge.Stop), index(steps, converge.Start); stop >= 0 && start >= 0 {
		steps = steps[:start] // to stop, nothing waits for a turn to start
	}
	asked := turn{unit: d.Unit, work: w.queue.workOf(d.Unit, steps), heading: heading, problem: d.Problem}
	if want != nil {
		asked.family = familyOf(*want)
	}
	slot, waits := w.queue.ask(asked, now)
	if slot == nil {
		if _, shown := w.c.shown[d.Unit]; shown {
			w.c.show(d.Unit, w.c.whileWaiting(waits, now), now) // it may be down already
		}
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	j := &job{cancel: cancel, heading: asked.heading}
	w.jobs[d.Unit] = j
	w.spawn(func() {
		defer cancel()
		w.work(ctx, j, slot, steps, want)
	})
}

// index returns where the first step of a kind is, -1 if there is none.
func index(steps []converge.Step, kind converge.Kind) int {
	return slices.IndexFunc(steps, func(s converge.Step) bool { return s.Kind == kind })
}

// work carries out a unit's steps on its own goroutine.
func (w *workers) work(ctx context.Context, j *job, slot *turn, steps []converge.Step, want *cluster.Assignment) {
	w.limit(j, slot)
	for _, step := range steps {
		if step.Kind.Starts() && !w.mayStart() || !w.do(ctx, step, want) {
			break
		}
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.queue.done(slot)
	delete(w.jobs, slot.unit)
	w.c.worked[slot.unit], w.c.dirty[slot.unit] = true, true
	w.c.proceed(time.Now())
	w.c.loop.Wake()
}

// mayStart reports whether a unit may be started after the steps before that. It does
// not expect the mutex. Who asks right after it may still wait for a connection to
// systemd, for as long as that is away; only a permit ends such a start.
func (w *workers) mayStart() bool {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.hold(time.Now()) == ""
}

// limit has a slot given back that is taken for long.
func (w *workers) limit(j *job, slot *turn) {
	w.c.mu.Lock()
	patience := slow + min(2*w.c.lag, slowMax)
	w.c.mu.Unlock()
	loop.NewDeadline(patience, func() {
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		w.queue.give(slot)
		if w.jobs[slot.unit] == j {
			j.slow = true
			w.c.dirty[slot.unit] = true
			w.c.loop.Wake()
		}
		w.c.proceed(time.Now())
	})
}

// do carries out one step and remembers what came of it.
func (w *workers) do(ctx context.Context, step converge.Step, want *cluster.Assignment) (goOn bool) {
	var out converge.Outcome
	if want != nil && (step.Kind == converge.Write || step.Kind.Starts()) {
		out.Err = w.prepare(ctx, step, *want)
	}
	if out.Err == nil {
		out.Result, out.Err = w.carryOut(ctx, step, want)
	}
	if out.Err != nil && ctx.Err() != nil {
		return false // we gave up waiting; what systemd makes of it will be seen
	}
	out.At = time.Now()
	log := w.c.a.log.With("step", step.Kind, "unit", step.Unit, "reason", step.Reason)
	if out.Err != nil {
		log.Warn("step failed", "err", out.Err)
	} else {
		log.Info("step done", "result", out.Result)
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	known, goOn := w.c.memory[step.Unit].Did(step, want, out)
	w.c.memory[step.Unit] = known
	if step.Kind.Starts() {
		w.c.restarting.Started(step.Unit, out.At)
		w.c.stays(step.Unit)
	}
	w.c.a.disk.loop.Wake()
	return goOn
}

// carryOut has one step done.
func (w *workers) carryOut(ctx context.Context, step converge.Step, want *cluster.Assignment) (result string, err error) {
	manager := w.c.a.deps.Manager
	if step.Kind == converge.Withdraw {
		return "", w.withdraw(ctx, step)
	}
	w.asks(step, want)
	switch step.Kind {
	case converge.Write:
		return "", manager.Write(ctx, step.Unit, want.Text)
	case converge.Remove:
		return "", manager.Remove(ctx, step.Unit)
	case converge.GiveUp:
		return manager.Run(ctx, systemd.Stop, step.Unit)
	default:
		return manager.Run(ctx, systemd.Verb(step.Kind), step.Unit)
	}
}

// asks remembers what systemd is about to be asked: whoever waits for the end
// may be called away, or end with the daemon.
func (w *workers) asks(step converge.Step, want *cluster.Assignment) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.memory[step.Unit] = w.c.memory[step.Unit].Asks(step, want)
	w.c.a.disk.loop.Wake()
}

// reloadAt returns when the reload is due that units wait for, zero if none do.
func (w *workers) reloadAt() time.Time {
	if len(w.reload) == 0 || w.reloading {
		return time.Time{}
	}
	at := w.since.Add(reloadGather)
	if w.heading() {
		at = w.since.Add(reloadPatience)
	}
	if at.Before(w.notBefore) {
		return w.notBefore
	}
	return at
}

func (w *workers) heading() bool {
	for _, j := range w.jobs {
		if j.heading && !j.slow {
			return true
		}
	}
	return w.queue.heading()
}

// reloadIfDue begins the reload that units wait for.
func (w *workers) reloadIfDue(now time.Time) {
	at := w.reloadAt()
	if at.IsZero() || now.Before(at) {
		return
	}
	names := make([]cluster.UnitName, 0, len(w.reload))
	for name := range w.reload {
		names = append(names, name)
	}
	slices.Sort(names)
	clear(w.reload)
	w.reloading = true
	w.spawn(func() {
		err := w.reloadFor(w.ctx, names)
		if err != nil && w.ctx.Err() == nil {
			w.c.a.log.Warn("systemd not reloaded, will retry", "err", err)
		}
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		w.reloading = false
		if err != nil {
			w.notBefore = time.Now().Add(reloadRetry)
		}
		for _, name := range names {
			w.c.dirty[name] = true
		}
		w.c.loop.Wake()
	})
}

// reloadFor reloads systemd if one of the units still needs it: those that
// nothing uses any more are forgotten by systemd itself. It does not expect
// the mutex.
func (w *workers) reloadFor(ctx context.Context, names []cluster.UnitName) error {
	manager := w.c.a.deps.Manager
	before, err := w.stale(ctx, names)
	if err != nil || len(before) == 0 {
		return err
	}
	w.c.a.log.Info("reloading systemd", "unit", slices.Min(slices.Collect(maps.Keys(before))), "units", len(before))
	if err := manager.Reload(ctx); err != nil {
		return err
	}
	after, err := w.stale(ctx, slices.Sorted(maps.Keys(before)))
	if err != nil {
		return err
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	for name, hash := range after {
		if want, wanted := w.c.want[name]; wanted && hash == before[name] {
			w.c.memory[name] = w.c.memory[name].ReloadedInVain(&want, time.Now())
			w.c.a.disk.loop.Wake()
		}
	}
	return nil
}

// stale returns the hashes of the files of those units that systemd has not
// read as they are now. It does not expect the mutex.
func (w *workers) stale(ctx context.Context, names []cluster.UnitName) (map[cluster.UnitName]cluster.Hash, error) {
	units, err := w.c.a.deps.Manager.Observe(ctx, names...)
	hashes := map[cluster.UnitName]cluster.Hash{}
	for _, u := range units {
		if u.Stale {
			hashes[u.Name] = u.FileHash
		}
	}
	return hashes, err
}
