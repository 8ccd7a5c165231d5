package sim

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"argosy/internal/agent"
	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/node"
	"argosy/internal/pki"
	"argosy/internal/store"
	"argosy/internal/store/memstore"
	"argosy/internal/systemd/systemdtest"
	"argosy/internal/unitfile"
)

// Config says what is simulated.
type Config struct {
	Nodes, Servers int
	Seed           uint64
	// Dir holds the nodes' disks.
	Dir string
	Log *slog.Logger
	// Store is a real store, for measuring in real time, outside a bubble. No
	// fault comes between it and the servers, and nothing is audited. nil: one in
	// memory, as everything else.
	Store store.Store
}

// operatorHost is where users call from. A node that is cut off from all others
// is cut off from it too.
const operatorHost = "192.0.2.1"

// certLife outlasts every script.
const certLife = 365 * 24 * time.Hour

// Sim is a simulated cluster; it implements World. Make and use it inside a
// synctest bubble, and Close it there, unless it has a real store. Its methods
// are called by one goroutine.
type Sim struct {
	cfg       Config
	net       *Network
	store     *memstore.Store
	authority *pki.Authority
	machines  []*machine
	byName    map[string]*machine
	operator  *client.Client
	watcher   *watcher
}

var _ World = (*Sim)(nil)

// machine is one node: what survives its daemon, and the daemon's end.
type machine struct {
	id      cluster.NodeID
	name    string
	address netip.Addr
	server  bool
	keeper  *pki.Keeper
	fake    *systemdtest.Fake
	dir     string
	boot    int
	up      bool
	stop    func() // nil: the daemon does not run
	doom    atomic.Pointer[doom]
	files   sync.Map // those that were touched, by path
}

// ask answers for the units, by the one command that there is here: test ! -e PATH.
func (m *machine) ask(_ context.Context, p unitfile.Probe, _ []string) error {
	if len(p.Command) != 4 || !slices.Equal(p.Command[:3], []string{"/usr/bin/test", "!", "-e"}) {
		return fmt.Errorf("no such command here: %q", p.Command)
	}
	if _, there := m.files.Load(p.Command[3]); there {
		return errors.New("exit code 1")
	}
	return nil
}

// doom is how a server's node ends: with one of its commits, before that is
// stored or after.
type doom struct {
	left  atomic.Int64
	after bool
}

// strikes reports whether this is the commit.
func (d *doom) strikes() bool { return d != nil && d.left.Add(-1) == 0 }

func (m *machine) host() string { return m.address.String() }

func (m *machine) api() string {
	return netip.AddrPortFrom(m.address, wire.PortAPI).String()
}

// New makes a formed cluster and starts its nodes.
func New(cfg Config) (*Sim, error) {
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		return nil, err
	}
	s := &Sim{
		cfg: cfg, net: NewNetwork(cfg.Seed), store: memstore.New(), authority: authority,
		byName: map[string]*machine{},
	}
	if err := s.form(); err != nil {
		return nil, err
	}
	if s.operator, err = s.newOperator(); err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		s.watcher = watch(s.store.Client(), cfg.Log)
	}
	for _, m := range s.machines {
		if err := s.start(m); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close ends everything that runs.
func (s *Sim) Close() {
	for _, m := range s.machines {
		s.halt(m)
	}
	s.net.Close()
	s.operator.Close()
	if s.watcher != nil {
		s.watcher.close()
		s.Advance(time.Minute) // what had a time limit comes to its end
	}
}

// line is a server's way to the store.
func (s *Sim) line(m *machine) store.Store {
	if s.cfg.Store != nil {
		return s.cfg.Store
	}
	return s.store.ClientWith(s.storeFault(m))
}

// form writes what a cluster is after all nodes have joined.
func (s *Sim) form() error {
	now := time.Now()
	ops := []store.Op{store.PutCluster(cluster.Cluster{
		ID: s.authority.ID(), Name: "sim", Created: now, Timings: cluster.DefaultTimings(),
	})}
	for i := range s.cfg.Nodes {
		m := &machine{
			id: cluster.NodeID(fmt.Sprintf("%032x", i+1)), name: fmt.Sprintf("node-%d", i+1),
			address: netip.AddrFrom4([4]byte{10, 0, byte((i + 1) / 250), byte((i+1)%250 + 1)}),
			server:  i < s.cfg.Servers, fake: systemdtest.NewFake(), up: true,
		}
		m.dir = filepath.Join(s.cfg.Dir, m.name)
		if err := s.identify(m); err != nil {
			return err
		}
		s.net.AddHost(m.host())
		s.machines = append(s.machines, m)
		s.byName[m.name] = m
		ops = append(ops,
			store.PutNode(cluster.Node{ID: m.id, Name: m.name, Joined: now}),
			store.PutReport(cluster.Report{Node: m.id, Address: m.address}))
		if m.server {
			ops = append(ops, store.PutMember(cluster.Member{Node: m.id, MemberID: uint64(i + 1), State: cluster.MemberVoter, Since: now}))
		}
	}
	into := s.cfg.Store
	if into == nil {
		into = s.store.Client()
	}
	for len(ops) > 0 {
		n := min(len(ops), 100)
		if _, _, err := into.Commit(context.Background(), store.Txn{Then: ops[:n]}); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// identify gives a node its identity.
func (s *Sim) identify(m *machine) error {
	_, csr, err := pki.LoadOrNewKey(m.dir)
	if err != nil {
		return err
	}
	cert, err := s.authority.SignNode(pki.NodeCert{CSR: csr, Node: m.id, Name: m.name, Address: m.address, Life: certLife}, time.Now())
	if err != nil {
		return err
	}
	id := pki.Identity{Cluster: s.authority.ID(), Node: m.id, Name: m.name}
	if err := pki.Save(m.dir, id, cert, s.authority.CertPEM()); err != nil {
		return err
	}
	m.keeper, err = pki.Load(m.dir)
	return err
}

func (s *Sim) newOperator() (*client.Client, error) {
	key, csr, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := s.authority.SignOperator(csr, "sim", certLife, time.Now())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	settings, err := pki.OperatorTLS(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), s.authority.CertPEM())
	if err != nil {
		return nil, err
	}
	s.net.AddHost(operatorHost)
	return client.New(client.Config{Addresses: s.serversFrom(0), TLS: settings, Dial: s.dialFrom(operatorHost)}), nil
}

// serversFrom lists the servers' addresses, beginning with the nth, so that
// not all nodes call the same.
func (s *Sim) serversFrom(n int) []string {
	var list []string
	for i := range s.cfg.Servers {
		list = append(list, s.machines[(n+i)%s.cfg.Servers].api())
	}
	return list
}

func (s *Sim) dialFrom(host string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) { return s.net.Dial(ctx, host, address) }
}

// start starts a node's daemon.
func (s *Sim) start(m *machine) error {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var server *http.Server
	if m.server {
		var err error
		if server, err = s.serve(ctx, m, &running); err != nil {
			cancel()
			return err
		}
	}
	uplink := client.New(client.Config{Addresses: s.serversFrom(slices.Index(s.machines, m)), TLS: m.keeper.ClientTLS(), Dial: s.dialFrom(m.host())})
	a := agent.New(agent.Config{
		Node: m.id, Timings: cluster.DefaultTimings(), Dir: m.dir, BootID: fmt.Sprintf("%s-%d", m.name, m.boot),
		Address: m.address, Version: "sim", CPUs: 2, Memory: 4 << 30,
	}, agent.Deps{Uplink: uplink.WithNode(m.id), Manager: m.fake, Journal: m.fake, Ask: m.ask, Log: s.cfg.Log.With("node", m.name)})
	running.Go(func() { _ = a.Run(ctx) })
	m.stop = func() {
		cancel()
		if server != nil {
			_ = server.Close()
		}
		uplink.Close()
		running.Wait()
	}
	return nil
}

// serve starts the control plane of a server.
func (s *Sim) serve(ctx context.Context, m *machine, running *sync.WaitGroup) (*http.Server, error) {
	log := s.cfg.Log.With("node", m.name)
	control := node.NewControl(node.ControlConfig{Node: m.id, Timings: cluster.DefaultTimings(), CertLife: certLife}, node.ControlDeps{
		Store:          s.line(m),
		Voters:         func(context.Context) ([]wire.Voter, int64, error) { return nil, 0, nil },
		InitialCluster: func(context.Context) (string, error) { return "", nil },
		Authority:      s.authority, EtcdAuthority: s.authority, Journal: m.fake,
		Peer: func(address netip.AddrPort) *client.Client {
			return client.New(client.Config{Addresses: []string{address.String()}, TLS: m.keeper.ClientTLS(), Dial: s.dialFrom(m.host())})
		},
		Log: log,
	})
	l, err := s.net.Listen(m.api())
	if err != nil {
		return nil, err
	}
	server := api.NewHTTPServer(control.Remote(), log)
	server.TLSConfig = m.keeper.ServerTLS()
	running.Go(func() { _ = control.Run(ctx) })
	running.Go(func() { _ = server.ServeTLS(l, "", "") })
	return server, nil
}

// halt stops a node's daemon; units keep running.
func (s *Sim) halt(m *machine) {
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
}

// storeFault is the line between a server and the store: it works while the
// server can talk with a majority of the servers, itself included.
func (s *Sim) storeFault(m *machine) memstore.Fault {
	return func(ctx context.Context, operation string) memstore.Outcome {
		if d := m.doom.Load(); operation == "commit" && d.strikes() {
			s.net.SetPower(m.host(), false)
			if d.after {
				return memstore.LoseReply
			}
			return memstore.Refuse
		}
		ok, changed := s.quorate(m)
		waited := false
		for !ok {
			waited = true
			select {
			case <-changed:
				ok, changed = s.quorate(m)
			case <-ctx.Done():
				return memstore.Refuse
			}
		}
		if waited && operation != "batch" {
			return memstore.Refuse // the request was lost with the line
		}
		return memstore.Pass
	}
}

func (s *Sim) quorate(m *machine) (bool, <-chan struct{}) {
	votes := 0
	var changed <-chan struct{}
	for i, other := range s.machines[:s.cfg.Servers] {
		ok, c := s.net.Reach(m.host(), other.host())
		if i == 0 {
			changed = c // a change after the first look wakes us too
		}
		if ok {
			votes++
		}
	}
	return votes > s.cfg.Servers/2, changed
}

// Revision is how often the store was written to.
func (s *Sim) Revision() cluster.Revision { return s.store.Revision() }

// Nodes implements World.
func (s *Sim) Nodes() []string {
	var names []string
	for _, m := range s.machines {
		names = append(names, m.name)
	}
	return names
}

// Leader implements World.
func (s *Sim) Leader() string {
	if s.watcher == nil {
		return ""
	}
	if state := s.watcher.current(); state != nil {
		for _, m := range s.machines {
			if m.id == state.Leader.Node {
				return m.name
			}
		}
	}
	return ""
}

// API implements World.
func (s *Sim) API() API { return s.operator }

func (s *Sim) machine(name string) (*machine, error) {
	if m := s.byName[name]; m != nil {
		return m, nil
	}
	return nil, cluster.Errorf(cluster.NotFound, "there is no node %q", name)
}

// Power implements World.
func (s *Sim) Power(name string, on bool) error {
	m, err := s.machine(name)
	if err != nil || m.up == on {
		return err
	}
	m.up = on
	m.doom.Store(nil)
	if !on {
		s.net.SetPower(m.host(), false)
		s.halt(m)
		m.fake.Crash()
		return nil
	}
	m.boot++
	s.net.SetPower(m.host(), true)
	return s.start(m)
}

// Cut implements World.
func (s *Sim) Cut(from, to string) error {
	for _, a := range s.machines {
		for _, b := range s.machines {
			if a != b && (from == "*" || from == a.name) && (to == "*" || to == b.name) {
				s.net.Cut(a.host(), b.host())
			}
		}
		// Users are on the side of the others.
		if to == "*" && from == a.name {
			s.net.Cut(a.host(), operatorHost)
		}
		if from == "*" && to == a.name {
			s.net.Cut(operatorHost, a.host())
		}
	}
	return nil
}

// Heal implements World.
func (s *Sim) Heal() error { s.net.Heal(); return nil }

// Doom has a server's node fall silent at one of the next commits of its server;
// Power then does the rest.
func (s *Sim) Doom(name string, commits int64, after bool) error {
	m, err := s.machine(name)
	if err == nil {
		d := &doom{after: after}
		d.left.Store(commits)
		m.doom.Store(d)
	}
	return err
}

// Pause implements World.
func (s *Sim) Pause(name string, paused bool) error {
	m, err := s.machine(name)
	if err == nil {
		s.net.SetPaused(m.host(), paused)
	}
	return err
}

// Touch implements World.
func (s *Sim) Touch(name, path string, there bool) error {
	m, err := s.machine(name)
	switch {
	case err != nil:
	case there:
		m.files.Store(path, true)
	default:
		m.files.Delete(path)
	}
	return err
}

// Slow implements World.
func (s *Sim) Slow(name string, by time.Duration) error {
	m, err := s.machine(name)
	if err == nil {
		s.net.SetSlow(m.host(), by)
	}
	return err
}

// Lose implements World.
func (s *Sim) Lose(name string, share float64) error {
	m, err := s.machine(name)
	if err == nil {
		s.net.SetLoss(m.host(), share)
	}
	return err
}

// RestartDaemon implements World.
func (s *Sim) RestartDaemon(name string) error {
	m, err := s.machine(name)
	if err != nil || !m.up {
		return err
	}
	s.halt(m)
	return s.start(m)
}

// Processes implements World.
func (s *Sim) Processes(name string) (map[cluster.UnitName]int, error) {
	m, err := s.machine(name)
	if err != nil {
		return nil, err
	}
	return m.fake.Processes(), nil
}

// Advance implements World.
func (s *Sim) Advance(d time.Duration) { _ = loop.Sleep(context.Background(), d) }
