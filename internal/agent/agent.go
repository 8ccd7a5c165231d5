// Package agent is the node's part of the cluster: it holds the node's
// session, follows the node's slice, makes the local systemd carry it out, and
// reports what systemd shows.
//
// Nothing here stops a unit because the cluster cannot be reached: the end of
// Run leaves every unit running, and a new Run takes them over as they are.
//
// # What a node starts when it comes back
//
// A node keeps its last slice on disk. After a boot, or after it was declared
// dead, that slice may be out of date: its units may run elsewhere. So the
// agent first only writes files, and waits for a slice that is as new as the
// session it has just opened. If no server answers for Timings.Lost, the whole
// cluster may be down, and it starts from the copy on disk. One that learned
// that it was declared dead never does: it waits for a server.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// Uplink is the way to the servers. Errors are *cluster.Error; Conflict from
// Renew means that the session was declared dead or replaced.
type Uplink interface {
	// Renew commits one renewal and returns the session as it is now.
	Renew(ctx context.Context, session cluster.Session) (cluster.Session, error)
	Report(ctx context.Context, report cluster.Report) error
	Statuses(ctx context.Context, update wire.StatusUpdate) error
	// Slices calls each for every message of the node's slice stream, and
	// returns when the stream ends, or with the error of each.
	Slices(ctx context.Context, after cluster.Revision, each func(wire.SliceUpdate) error) error
}

// Permit is the node's right to run exclusive units. It ends by itself: nothing
// extends that of a session which was declared dead, and Timings.Dead is longer
// than any permit lasts.
type Permit interface {
	// Sending is called just before a renewal is sent. The function it returns
	// is called if that very renewal was stored: the permit then lasts
	// Timings.Valid from when Sending was called.
	Sending() (extend func(ctx context.Context))
}

// noPermit is that of a node on which nothing is exclusive.
type noPermit struct{}

func (noPermit) Sending() func(context.Context) { return func(context.Context) {} }

// Config holds the agent's values.
type Config struct {
	Node    cluster.NodeID
	Timings cluster.Timings
	// Dir is a folder of the agent's own that outlives a reboot.
	Dir string
	// BootID is the kernel's name of this boot.
	BootID string
	// Address, Labels and Version are reported as they are, unless SetLabels says
	// otherwise; zero CPUs and Memory are asked of the host.
	Address netip.Addr
	Labels  map[string]string
	Version string
	CPUs    int
	Memory  int64
	// Parallel is how many units are started at once. Default: 8. A job that takes
	// longer than half a second no longer counts. Four times as many are stopped or
	// changed.
	Parallel int
	// Incarnations makes the names of sessions. Default: random.
	Incarnations func() string
}

// Deps holds what the agent works with.
type Deps struct {
	Uplink  Uplink
	Manager systemd.Manager
	Journal systemd.Journal
	Permit  Permit // may be nil
	// Usage says what the machine uses; may be nil. It is asked at each renewal
	// of the session.
	Usage func() cluster.Usage
	// Ask asks a unit whether it works; nil: none is asked, and what systemd says counts
	// alone. PortFree reports whether nobody on the node listens at a port; nil: nobody
	// ever does.
	Ask      Ask
	PortFree func(port uint16) bool
	Log      *slog.Logger
	// OnSlice is called with each new slice, one at a time; may be nil.
	OnSlice func(cluster.Slice)
}

// Agent is one node's agent. Its methods may be called concurrently.
type Agent struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	session  *session
	slices   *sliceKeeper
	worker   *converger
	statuses *publisher
	report   *reporter
	disk     *disk
}

// New makes an agent; Run starts it. It reads what an agent before it left in
// Dir.
func New(cfg Config, deps Deps) *Agent {
	if cfg.Parallel == 0 {
		cfg.Parallel = parallel
	}
	if cfg.Incarnations == nil {
		cfg.Incarnations = randomIncarnation
	}
	if deps.Permit == nil {
		deps.Permit = noPermit{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{cfg: cfg, deps: deps, log: deps.Log.With("part", "agent")}
	gate := newGate(cfg.Timings.Lost)
	a.statuses = newPublisher(a)
	a.worker = newConverger(a, gate)
	a.slices = newSliceKeeper(a, gate)
	a.session = newSession(a, gate)
	a.report = newReporter(a)
	a.disk = newDisk(a)
	return a
}

// Run does the agent's work until ctx ends, and returns its error. Units keep
// running.
func (a *Agent) Run(ctx context.Context) error {
	a.slices.gate.begin(time.Now())
	a.disk.restore()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.session.loop.Run(ctx) })
	group.Go(func() error { return a.slices.loop.Run(ctx) })
	group.Go(func() error { return a.worker.run(ctx) })
	group.Go(func() error { return a.statuses.loop.Run(ctx) })
	group.Go(func() error { return a.report.loop.Run(ctx) })
	group.Go(func() error { return a.disk.loop.Run(ctx) })
	err := group.Wait()
	return errors.Join(err, a.disk.save())
}

// Session returns the node's session as of its last renewal.
func (a *Agent) Session() cluster.Session { return a.session.current() }

// SetLabels replaces the labels that the node reports.
func (a *Agent) SetLabels(labels map[string]string) { a.report.setLabels(labels) }

// SetProblems sets what the node reports for an operator to act on.
func (a *Agent) SetProblems(problems []string) { a.report.set(problems) }

// Leave stops and removes every unit of ours and forgets the slice, for a node
// that leaves its cluster. Run must have ended. It returns the first error,
// after having tried every unit.
func (a *Agent) Leave(ctx context.Context) error { return a.leave(ctx) }
