package engine_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/audit"
	"argosy/internal/cluster"
	"argosy/internal/engine"
	"argosy/internal/loop"
	"argosy/internal/metrics"
	"argosy/internal/mirror"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
)

// fleet is a cluster without systemd: servers with the real engine, mirror and
// renewer over one memstore, and nodes that do nothing but renew sessions.
// Everything runs in simulated time.
type fleet struct {
	t       *testing.T
	store   *memstore.Store
	admin   store.Store // what users do
	servers []*server
	nodes   map[cluster.NodeID]*node

	mu     sync.Mutex
	writes map[cluster.Revision]cluster.NodeID // which leader wrote a placement
	late   map[cluster.NodeID]int              // placements that were refused, by server

	members *etcdMembers // nil: the voting set is left alone
}

// server is one server's control plane. It can be cut off and killed.
type server struct {
	id       cluster.NodeID
	line     *memstore.Partition
	engine   *engine.Engine
	mirror   *mirror.Mirror
	metrics  *metrics.Registry
	sessions *engine.Sessions
	statuses *engine.Statuses
	kill     context.CancelFunc
	up       bool

	mu   sync.Mutex
	held chan struct{} // commits wait until it is closed
	only string        // if not "", only those that write a key of this folder
}

// hold holds up the server's commits that write under prefix, and returns what
// lets them go.
func (s *server) hold(prefix string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.held, s.only = held, prefix
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	}
}

// renewer returns the sessions of the server's present life.
func (s *server) renewer() *engine.Sessions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// wait waits while a transaction is held up.
func (s *server) wait(ctx context.Context, txn store.Txn) {
	s.mu.Lock()
	held, only := s.held, s.only
	s.mu.Unlock()
	if held == nil || !writesUnder(txn, only) {
		return
	}
	select {
	case <-held:
	case <-ctx.Done():
	}
}

func writesUnder(txn store.Txn, prefix string) bool {
	return slices.ContainsFunc(txn.Then, func(op store.Op) bool { return strings.HasPrefix(op.Key, prefix) })
}

// node is one machine's daemon.
type node struct {
	id   cluster.NodeID
	kill context.CancelFunc
	boot int
}

// sail runs a test in a bubble with a fleet of the given size. The servers
// are nodes as well.
func sail(t *testing.T, servers, nodes int, play func(f *fleet)) {
	t.Helper()
	sailWith(t, nil, servers, nodes, play)
}

// sailWith is sail with a membership of etcd for the leader to look after.
func sailWith(t *testing.T, members *etcdMembers, servers, nodes int, play func(f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t, store: memstore.New(), nodes: map[cluster.NodeID]*node{}, writes: map[cluster.Revision]cluster.NodeID{}, late: map[cluster.NodeID]int{}}
		f.admin, f.members = f.store.Client(), members
		f.commit(store.PutCluster(cluster.Cluster{ID: "test", Timings: cluster.DefaultTimings()}))
		for i := range nodes {
			id := nodeID(i)
			f.commit(store.PutNode(cluster.Node{ID: id, Name: string(id), Joined: time.Now().Add(time.Duration(i))}),
				store.PutReport(cluster.Report{Node: id, Address: address(i)}))
			f.nodes[id] = &node{id: id}
		}
		for i := range servers {
			f.servers = append(f.servers, &server{id: nodeID(i), line: &memstore.Partition{}})
			f.startServer(f.servers[i])
		}
		for i := range nodes {
			f.startNode(nodeID(i))
		}
		defer func() {
			for _, s := range f.servers {
				f.stopServer(s)
			}
			for id := range f.nodes {
				f.stopNode(id)
			}
			synctest.Wait()
		}()
		f.until(10*time.Second, "all there", func(state *cluster.State) bool {
			return !slices.ContainsFunc(state.Nodes, func(n cluster.NodeState) bool { return n.Session.Seq == 0 })
		})
		f.pass(100 * time.Millisecond)
		play(f)
	})
}

// address is where a node's report says it is.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}) }

func nodeID(i int) cluster.NodeID { return cluster.NodeID(fmt.Sprintf("n%02d", i)) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (f *fleet) startServer(s *server) {
	ctx, cancel := context.WithCancel(f.t.Context())
	// A context of a bubble's test ends after its cleanups, so kill is what
	// ends a server.
	s.kill, s.up = cancel, true
	client := &recorder{Store: f.store.ClientWith(s.line.Fault), fleet: f, server: s}
	log := quiet()
	s.mirror = mirror.New(client, log)
	s.metrics = metrics.New()
	deps := engine.Deps{Store: client, Mirror: s.mirror, Metrics: s.metrics.Engine(), Log: log}
	if f.members != nil {
		deps.Members = f.members
	}
	s.engine = engine.New(engine.Config{Node: s.id}, deps)
	sessions := engine.NewSessions(deps, 0)
	s.mu.Lock()
	s.sessions = sessions
	s.mu.Unlock()
	s.statuses = engine.NewStatuses(deps, 0)
	for _, run := range []func(context.Context) error{s.mirror.Run, s.engine.Run, sessions.Run, s.statuses.Run} {
		go func() { _ = run(ctx) }()
	}
}

// counted demands that a server has counted so much.
func (s *server) counted(t *testing.T, lines ...string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.metrics.Serve(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil), metrics.Snapshot{Leading: s.engine.LeadingSince()})
	for _, line := range lines {
		if !strings.Contains(w.Body.String(), "\n"+line+"\n") {
			t.Errorf("%s has not counted %q:\n%s", s.id, line, w.Body)
		}
	}
}

func (f *fleet) stopServer(s *server) {
	s.up = false
	s.kill()
}

// recorder notes which server wrote which revision of a placement.
type recorder struct {
	store.Store
	fleet  *fleet
	server *server
}

func (r *recorder) Commit(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	r.server.wait(ctx, txn)
	rev, ok, err := r.Store.Commit(ctx, txn)
	places := writesUnder(txn, store.PrefixPlacements)
	r.fleet.mu.Lock()
	defer r.fleet.mu.Unlock()
	switch {
	case places && ok:
		r.fleet.writes[rev] = r.server.id
	case places && err == nil:
		r.fleet.late[r.server.id]++
	}
	return rev, ok, err
}

// startNode starts a node's daemon: a new incarnation, renewed every two
// seconds through whichever server answers.
func (f *fleet) startNode(id cluster.NodeID) {
	n := f.nodes[id]
	ctx, cancel := context.WithCancel(f.t.Context())
	n.kill = cancel
	n.boot++
	incarnation := fmt.Sprintf("%s-%d", id, n.boot)
	go func() {
		var seq, heard int64
		at := 0
		for i, s := range f.servers { // a server's node uses its own server
			if s.id == id {
				at = i
			}
		}
		for ctx.Err() == nil {
			call, done := context.WithTimeout(ctx, 2*time.Second)
			seq++
			got, err := f.servers[at%len(f.servers)].renewer().Renew(call, cluster.Session{Node: id, Incarnation: incarnation, Seq: seq, Heard: heard})
			done()
			switch {
			case err == nil:
				heard = got.Seq
			case cluster.KindOf(err) == cluster.Conflict:
				incarnation, seq, heard = incarnation+"+", 0, 0
			default:
				at++
			}
			_ = loop.Sleep(ctx, 2*time.Second)
		}
	}()
}

func (f *fleet) stopNode(id cluster.NodeID) {
	if kill := f.nodes[id].kill; kill != nil {
		kill()
	}
}

// lose powers a machine off: its daemon, and its server if it is one.
func (f *fleet) lose(id cluster.NodeID) {
	f.stopNode(id)
	for _, s := range f.servers {
		if s.id == id {
			f.stopServer(s)
		}
	}
}

// bring powers it on again.
func (f *fleet) bring(id cluster.NodeID) {
	for _, s := range f.servers {
		if s.id == id && !s.up {
			f.startServer(s)
		}
	}
	f.startNode(id)
}

// commit does what a user would do through the API.
func (f *fleet) commit(ops ...store.Op) cluster.Revision {
	f.t.Helper()
	rev, ok, err := f.admin.Commit(f.t.Context(), store.Txn{Then: ops})
	if err != nil || !ok {
		f.t.Fatalf("commit: %v %v", ok, err)
	}
	return rev
}

func (f *fleet) submit(name cluster.UnitName, xfleet string) {
	f.t.Helper()
	text := "[Service]\nExecStart=/bin/true\n[X-Fleet]\n" + xfleet
	f.commit(store.PutUnit(cluster.Unit{
		Name: name, UID: cluster.UID(fmt.Sprintf("%s-%d", name, f.store.Revision())), Text: text, Hash: cluster.HashText(text),
		Desired: cluster.Launched, Created: time.Now(),
	}))
}

// state reads the store itself, not any server's mirror.
func (f *fleet) state() *cluster.State {
	f.t.Helper()
	m := mirror.New(f.admin, quiet())
	ctx, cancel := context.WithCancel(f.t.Context())
	go func() { _ = m.Run(ctx) }()
	state, err := m.Wait(ctx, 0)
	cancel()
	if err != nil {
		f.t.Fatal(err)
	}
	return state
}

// until waits for a condition on the state, for at most a simulated time, and
// returns how long it took.
func (f *fleet) until(limit time.Duration, what string, holds func(*cluster.State) bool) time.Duration {
	f.t.Helper()
	start := time.Now()
	for !holds(f.state()) {
		if time.Since(start) > limit {
			for _, p := range f.state().Placements {
				f.t.Logf("%s %v: %s", p.Unit, p.Nodes, p.Reason)
			}
			f.t.Fatalf("after %s: not %s", limit, what)
		}
		_ = loop.Sleep(f.t.Context(), 50*time.Millisecond)
	}
	return time.Since(start)
}

// pass lets simulated time pass.
func (f *fleet) pass(d time.Duration) { _ = loop.Sleep(f.t.Context(), d) }

// leader returns the server that leads, or nil.
func (f *fleet) leader() *server {
	state := f.state()
	for _, s := range f.servers {
		if s.up && s.id == state.Leader.Node && s.engine.Leading() {
			return s
		}
	}
	return nil
}

// where returns where a unit is placed; "" means pending or unknown.
func where(state *cluster.State, name cluster.UnitName) cluster.NodeID {
	for _, p := range state.Placements {
		if p.Unit == name && len(p.Nodes) == 1 {
			return p.Nodes[0]
		}
	}
	return ""
}

// allPlaced reports whether all units have a place.
func allPlaced(state *cluster.State) bool {
	return len(state.Placements) == len(state.Units) && !slices.ContainsFunc(state.Placements, cluster.Placement.Pending)
}

// sound fails the test if the state at rest breaks an invariant.
func (f *fleet) sound() {
	f.t.Helper()
	for _, finding := range audit.Check(f.state()) {
		f.t.Error(finding)
	}
}

// history plays the store's whole history back, one revision at a time, and
// checks each step: the invariants, and that whoever wrote a placement was the
// leader at that very revision.
func (f *fleet) history() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	last := f.store.Revision()
	tape := &tape{c: make(chan store.Batch)}
	replay := mirror.New(tape, quiet())
	go func() { _ = replay.Run(ctx) }()
	before, err := replay.Wait(ctx, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	for step := range steps(f.admin.Watch(ctx, store.Root, 1)) {
		tape.c <- step
		after, err := replay.WaitFor(ctx, step.Revision)
		if err != nil {
			f.t.Fatal(err)
		}
		findings := append(audit.Lasting(audit.Check(after)), audit.CheckStep(before, after)...)
		for _, finding := range findings {
			f.t.Errorf("revision %d: %s", step.Revision, finding)
		}
		if writer, placed := f.writer(step.Revision); placed && writer != before.Leader.Node {
			f.t.Errorf("revision %d: %s wrote a placement while %s led", step.Revision, writer, before.Leader.Node)
		}
		before = after
		if step.Revision >= last {
			return
		}
	}
}

func (f *fleet) writer(rev cluster.Revision) (cluster.NodeID, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, placed := f.writes[rev]
	return id, placed
}

// refused returns how many placements of a server were refused.
func (f *fleet) refused(id cluster.NodeID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.late[id]
}

// steps cuts the batches of a watch into single revisions.
func steps(watch store.Watch) iter.Seq[store.Batch] {
	return func(yield func(store.Batch) bool) {
		for batch := range watch.C() {
			for len(batch.Events) > 0 {
				rev := batch.Events[0].Changed
				end := slices.IndexFunc(batch.Events, func(e store.Event) bool { return e.Changed != rev })
				if end < 0 {
					end = len(batch.Events)
				}
				if !yield(store.Batch{Revision: rev, Events: batch.Events[:end]}) {
					return
				}
				batch.Events = batch.Events[end:]
			}
		}
	}
}

// tape is a store that plays back what is put on it.
type tape struct {
	store.Store
	c chan store.Batch
}

func (t *tape) List(context.Context, string) ([]store.Item, cluster.Revision, error) {
	return nil, 1, nil
}

func (t *tape) Watch(context.Context, string, cluster.Revision) store.Watch { return t }

func (t *tape) C() <-chan store.Batch { return t.c }
func (t *tape) Err() error            { return nil }
