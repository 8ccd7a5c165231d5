package agent

import (
	"cmp"
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
	// resync is how often everything is observed although nothing was heard. That
	// costs half a second of a core with 300 units; systemd says itself what changes,
	// and after a connection is lost everything is observed at once.
	resync = 5 * time.Minute
	// gatherRounds is the least time between two rounds; what changes
	// meanwhile is observed in one go. When PID 1 is busy and answers slowly,
	// rounds are as far apart as its answers take, up to gatherRoundsMax:
	// questions must not take its time from the starts that they are about.
	gatherRounds    = 20 * time.Millisecond
	gatherRoundsMax = time.Second
	// A unit that waits for its turn says so after waitShown, which is looked at each
	// waitLook.
	waitShown = 10 * time.Second
	waitLook  = time.Second
	// purgePatience is how long a node that comes back lets the removal of
	// what does not belong to it go before the start of new work.
	purgePatience = 10 * time.Second
)

// converger makes systemd carry out the slice. One loop observes and decides;
// the steps of each unit run on a goroutine of their own, so that a start that
// hangs delays nothing else.
type converger struct {
	a      *Agent
	gate   *gate
	loop   *loop.Loop
	pace   loop.Pace
	work   *workers
	words  *lastWords
	health *prober

	mu         sync.Mutex
	want       map[cluster.UnitName]cluster.Assignment
	seen       map[cluster.UnitName]systemd.Unit
	memory     converge.Memory
	restarting converge.Restarting
	dirty      map[cluster.UnitName]bool
	retry      map[cluster.UnitName]time.Time
	held       map[cluster.UnitName]bool // decided while starts were forbidden
	// shown is the last status of each unit, without its log. systemd has no
	// time for a unit that never ran, or that it forgot: that of when it was
	// first seen so is kept.
	shown map[cluster.UnitName]cluster.Status
	// texts are what the units publish that are or were wanted, as the texts say that are
	// wanted or run; ports are those that were chosen for them, and leaving are the
	// units that are about to stop.
	texts   map[cluster.UnitName][]published
	ports   map[cluster.UnitName]ports
	leaving map[cluster.UnitName]*withdrawal
	// worked are units whose worker ended since they were last taken for a
	// look. What is seen of them may be from before its steps: a unit seen as
	// running that was stopped meanwhile would pass for settled.
	worked map[cluster.UnitName]bool
	all    bool          // observe everything
	synced time.Time     // when everything was last observed
	lag    time.Duration // how long systemd took to show what was last observed

	looked     bool // everything was observed once
	told       bool // there is a slice; without one nothing is known to be unwanted
	opened     bool // the gate was open when it was last asked
	purgeUntil time.Time
}

func newConverger(a *Agent, g *gate) *converger {
	c := &converger{
		a: a, gate: g, pace: loop.Pace{Every: gatherRounds}, all: true,
		want: map[cluster.UnitName]cluster.Assignment{}, seen: map[cluster.UnitName]systemd.Unit{},
		memory: converge.Memory{}, restarting: converge.Restarting{}, dirty: map[cluster.UnitName]bool{},
		retry: map[cluster.UnitName]time.Time{}, held: map[cluster.UnitName]bool{},
		worked: map[cluster.UnitName]bool{}, shown: map[cluster.UnitName]cluster.Status{},
		texts: map[cluster.UnitName][]published{}, ports: map[cluster.UnitName]ports{}, leaving: map[cluster.UnitName]*withdrawal{},
	}
	c.work = newWorkers(c, a.cfg.Parallel)
	c.words = newLastWords(c)
	c.health = newProber(c)
	c.loop = loop.New("converge", a.log, c.step)
	return c
}

// run works until ctx ends and every worker has returned.
func (c *converger) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer c.work.wait()
	defer func() {
		c.mu.Lock() // whoever holds it may be sending a worker
		defer c.mu.Unlock()
		cancel()
	}()
	c.work.ctx = ctx
	c.work.spawn(func() { c.listen(ctx) })
	c.work.spawn(func() { _ = c.words.loop.Run(ctx) })
	c.work.spawn(func() { _ = c.health.loop.Run(ctx) })
	return c.loop.Run(ctx)
}

// listen marks what systemd says has changed.
func (c *converger) listen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case names := <-c.a.deps.Manager.Changes():
			c.changed(names)
		}
	}
}

func (c *converger) changed(names []cluster.UnitName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(names) == 0 {
		c.all = true
	}
	for _, name := range names {
		if c.concerns(name) {
			c.dirty[name] = true
		}
	}
	if c.all || len(c.dirty) > 0 {
		c.loop.Wake()
	}
}

// concerns reports whether a unit is wanted, remembered or known as ours.
func (c *converger) concerns(name cluster.UnitName) bool {
	_, wanted := c.want[name]
	_, known := c.memory[name]
	return wanted || known || c.seen[name].Ours
}

// assign takes a slice and the units that changed in it.
func (c *converger) assign(slice cluster.Slice, changed []cluster.UnitName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	units := slice.Units
	if !c.told && slice.Generation > 0 {
		c.told, c.all = true, true
	}
	if len(changed) > 0 || len(c.want) != len(units) {
		c.want = make(map[cluster.UnitName]cluster.Assignment, len(units))
		for _, unit := range units {
			c.want[unit.Name] = unit
		}
	}
	for _, name := range changed {
		c.dirty[name] = true
		c.work.interrupt(name) // what it waits for may not be wanted any more
	}
	c.loop.Wake()
}

// remembered returns a copy of what is remembered, for the disk.
func (c *converger) remembered() savedMemory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return savedMemory{
		Version: diskVersion, BootID: c.a.cfg.BootID,
		Units: maps.Clone(c.memory), Healthy: c.health.healthy(),
	}
}

// recall takes what an earlier daemon remembered.
func (c *converger) recall(m savedMemory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(c.memory, m.Units)
	maps.Copy(c.health.before, m.Healthy)
}

// step observes what may have changed, decides, and sends workers.
func (c *converger) step(ctx context.Context) (time.Duration, error) {
	if err := c.pace.Wait(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	names, all := c.due(began)
	err := c.observe(ctx, names, all)
	lag := time.Since(began)
	c.pace.Every = min(max(gatherRounds, 2*lag), gatherRoundsMax)
	if err != nil {
		c.mu.Lock()
		c.all = true
		c.mu.Unlock()
		return 0, err
	}
	again := c.decide(names, all, lag, time.Now())
	if all {
		c.mu.Lock()
		c.looked = true
		c.mu.Unlock()
		c.a.statuses.observed()
	}
	return again, nil
}

// due returns the units to look at now; with all, everything.
func (c *converger) due(now time.Time) (names []cluster.UnitName, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkGate(now)
	for name, at := range c.retry {
		if !now.Before(at) {
			delete(c.retry, name)
			c.dirty[name] = true
		}
	}
	if c.all || now.Sub(c.synced) >= resync {
		c.all, c.synced = false, now
		clear(c.dirty)
		clear(c.worked)
		return nil, true
	}
	for name := range c.dirty {
		if !c.work.quick(name) { // its end makes it due anyway
			names = append(names, name)
			delete(c.dirty, name)
			delete(c.worked, name)
		}
	}
	slices.Sort(names)
	return names, false
}

// checkGate notices that starts became allowed.
func (c *converger) checkGate(now time.Time) {
	open, _ := c.gate.open(now)
	open = open && c.told
	if !open {
		c.close()
		return
	}
	if !c.opened {
		c.opened, c.purgeUntil = true, now.Add(purgePatience)
	}
	// What does not belong here goes first: the rest waits for that.
	purging := c.purging(now)
	for name := range c.held {
		if _, wanted := c.want[name]; !wanted || !purging {
			c.dirty[name] = true
			delete(c.held, name)
		}
	}
}

// purging reports whether units that do not belong here are still to go.
func (c *converger) purging(now time.Time) bool {
	if !now.Before(c.purgeUntil) {
		return false
	}
	if c.synced.IsZero() {
		return true // what is here is not known yet
	}
	for name, u := range c.seen {
		if _, wanted := c.want[name]; !wanted && u.Ours {
			return true
		}
	}
	return false
}

// observe asks systemd, in one or two calls.
func (c *converger) observe(ctx context.Context, names []cluster.UnitName, all bool) error {
	if !all && len(names) == 0 {
		return nil
	}
	units, err := c.a.deps.Manager.Observe(ctx, names...)
	if err != nil {
		return err
	}
	if all {
		rest, err := c.observeRest(ctx, units)
		if err != nil {
			return err
		}
		units = append(units, rest...)
	}
	c.see(units, all)
	c.learn(ctx, units)
	return nil
}

// see takes what systemd shows.
func (c *converger) see(units []systemd.Unit, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all {
		clear(c.seen)
	}
	for _, u := range units {
		c.seen[u.Name] = u
	}
}

// observeRest observes the units that are wanted, remembered, shown or wait, and are
// not among those that systemd has of ours.
func (c *converger) observeRest(ctx context.Context, units []systemd.Unit) ([]systemd.Unit, error) {
	missing := map[cluster.UnitName]bool{}
	c.mu.Lock()
	for name := range c.want {
		missing[name] = true
	}
	for name := range c.memory {
		missing[name] = true
	}
	for name := range c.shown {
		missing[name] = true
	}
	for _, t := range c.work.queue.line {
		missing[t.unit] = true
	}
	c.mu.Unlock()
	for _, u := range units {
		delete(missing, u.Name)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	return c.a.deps.Manager.Observe(ctx, slices.Sorted(maps.Keys(missing))...)
}

// decide plans for the units that systemd took lag to show, sends workers, and
// returns when to look again.
func (c *converger) decide(names []cluster.UnitName, all bool, lag time.Duration, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all {
		names = slices.Sorted(maps.Keys(c.seen))
	}
	if len(names) > 0 {
		c.lag = lag
	}
	names = slices.DeleteFunc(names, func(name cluster.UnitName) bool {
		if !c.worked[name] && c.work.busy(name) && !c.work.quick(name) {
			c.show(name, "", now) // at least say what it is doing
		}
		return c.worked[name] || c.work.busy(name) // it is looked at again
	})
	for _, name := range names {
		c.work.queue.seen(c.wanted(name), c.seen[name], c.memory[name])
	}
	c.restarting.Seen(c.plan(names, now), now)
	c.proceed(now)
	c.showWaiting(now)
	c.work.reloadIfDue(now)
	return c.again(now)
}

// wanted returns what a unit is to be, nil if it is not to be here.
func (c *converger) wanted(name cluster.UnitName) *cluster.Assignment {
	if want, ok := c.want[name]; ok {
		return &want
	}
	return nil
}

// plan decides units by what was last seen of them, sends workers, and returns what
// that is of those that are wanted.
func (c *converger) plan(names []cluster.UnitName, now time.Time) []systemd.Unit {
	hold := c.hold(now)
	announced := c.announced(names)
	wanted := converge.Input{
		Memory: c.memory, Now: now, Hold: hold, Lag: c.lag, Restarting: c.restarting, Announced: announced, Sick: c.health.sick(names),
	}
	unwanted := converge.Input{Memory: c.memory, Now: now, Announced: announced}
	if !c.opened {
		unwanted.Hold = hold
	}
	for _, name := range names {
		if want := c.wanted(name); want != nil {
			wanted.Want = append(wanted.Want, *want)
			wanted.Seen = append(wanted.Seen, c.seen[name])
		} else {
			unwanted.Seen = append(unwanted.Seen, c.seen[name])
		}
	}
	for _, in := range []converge.Input{unwanted, wanted} {
		for _, d := range converge.Plan(in) {
			if in.Hold != "" {
				c.held[d.Unit] = true
			}
			c.carryOut(d, c.wanted(d.Unit), now)
		}
	}
	return wanted.Seen
}

// hold says why nothing may start, "" if it may. The gate may have closed since the
// round began.
func (c *converger) hold(now time.Time) string {
	if open, _ := c.gate.open(now); !open {
		c.close()
	}
	switch {
	case !c.opened:
		return "waits for the cluster to say what belongs here"
	case c.purging(now):
		return "waits for what does not belong here to go"
	}
	return ""
}

// close forbids starts. What waits for its turn to start waits for the cluster now, and
// says so after the next round: while units wait there is one each second.
func (c *converger) close() {
	if !c.opened {
		return
	}
	c.opened = false
	for _, t := range c.work.queue.line {
		c.dirty[t.unit] = true
	}
}

// proceed has those worked on whose turn has come, decided by what is known now.
func (c *converger) proceed(now time.Time) {
	for c.work.ctx.Err() == nil {
		name := c.work.queue.next(now, c.hold(now) != "")
		if name == "" {
			return
		}
		c.plan([]cluster.UnitName{name}, now)
	}
}

// showWaiting publishes why units wait that have for long.
func (c *converger) showWaiting(now time.Time) {
	for _, t := range c.work.queue.line {
		if !t.told && now.Sub(t.since) >= waitShown {
			t.told = true
			c.show(t.unit, c.whileWaiting(t, now), now)
		}
	}
}

// whileWaiting is the problem of a unit that waits for its turn, if there is one.
func (c *converger) whileWaiting(t *turn, now time.Time) string {
	if problem := cmp.Or(t.problem, c.memory[t.unit].Problem(c.seen[t.unit])); problem != "" || now.Sub(t.since) < waitShown {
		return problem
	}
	return c.work.queue.reason(t)
}

// carryOut notes one decision and sends a worker if there is work.
func (c *converger) carryOut(d converge.Decision, want *cluster.Assignment, now time.Time) {
	if d.Settled != nil {
		c.memory[d.Unit] = *d.Settled
		c.a.disk.loop.Wake()
	}
	if !d.Again.IsZero() {
		c.retry[d.Unit] = d.Again
	}
	if !d.Stops {
		c.stays(d.Unit)
	}
	switch {
	case d.Gone:
		if _, known := c.memory[d.Unit]; known {
			delete(c.memory, d.Unit)
			c.a.disk.loop.Wake()
		}
		delete(c.seen, d.Unit)
		delete(c.retry, d.Unit)
		delete(c.restarting, d.Unit)
		delete(c.shown, d.Unit)
		delete(c.texts, d.Unit)
		delete(c.ports, d.Unit)
		c.health.forget(d.Unit)
		c.words.forget(d.Unit)
		c.work.queue.gone(d.Unit)
		c.a.statuses.gone(d.Unit)
		c.loop.Wake() // a purge may be complete
	case len(d.Steps) == 0:
		c.work.queue.leave(d.Unit)
		c.show(d.Unit, d.Problem, now)
	default:
		if d.Problem != "" {
			c.show(d.Unit, d.Problem, now)
		}
		c.work.send(d, want, now)
	}
}

// show publishes what is true of a unit.
func (c *converger) show(name cluster.UnitName, problem string, now time.Time) {
	seen := c.seen[name]
	status := statusOf(c.a.cfg.Node, c.a.cfg.BootID, c.wanted(name), seen, c.memory[name], problem)
	if status.UID == "" {
		return // of nobody: a leftover that is on its way out
	}
	publishes := c.published(name, status.Hash)
	c.health.see(status, seen.Invocation, publishes.Health, now)
	status.Problem = cmp.Or(status.Problem, c.health.problem(name))
	status.Offers = c.offers(status, publishes)
	if before := c.shown[name]; status.Since.IsZero() && before.Equal(status) {
		status.Since = before.Since
	} else if status.Since.IsZero() {
		status.Since = now
	}
	c.shown[name] = status
	if status.Failed() {
		c.a.statuses.withdraw(status)
		c.words.publish(status)
		return
	}
	c.words.over(name)
	c.a.statuses.set(status)
}

// again returns how long until something must be looked at without a wake.
func (c *converger) again(now time.Time) time.Duration {
	next := c.synced.Add(resync)
	earlier := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	for _, at := range c.retry {
		earlier(at)
	}
	switch open, at := c.gate.open(now); {
	case c.told && open != c.opened:
		earlier(now) // it opened or closed during this round
	case c.told && !open:
		earlier(at)
	}
	if len(c.held) > 0 && c.opened {
		earlier(c.purgeUntil)
	}
	earlier(c.work.reloadAt())
	if len(c.work.queue.line) > 0 {
		earlier(now.Add(waitLook))
	}
	return max(next.Sub(now), time.Millisecond)
}
