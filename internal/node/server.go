package node

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/engine"
	"argosy/internal/events/recorder"
	"argosy/internal/events/ring"
	"argosy/internal/keyspace/etcdspace"
	"argosy/internal/loop"
	"argosy/internal/metrics"
	"argosy/internal/mirror"
	"argosy/internal/pki"
	"argosy/internal/resolve"
	"argosy/internal/store"
	"argosy/internal/systemd"
)

// ControlConfig is what the control plane of a server is told.
type ControlConfig struct {
	Node     cluster.NodeID
	Timings  cluster.Timings
	CertLife time.Duration
	// EventsDir is where events are kept; "" keeps them in memory only.
	EventsDir string
}

// ControlDeps is what it works with. The simulator gives it a store in memory
// and no members.
type ControlDeps struct {
	Store                    store.Store
	Members                  engine.Members // may be nil
	Voters                   func(ctx context.Context) ([]wire.Voter, int64, error)
	InitialCluster           func(ctx context.Context) (string, error)
	Authority, EtcdAuthority *pki.Authority
	Journal                  systemd.Journal
	Peer                     func(netip.AddrPort) *client.Client
	Terminals                *api.Terminals // nil: none are opened
	Keys                     api.KeySpace   // nil: applications have none
	Names                    func() *metrics.Names
	Leave, Reset             func(context.Context) error
	Log                      *slog.Logger
}

// Control is the control plane of one server: its copy of the store, its
// candidate for the leadership, and its API.
type Control struct {
	Mirror   *mirror.Mirror
	Engine   *engine.Engine
	sessions *engine.Sessions
	statuses *engine.Statuses
	events   *recorder.Recorder
	api      *api.Server
}

// NewControl assembles the control plane; Run starts it.
func NewControl(cfg ControlConfig, deps ControlDeps) *Control {
	counted := metrics.New()
	deps.Store = counted.Store(deps.Store)
	m := mirror.New(deps.Store, deps.Log)
	engineDeps := engine.Deps{Store: deps.Store, Mirror: m, Members: deps.Members, Metrics: counted.Engine(), Log: deps.Log}
	c := &Control{
		Mirror:   m,
		Engine:   engine.New(engine.Config{Node: cfg.Node, Timings: cfg.Timings}, engineDeps),
		sessions: engine.NewSessions(engineDeps, 0),
		statuses: engine.NewStatuses(engineDeps, 0),
	}
	kept := ring.New(ring.Config{Dir: cfg.EventsDir}, ring.Deps{Log: deps.Log})
	c.events = recorder.New(recorder.Deps{Node: cfg.Node, Mirror: m, Health: c.Engine.Health, Ring: kept, Log: deps.Log})
	c.api = api.NewServer(api.Deps{
		Events: kept, Metrics: counted, Leading: c.Engine.LeadingSince,
		Store: deps.Store, Mirror: m, Health: c.Engine.Health, Sessions: c.sessions, Statuses: c.statuses,
		Authority: deps.Authority, EtcdAuthority: deps.EtcdAuthority, CertLife: cfg.CertLife,
		Voters: deps.Voters, InitialCluster: deps.InitialCluster, Names: deps.Names,
		Self: cfg.Node, Journal: deps.Journal, Peer: deps.Peer, Terminals: deps.Terminals, Keys: deps.Keys, Leave: deps.Leave, Reset: deps.Reset, Log: deps.Log,
	})
	return c
}

// Local serves the unix socket, Remote the network.
func (c *Control) Local() http.Handler { return c.api.Local() }

// Remote serves the network.
func (c *Control) Remote() http.Handler { return c.api.Handler() }

// Loopback serves the key space to whoever is on this machine.
func (c *Control) Loopback() http.Handler { return c.api.Loopback() }

// Run runs the control plane until ctx ends, and returns its error.
func (c *Control) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	// The mirror first: everything else reads it.
	group.Go(func() error { return c.Mirror.Run(ctx) })
	// What nodes say is taken in by every server, whoever leads.
	group.Go(func() error { return c.sessions.Run(ctx) })
	group.Go(func() error { return c.statuses.Run(ctx) })
	group.Go(func() error { return c.Engine.Run(ctx) })
	// Nothing waits for events, and they wait for nobody.
	group.Go(func() error { return c.events.Run(ctx) })
	return group.Wait()
}

// runServer runs the control plane on this node until ctx ends, or until the
// node is no server any more (nil).
func (d *Daemon) runServer(ctx context.Context, keeper *pki.Keeper, c cluster.Cluster) error {
	ca, etcdAuthority, err := d.disk.authorities()
	if err != nil {
		return err
	}
	if err := d.services.start(ctx, EtcdService); err != nil {
		// etcd may wait for its peers: the daemon must answer meanwhile.
		d.deps.Log.Warn("etcd is not up yet", "err", err)
	}
	db, err := d.dialStore(d.knownServers())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	// What applications do goes over a connection of its own, so that nothing of the
	// cluster's waits behind it.
	apps, err := d.dialStore(d.knownServers())
	if err != nil {
		return err
	}
	defer func() { _ = apps.Close() }()
	keys := etcdspace.New(etcdspace.Deps{Conn: apps.Conn(), Store: apps, Log: d.deps.Log})
	control := NewControl(ControlConfig{Node: d.id, Timings: c.Timings, CertLife: d.cfg.NodeCert, EventsDir: d.disk.path("events")}, ControlDeps{
		Store: db, Members: db.Membership(),
		Voters:         func(ctx context.Context) ([]wire.Voter, int64, error) { return voters(ctx, db) },
		InitialCluster: func(ctx context.Context) (string, error) { return initialCluster(ctx, db) },
		Authority:      ca, EtcdAuthority: etcdAuthority,
		Journal: d.deps.Journal,
		Peer: func(address netip.AddrPort) *client.Client {
			return client.New(client.Config{Addresses: []string{address.String()}, TLS: keeper.ClientTLS()})
		},
		Terminals: d.terminals, Keys: keys, Names: func() *metrics.Names { return namesMetrics(resolve.StatePath(runFolder)) },
		Leave: d.Leave, Reset: d.Reset, Log: d.deps.Log,
	})
	d.local.set(control.Local())
	d.remote.set(control.Remote())
	d.loopback.set(control.Loopback())

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return control.Run(ctx) })
	group.Go(func() error { return d.rotateEtcdCertificates(ctx, etcdAuthority) })
	group.Go(func() error { return keys.Run(ctx) })
	group.Go(func() error {
		return d.followMembers(ctx, control, func(endpoints []string) { db.SetEndpoints(endpoints); apps.SetEndpoints(endpoints) })
	})
	err = group.Wait()
	if errors.Is(err, errDemoted) {
		return nil
	}
	return err
}

// errDemoted ends the control plane of a node that is no server any more.
var errDemoted = errors.New("this node is no server any more")

// Which etcd members this server asks. Its own is the nearest, and follows a
// change of etcd's leader within a second; a client that is spread over all
// members notices a dead one only after ten (gRPC pings no faster). When the
// own member gives no sign of life, the others are asked, and then the own one
// again. Not all: an own member that runs but does not hear etcd's leader (one
// line is cut) would make every second or third call hang, and the engine of
// this node, which may lead since its session is renewed through another
// server, would plan nothing for as long as the line is cut.
const (
	membersEvery = 2 * time.Second
	ownSilentMax = 12 * time.Second // two signs of life and a bit
)

// followMembers keeps the list of etcd members to ask current, and ends when
// this node is no server any more.
func (d *Daemon) followMembers(ctx context.Context, control *Control, setEndpoints func([]string)) error {
	var asked []string
	var since time.Time
	own := true
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := loop.New("etcd members", d.deps.Log, func(context.Context) (time.Duration, error) {
		state := control.Mirror.State()
		if state == nil {
			return membersEvery, nil
		}
		if _, serves := otherMembers(state, d.id); !serves && len(state.Members) > 0 {
			stop(errDemoted)
			return loop.Never, nil
		}
		if control.Mirror.Age() > ownSilentMax && time.Since(since) > ownSilentMax {
			own = !own
		}
		endpoints := toAsk(state, d.id, d.clientURL(), !own)
		if !slices.Equal(endpoints, asked) {
			asked, since = endpoints, time.Now()
			setEndpoints(endpoints)
		}
		return membersEvery, nil
	}).Run(ctx)
	if errors.Is(context.Cause(ctx), errDemoted) {
		d.deps.Log.Info("this node is no server any more")
		return errDemoted
	}
	return err
}

// toAsk returns the members that a server asks: its own, unless that is silent. One
// that is leaving is silent from one moment to the next, and need not even hear that it
// was removed.
func toAsk(state *cluster.State, self cluster.NodeID, own string, silent bool) []string {
	others, _ := otherMembers(state, self)
	leaving := slices.ContainsFunc(state.Members, func(m cluster.Member) bool { return m.Node == self && m.State == cluster.MemberLeaving })
	if len(others) == 0 || !silent && !leaving {
		return []string{own}
	}
	return others
}

// otherMembers returns etcd's client addresses of the other voters, and whether
// a node is still a server. One whose record is missing, or begins anew as a
// learner's, is not: its data belongs to a member that was removed. One that is
// leaving serves on until it has left, since its vote may be needed for that.
func otherMembers(state *cluster.State, self cluster.NodeID) (endpoints []string, serves bool) {
	addresses := map[cluster.NodeID]netip.Addr{}
	for _, n := range state.Nodes {
		addresses[n.Node.ID] = n.Report.Address
	}
	for _, m := range state.Members {
		voter := m.State == cluster.MemberVoter
		serves = serves || m.Node == self && (voter || m.State == cluster.MemberLeaving)
		if address := addresses[m.Node]; voter && m.Node != self && address.IsValid() {
			endpoints = append(endpoints, etcdURL(address, wire.PortEtcdClient))
		}
	}
	return endpoints, serves
}
