package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/agent"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
	"argosy/internal/systemd/systemdtest"
)

// hub is a cluster as one node sees it: sessions, a slice, records of status.
type hub struct {
	mu       sync.Mutex
	down     bool // no call gets through
	revision cluster.Revision
	session  cluster.Session
	units    map[cluster.UnitName]cluster.Assignment
	records  map[cluster.UnitName]cluster.Status
	reports  []cluster.Report
	sessions []string  // the incarnation of each renewal
	openings []int64   // what the first renewal of each incarnation has heard of
	sent     time.Time // when the last renewal came
	updates  int
	mute     bool             // slices are not served
	behind   cluster.Revision // if set, the generation that slices are served as
	deaf     bool             // renewals arrive, their answers do not
	delay    time.Duration    // of an answer to a renewal
	full     bool             // no status is stored
	news     chan struct{}
}

var errDown = cluster.Errorf(cluster.Unavailable, "no server can be reached")

func newHub() *hub {
	return &hub{
		revision: 10, units: map[cluster.UnitName]cluster.Assignment{},
		records: map[cluster.UnitName]cluster.Status{}, news: make(chan struct{}),
	}
}

// change changes the cluster and wakes every stream.
func (h *hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.revision++
	close(h.news)
	h.news = make(chan struct{})
}

func (h *hub) assign(name cluster.UnitName, text string, more ...func(*cluster.Assignment)) {
	h.change(func() {
		h.units[name] = assignment(name, text, more...)
	})
}

func assignment(name cluster.UnitName, text string, more ...func(*cluster.Assignment)) cluster.Assignment {
	a := cluster.Assignment{Name: name, UID: "u1", Text: text, Hash: cluster.HashText(text), Desired: cluster.Launched, Epoch: 1}
	for _, m := range more {
		m(&a)
	}
	return a
}

func (h *hub) drop(name cluster.UnitName) { h.change(func() { delete(h.units, name) }) }

func (h *hub) record(name cluster.UnitName) (cluster.Status, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.records[name]
	return s, ok
}

// sentUpdates returns how many updates of statuses have come.
func (h *hub) sentUpdates() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.updates
}

func (h *hub) Renew(ctx context.Context, s cluster.Session) (cluster.Session, error) {
	answer, err := h.renew(s)
	return answer, errors.Join(err, loop.Sleep(ctx, h.delay))
}

func (h *hub) renew(s cluster.Session) (cluster.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return s, errDown
	}
	if h.session.Dead && h.session.Incarnation == s.Incarnation {
		return h.session, cluster.Errorf(cluster.Conflict, "session was declared dead")
	}
	if h.session.Incarnation != s.Incarnation {
		h.openings = append(h.openings, s.Heard)
	} else if s.Heard < h.session.Seq {
		return h.session, h.lost()
	}
	h.revision++
	s.Revision = h.revision
	h.session = s
	h.sessions = append(h.sessions, s.Incarnation)
	h.sent = time.Now()
	return s, h.lost()
}

// lost is the error in place of an answer that does not arrive.
func (h *hub) lost() error {
	if h.deaf {
		return cluster.Errorf(cluster.Unknown, "no answer in time")
	}
	return nil
}

// told returns the reports so far.
func (h *hub) told() []cluster.Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.reports)
}

func (h *hub) Report(_ context.Context, r cluster.Report) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return errDown
	}
	h.reports = append(h.reports, r)
	return nil
}

// reported returns how many updates of statuses have come.
func (h *hub) reported() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.updates
}

func (h *hub) Statuses(_ context.Context, u wire.StatusUpdate) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down || h.full {
		return errDown
	}
	h.updates++
	if u.Full {
		clear(h.records)
	}
	for _, s := range u.Put {
		h.records[s.Unit] = s
	}
	for _, name := range u.Gone {
		delete(h.records, name)
	}
	return nil
}

func (h *hub) Slices(ctx context.Context, _ cluster.Revision, each func(wire.SliceUpdate) error) error {
	for {
		h.mu.Lock()
		if h.down || h.mute {
			h.mu.Unlock()
			return errDown
		}
		update := wire.SliceUpdate{Full: true, Generation: h.revision}
		if h.behind != 0 {
			update.Generation = h.behind
		}
		for _, a := range h.units {
			update.Put = append(update.Put, a)
		}
		news := h.news
		h.mu.Unlock()
		if err := each(update); err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// machine is one node: a systemd and a folder that outlive its daemons.
type machine struct {
	t    *testing.T
	hub  *hub
	fake *systemdtest.Fake
	// manager and journal are what the daemon is given; nil: the fake.
	manager systemd.Manager
	journal systemd.Journal
	// prepare is called with each agent before it runs; may be nil.
	prepare func(*agent.Agent)
	// ask answers for the units; portFree: see agent.Deps. Both may be nil.
	ask      agent.Ask
	portFree func(port uint16) bool
	dir      string
	boot     int
	stop     func()
	a        *agent.Agent
	permits
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, hub: newHub(), fake: systemdtest.NewFake(), dir: t.TempDir()}
	t.Cleanup(func() {
		if m.stop != nil {
			m.stop()
		}
	})
	return m
}

// start starts the daemon.
func (m *machine) start() {
	m.t.Helper()
	manager, journal := m.manager, m.journal
	if manager == nil {
		manager = m.fake
	}
	if journal == nil {
		journal = m.fake
	}
	m.a = agent.New(agent.Config{
		Node: "n1", Timings: cluster.DefaultTimings(), Dir: m.dir, BootID: fmt.Sprint("boot", m.boot), Version: "test",
		Address: netip.MustParseAddr("10.0.0.1"),
	}, agent.Deps{Uplink: m.hub, Manager: manager, Journal: journal, Permit: &m.permits, Ask: m.ask, PortFree: m.portFree})
	if m.prepare != nil {
		m.prepare(m.a)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- m.a.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			m.t.Errorf("the agent ended with %v", err)
		}
		m.stop = nil
	}
}

// powerCut ends everything on the machine at once.
func (m *machine) powerCut() {
	m.stop()
	m.fake.Crash()
	m.boot++
}

// many assigns units of one text, numbered by a pattern.
func (m *machine) many(pattern, text string, n int) {
	m.hub.change(func() {
		for i := range n {
			name := cluster.UnitName(fmt.Sprintf(pattern, i))
			m.hub.units[name] = assignment(name, text)
		}
	})
}

// pass lets simulated time go by.
func (m *machine) pass(d time.Duration) {
	m.t.Helper()
	if err := loop.Sleep(m.t.Context(), d); err != nil {
		m.t.Fatal(err)
	}
	synctest.Wait()
}

// running fails unless exactly the named units have a process.
func (m *machine) running(want ...cluster.UnitName) {
	m.t.Helper()
	got := []cluster.UnitName{}
	for name := range m.fake.Processes() {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(append([]cluster.UnitName{}, want...), got); diff != "" {
		m.t.Errorf("running units (-want +got):\n%s%s", diff, m.fake)
	}
}

func (m *machine) status(name cluster.UnitName) cluster.Status {
	m.t.Helper()
	s, ok := m.hub.record(name)
	if !ok {
		m.t.Fatalf("no status of %s\n%s", name, m.fake)
	}
	return s
}

const daemon = "[Service]\nExecStart=/usr/bin/daemon\n"

// inBubble runs a test on one machine in simulated time.
func inBubble(t *testing.T, f func(t *testing.T, m *machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newMachine(t)) })
}

// permits notes what the permit is told.
type permits struct {
	mu       sync.Mutex
	deadline time.Time
}

func (p *permits) Sending() func(context.Context) {
	deadline := time.Now().Add(cluster.DefaultTimings().Valid)
	return func(context.Context) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.deadline = deadline
	}
}
