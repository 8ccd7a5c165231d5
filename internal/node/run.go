package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/agent"
	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/cluster"
	"argosy/internal/health/probe"
	"argosy/internal/loop"
	"argosy/internal/pki"
)

// Run runs the daemon until ctx ends, and returns nil then. Units keep
// running: they belong to systemd.
func (d *Daemon) Run(ctx context.Context) error {
	if err := os.MkdirAll(d.cfg.Dir, 0o700); err != nil {
		return err
	}
	// The unix sockets come first and stay: whatever else goes wrong, argosy
	// status must be able to say so.
	d.local.set(d.firstAnswers())
	stop, err := d.listenLocal()
	if err != nil {
		return err
	}
	defer stop()
	d.deps.Ready()

	// A node is in a cluster or not; each round is one of the two. What goes
	// wrong is retried here, with the reason in the log.
	err = loop.New("daemon", d.deps.Log, func(ctx context.Context) (time.Duration, error) {
		if pki.Exists(d.disk.identity()) {
			return time.Millisecond, d.runFormed(ctx)
		}
		return time.Millisecond, d.runUnformed(ctx)
	}).Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// firstAnswers serves the unix sockets until the daemon knows its role.
func (d *Daemon) firstAnswers() http.Handler {
	if !pki.Exists(d.disk.identity()) {
		return api.NewUnformed(d.unformedDeps())
	}
	var c cluster.Cluster
	if _, err := d.disk.load("cluster.json", &c); err != nil {
		d.deps.Log.Warn("the record of the cluster is lost", "err", err)
	}
	return api.NewStarting(d.id, c, d.Reset)
}

func (d *Daemon) unformedDeps() api.UnformedDeps {
	return api.UnformedDeps{Self: d.id, Init: d.Init, Join: d.Join, Reset: d.Reset, Waiting: d.waitingFor}
}

// runUnformed waits until the node is in a cluster: by a list of peers, or by
// an administrator.
func (d *Daemon) runUnformed(ctx context.Context) error {
	d.local.set(api.NewUnformed(d.unformedDeps()))
	d.setWaiting("")
	if len(d.cfg.Peers) > 0 {
		return d.static(ctx)
	}
	select {
	case <-d.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runFormed runs a node of a cluster until ctx ends or the node has parted.
func (d *Daemon) runFormed(ctx context.Context) error {
	keeper, err := pki.Load(d.disk.identity())
	if err != nil {
		return err
	}
	var c cluster.Cluster
	if _, err := d.disk.load("cluster.json", &c); err != nil {
		return err
	}
	listener, err := d.listenTCP()
	if err != nil {
		return err
	}
	server := api.NewHTTPServer(&d.remote, d.deps.Log)
	servers := client.New(client.Config{Addresses: d.serverAddresses(), TLS: keeper.ClientTLS()})
	defer servers.Close()
	keys := client.New(client.Config{Addresses: d.serverAddresses(), TLS: keeper.ClientTLS()})
	defer keys.Close()
	cell := &sliceCell{}
	uplink := d.uplink(servers)
	node := agent.New(agent.Config{
		Node: d.id, Timings: c.Timings, Dir: d.cfg.Dir, BootID: bootID(),
		Address: d.cfg.Address, Version: d.deps.Version,
	}, agent.Deps{
		Uplink: uplink, Manager: d.deps.Manager, Journal: d.deps.Journal, Log: d.deps.Log,
		Permit: permitProcess{PermitSocket, c.Timings.Valid},
		Usage:  (&usageMeter{dir: "/proc"}).read,
		Ask:    probe.Ask, PortFree: portFree,
		OnSlice: func(slice cluster.Slice) { d.keepServers(slice, servers, keys); cell.set(slice) },
	})
	d.works(node)
	d.loopback.clear() // of the cluster before
	wrong := newProblems(node, d.config().problems(c))

	group, running := errgroup.WithContext(ctx)
	// Roles before the agent: on a server, the agent's first call is answered
	// by this very daemon.
	group.Go(func() error { return d.runRoles(running, keeper, c, servers, keys, cell) })
	group.Go(func() error {
		err := server.Serve(tls.NewListener(listener, keeper.ServerTLS()))
		return fmt.Errorf("serve the network: %w", err)
	})
	group.Go(func() error { <-running.Done(); return server.Close() })
	group.Go(func() error { return d.serveKeySpace(running, wrong) })
	group.Go(func() error { return pki.Rotate(running, keeper, servers.WithNode(d.id), d.deps.Log) })
	group.Go(func() error {
		return d.watchNames(running, func(problems []string) { wrong.set("names", problems...) })
	})
	// The agent last: it may start units at once, from what it remembers.
	group.Go(func() error { return node.Run(running) })
	group.Go(func() error { return d.waitForParting(running, uplink) })
	err = group.Wait()
	if ctx.Err() == nil && errors.Is(err, errParted) {
		return d.part(ctx, node)
	}
	return err
}

// runRoles runs the node as what it is, and changes when that changes.
func (d *Daemon) runRoles(ctx context.Context, keeper *pki.Keeper, c cluster.Cluster, servers, keys *client.Client, cell *sliceCell) error {
	return loop.New("role", d.deps.Log, func(ctx context.Context) (time.Duration, error) {
		servers.SetAddresses(d.serverAddresses()) // a server asks itself first, a worker does not
		if d.disk.isServer() {
			if err := d.runServer(ctx, keeper, c); err != nil {
				return 0, err
			}
			return time.Millisecond, errors.Join(d.disk.save("member.json", ""), d.dropServer(ctx))
		}
		return time.Millisecond, d.runWorker(ctx, c, servers, keys, cell)
	}).Run(ctx)
}

// serverAddresses are where servers were last reached; this node first, if it
// is one: it is the nearest.
func (d *Daemon) serverAddresses() []string {
	var list []string
	if _, err := d.disk.load("servers.json", &list); err != nil {
		d.deps.Log.Warn("the list of servers is lost", "err", err)
	}
	own := apiAddress(d.cfg.Address)
	if d.disk.isServer() {
		list = slices.DeleteFunc(list, func(a string) bool { return a == own })
		list = slices.Insert(list, 0, own)
	}
	return list
}

// knownServers are the same without the ports, for the store.
func (d *Daemon) knownServers() []netip.Addr {
	var list []netip.Addr
	for _, text := range d.serverAddresses() {
		if ap, err := netip.ParseAddrPort(text); err == nil {
			list = append(list, ap.Addr())
		}
	}
	return list
}

// keepServers remembers where the servers are.
func (d *Daemon) keepServers(slice cluster.Slice, clients ...*client.Client) {
	if len(slice.Servers) == 0 {
		return
	}
	var known []string
	if _, err := d.disk.load("servers.json", &known); err == nil && slices.Equal(known, slice.Servers) {
		return
	}
	if err := d.disk.save("servers.json", slice.Servers); err != nil {
		d.deps.Log.Warn("the list of servers was not kept", "err", err)
	}
	for _, c := range clients {
		c.SetAddresses(d.serverAddresses())
	}
}

// listenLocal serves the unix sockets, to root and to the group argosy. Without
// the group, or with one that cannot be found out, they are root's alone.
func (d *Daemon) listenLocal() (stop func(), err error) {
	server := api.NewHTTPServer(&d.local, d.deps.Log)
	group := errgroup.Group{}
	gid, shared, err := groupID(socketGroup, d.deps.Group)
	if err != nil {
		d.deps.Log.Warn("the unix sockets are for root alone", "err", err)
	}
	for _, path := range d.cfg.Sockets {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return nil, err
		}
		// One that an earlier daemon left; systemd runs only one of us.
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
		listener, err := net.Listen("unix", path)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o660); err != nil {
			return nil, err
		}
		if shared {
			if err := letIn(path, gid); err != nil {
				return nil, err
			}
		}
		group.Go(func() error { return server.Serve(listener) })
	}
	return func() { _ = server.Close(); _ = group.Wait() }, nil
}

// listenTCP opens the network port of the API.
func (d *Daemon) listenTCP() (net.Listener, error) {
	listener, err := net.Listen("tcp", apiAddress(d.cfg.Address))
	if err != nil {
		return nil, cluster.Errorf(cluster.Unavailable, "listen for the network: %w", err).
			WithHint("is the address in /etc/argosy/argosy.conf this machine's?")
	}
	return listener, nil
}

// waitingFor says what an unformed node waits for.
func (d *Daemon) waitingFor() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting
}

func (d *Daemon) setWaiting(reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if reason != d.waiting && reason != "" {
		d.deps.Log.Info("waiting", "for", reason)
	}
	d.waiting = reason
}
