// Package systemdtest holds an in-memory systemd for tests, Fake, and the
// conformance suite that it and the real driver pass.
package systemdtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

// Fake is a systemd and a journal in memory: a Manager and a Journal. It knows
// the usual services (simple, oneshot, notify), what true, false, sleep and
// echo do, Restart=, RemainAfterExit=, Requires= and the time limits, and it
// gives process IDs that never repeat. Time passes by the clock, so that in a
// synctest bubble everything is simulated and repeatable.
//
// All methods may be called concurrently.
type Fake struct {
	// Lag is how long Observe takes, JournalLag is how long Tail takes. Set
	// them before anything else is called.
	Lag, JournalLag time.Duration

	mu           sync.Mutex
	files        map[cluster.UnitName]file
	environments map[cluster.UnitName]environment
	units        map[cluster.UnitName]*unit // what systemd has loaded
	host         map[cluster.UnitName]string
	aliases      map[cluster.UnitName]cluster.UnitName
	lines        map[cluster.UnitName][]string
	faults       []*fault
	calls        map[string]int
	changed      map[cluster.UnitName]bool
	all          bool
	changes      chan []cluster.UnitName
	nextPID      int
	enabled      bool // something of the host, since the last reload
	boot         int  // a power cut makes late timers of the boot before harmless
	news         chan struct{}
}

type file struct {
	text    string
	version int
}

// environment is the variables that a unit was given; version is when it was first.
type environment struct {
	variables []string
	version   int
}

type fault struct {
	op   string
	name cluster.UnitName
	n    int
	err  error
}

var (
	_ systemd.Manager = (*Fake)(nil)
	_ systemd.Journal = (*Fake)(nil)
)

// NewFake makes a systemd without units.
func NewFake() *Fake {
	return &Fake{
		files: map[cluster.UnitName]file{}, environments: map[cluster.UnitName]environment{}, units: map[cluster.UnitName]*unit{},
		host: map[cluster.UnitName]string{}, aliases: map[cluster.UnitName]cluster.UnitName{}, lines: map[cluster.UnitName][]string{},
		calls: map[string]int{}, changed: map[cluster.UnitName]bool{},
		changes: make(chan []cluster.UnitName, 1), nextPID: 100, news: make(chan struct{}),
	}
}

// AddHost adds a unit that belongs to the host and runs.
func (f *Fake) AddHost(name cluster.UnitName, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host[name] = text
	u := f.load(name)
	f.begin(u, make(chan string, 1))
}

// AddAlias adds another name of a unit of the host.
func (f *Fake) AddAlias(name, of cluster.UnitName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aliases[name] = of
}

// Enable stands for systemctl enable --no-reload of whatever on the host: systemd
// then says of every unit that it needs a reload.
func (f *Fake) Enable() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enabled = true
}

// FailNext makes the next n calls of an operation on a unit fail with err. The
// operations are the names of the Manager's methods in lower case and, for
// Run, its verbs; the name "" stands for every unit.
func (f *Fake) FailNext(op string, name cluster.UnitName, n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault{op, name, n, err})
}

// Calls returns how often an operation was called (see FailNext), whatever
// came of it.
func (f *Fake) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Processes returns the main processes that exist now, by unit.
func (f *Fake) Processes() map[cluster.UnitName]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	running := map[cluster.UnitName]int{}
	for name, u := range f.units {
		if _, host := f.host[name]; u.pid != 0 && !host {
			running[name] = u.pid
		}
	}
	return running
}

// Crash is a power cut: every process, every job and all of /run are gone, the
// journal stays. The next call finds a freshly booted machine.
func (f *Fake) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boot++
	for _, u := range f.units {
		u.endJob("canceled")
	}
	f.enabled = false
	clear(f.files)
	clear(f.environments)
	clear(f.units)
	clear(f.changed)
	for _, name := range slices.Sorted(maps.Keys(f.host)) {
		f.begin(f.load(name), make(chan string, 1))
	}
}

// Kill ends a unit's main process with exit status 137, as a crash would.
func (f *Fake) Kill(name cluster.UnitName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.units[name]; u != nil && u.pid != 0 {
		f.exit(u, 137)
	}
}

// String draws every unit that is loaded or has a file, one line each.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.AppendSeq(slices.Collect(maps.Keys(f.files)), maps.Keys(f.units))
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		u := f.observe(name)
		fmt.Fprintf(&b, "%s %s %s/%s", name, u.Load, u.Active, u.Sub)
		if u.MainPID != 0 {
			fmt.Fprintf(&b, " pid %d", u.MainPID)
		}
		if u.Stale {
			b.WriteString(" stale")
		}
		if !u.Ours {
			b.WriteString(" (host)")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Observe implements systemd.Manager.
func (f *Fake) Observe(ctx context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	pass(f.Lag)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "observe", ""); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(f.files))
		for name, u := range f.units {
			if u.ours {
				names = append(names, name)
			}
		}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	units := make([]systemd.Unit, len(names))
	for i, name := range names {
		units[i] = f.observe(name)
	}
	return units, nil
}

// pass returns after d.
func pass(d time.Duration) {
	if d > 0 {
		over := make(chan struct{})
		loop.NewDeadline(d, func() { close(over) })
		<-over
	}
}

// observe draws one unit, as a listing by names does: a unit that is not
// loaded is read from its file for the occasion.
func (f *Fake) observe(name cluster.UnitName) systemd.Unit {
	seen := systemd.Unit{Name: name, Load: "not-found", Active: "inactive", Sub: "dead"}
	if f.aliases[name] != "" {
		seen.Load = "loaded"
		return seen
	}
	own, has := f.files[name]
	if has {
		seen.FileHash = cluster.HashText(own.text)
	}
	u := f.units[name]
	if u == nil && !has {
		return seen
	}
	if u == nil {
		fresh := newUnit(name, own.text, own.version, true)
		seen.Load, seen.Ours = fresh.loadState, true
		return seen
	}
	seen.Load, seen.Active, seen.Sub, seen.Ours = u.loadState, u.active, u.sub, u.ours
	seen.Result, seen.ExitCode, seen.MainPID = u.result, u.exitCode, u.pid
	if u.active == "activating" && u.isService() {
		seen.AutoRestarts, seen.RestartDelay, seen.StartLimit = u.restarts, u.span("RestartSec", restartDelay), u.startLimit()
	}
	seen.Since, seen.Invocation = u.since, u.invocation
	seen.Stale = u.ours && (!has || own.version != u.version || f.environments[name].version != u.environment || f.enabled)
	return seen
}

// Write implements systemd.Manager.
func (f *Fake) Write(ctx context.Context, name cluster.UnitName, text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "write", name); err != nil {
		return err
	}
	if _, host := f.host[name]; host {
		return cluster.Errorf(cluster.Exists, "unit %s belongs to the host", name)
	}
	old, has := f.files[name]
	if !has || old.text != text {
		f.nextPID++ // any number that grows will do as a version
		f.files[name] = file{text, f.nextPID}
		f.change(name)
	}
	return nil
}

// SetEnvironment implements systemd.Manager.
func (f *Fake) SetEnvironment(ctx context.Context, name cluster.UnitName, variables []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "environment", name); err != nil {
		return err
	}
	if len(variables) == 0 {
		delete(f.environments, name)
		return nil
	}
	known := f.environments[name]
	if known.version == 0 {
		f.nextPID++
		known.version = f.nextPID
	}
	known.variables = slices.Clone(variables)
	f.environments[name] = known
	return nil
}

// Environment implements systemd.Manager.
func (f *Fake) Environment(ctx context.Context, name cluster.UnitName) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.environments[name].variables), ctx.Err()
}

// Text implements systemd.Manager.
func (f *Fake) Text(ctx context.Context, name cluster.UnitName) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files[name].text, ctx.Err()
}

// Remove implements systemd.Manager.
func (f *Fake) Remove(ctx context.Context, name cluster.UnitName) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "remove", name); err != nil {
		return err
	}
	delete(f.files, name)
	delete(f.environments, name)
	f.collect(name)
	f.change(name)
	return nil
}

// Reload implements systemd.Manager.
func (f *Fake) Reload(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "reload", ""); err != nil {
		return err
	}
	f.enabled = false
	for name, u := range f.units {
		own, has := f.files[name]
		switch {
		case !u.ours:
		case has:
			u.read(own.text, own.version)
			u.environment = f.environments[name].version
		case u.pid == 0:
			delete(f.units, name)
		default:
			u.loadState, u.version = "not-found", 0
		}
	}
	return nil
}

// Run implements systemd.Manager.
func (f *Fake) Run(ctx context.Context, verb systemd.Verb, name cluster.UnitName) (string, error) {
	f.mu.Lock()
	if err := f.enter(ctx, string(verb), name); err != nil {
		f.mu.Unlock()
		return "", err
	}
	if verb == systemd.ResetFailed {
		f.resetFailed(name)
		f.mu.Unlock()
		return "done", nil
	}
	job, err := f.enqueue(verb, name)
	f.mu.Unlock()
	if err != nil {
		return "", err
	}
	select {
	case result := <-job:
		return result, nil
	case <-ctx.Done():
		return "", fmt.Errorf("%s %s: %w", verb, name, ctx.Err())
	}
}

// Changes implements systemd.Manager.
func (f *Fake) Changes() <-chan []cluster.UnitName { return f.changes }

// Reconnect signals that anything may have changed, as after a lost connection.
func (f *Fake) Reconnect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = true
	f.signal()
}

// enter counts a call and returns the fault that was asked for.
func (f *Fake) enter(ctx context.Context, op string, name cluster.UnitName) error {
	f.calls[op]++
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, fault := range f.faults {
		if fault.op == op && fault.n > 0 && (fault.name == "" || fault.name == name) {
			fault.n--
			return fault.err
		}
	}
	return nil
}

// change tells the reader of Changes about a unit.
func (f *Fake) change(name cluster.UnitName) {
	f.changed[name] = true
	f.signal()
}

// signal puts everything that changed since the reader last looked into the
// channel's one place.
func (f *Fake) signal() {
	select {
	case names := <-f.changes:
		f.all = f.all || len(names) == 0
		for _, n := range names {
			f.changed[n] = true
		}
	default:
	}
	names := slices.Sorted(maps.Keys(f.changed))
	if f.all {
		names = nil
	}
	clear(f.changed)
	f.all = false
	f.changes <- names
}
