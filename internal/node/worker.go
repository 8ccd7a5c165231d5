package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/etcd"
	"argosy/internal/loop"
	"argosy/internal/pki"
	"argosy/internal/store/etcdstore"
)

// runWorker serves what a worker serves until ctx ends, or until the leader
// has made the node a voter (nil): then it is a server.
func (d *Daemon) runWorker(ctx context.Context, c cluster.Cluster, servers, keys *client.Client, slices *sliceCell) error {
	catalog := d.newCatalog(servers)
	deps := api.WorkerDeps{
		Self: d.id, Cluster: c, Servers: servers, Keys: keys, Journal: d.deps.Journal,
		IsServer: slices.isServer, Terminals: d.terminals, Services: catalog.copy, Leave: d.Leave, Reset: d.Reset,
	}
	d.local.set(api.NewWorker(deps))
	d.remote.set(api.NewWorkerRemote(deps))
	d.loopback.set(api.NewWorkerLoopback(keys))
	ctx, done := context.WithCancel(ctx)
	defer done()
	promoted := false
	become := loop.New("become a server", d.deps.Log, func(ctx context.Context) (time.Duration, error) {
		var err error
		if promoted, err = d.becomeServer(ctx, c, servers.WithNode(d.id), slices.member()); promoted {
			done()
		}
		return loop.Never, err
	})
	slices.onChange(become.Wake)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return become.Run(ctx) })
	group.Go(func() error { return catalog.run(ctx) })
	err := group.Wait()
	if promoted {
		return nil
	}
	return err
}

// becomeServer takes the next step towards being a server: with a record as a
// learner, get the secrets and start etcd; with one as a voter, be a server.
func (d *Daemon) becomeServer(ctx context.Context, c cluster.Cluster, servers *client.NodeClient, member *cluster.Member) (promoted bool, err error) {
	switch {
	case member == nil:
		// Chosen once and dropped again: etcd must not start at the next boot.
		if d.disk.hasEtcd() {
			return false, d.dropServer(ctx)
		}
		return false, nil
	case member.State == cluster.MemberVoter:
		return true, d.disk.save("member.json", cluster.MemberVoter)
	case member.State != cluster.MemberLearner:
		return false, nil
	}
	if !d.disk.etcdStarted() {
		// Until it has started once, etcd must be told the members as they are
		// at that moment: another learner may have come since the last attempt.
		if err := d.installServer(ctx, c, servers); err != nil {
			return false, fmt.Errorf("become a server: %w", err)
		}
		return false, d.services.restart(ctx, EtcdService)
	}
	return false, d.services.start(ctx, EtcdService)
}

// installServer gets what makes this node a server and writes it down.
func (d *Daemon) installServer(ctx context.Context, c cluster.Cluster, servers *client.NodeClient) error {
	secrets, err := servers.ServerSecrets(ctx)
	if err != nil {
		return err
	}
	ca, err := pki.ParseAuthority(secrets.CA)
	if err != nil {
		return err
	}
	if ca.ID() != c.ID {
		return cluster.Errorf(cluster.Denied, "the server sent the authority of cluster %s, not of %s", ca.ID(), c.ID)
	}
	etcdAuthority, err := pki.ParseAuthority(secrets.EtcdCA)
	if err != nil {
		return err
	}
	if err := d.disk.saveAuthorities(secrets.CA, secrets.EtcdCA); err != nil {
		return err
	}
	initial := ownName(secrets.InitialCluster, string(d.id), d.peerURL())
	return d.writeEtcd(etcdAuthority, etcdStart{c.ID, initial, etcd.Existing})
}

// ownName gives this node's entry in etcd's list its name: etcd does not know
// it before the member has started.
func ownName(initial, name, url string) string {
	entries := strings.Split(initial, ",")
	for i, entry := range entries {
		if strings.HasSuffix(entry, "="+url) {
			entries[i] = name + "=" + url
		}
	}
	return strings.Join(entries, ",")
}

// dropServer stops etcd and removes what only a server has.
func (d *Daemon) dropServer(ctx context.Context) error {
	if err := d.services.stop(ctx, EtcdService); err != nil {
		return err
	}
	return d.disk.dropServer()
}

// initialCluster lists etcd's members as a new one wants to know them.
func initialCluster(ctx context.Context, db *etcdstore.Store) (string, error) {
	members, err := db.Membership().List(ctx)
	if err != nil {
		return "", err
	}
	var entries []string
	for _, m := range members {
		// One that has not started yet has no name, and names must differ.
		entries = append(entries, cmp.Or(m.Name, fmt.Sprintf("member-%x", m.ID))+"="+m.PeerURL)
	}
	slices.Sort(entries)
	return strings.Join(entries, ","), nil
}

// voters reports how etcd's members are, and the size of the database.
func voters(ctx context.Context, db *etcdstore.Store) ([]wire.Voter, int64, error) {
	members, err := db.Health(ctx)
	var list []wire.Voter
	var size int64
	for _, m := range members {
		voter := wire.Voter{Node: cluster.NodeID(m.Name), State: cluster.MemberVoter, Healthy: m.Err == nil, Leader: m.Leader}
		if m.Learner {
			voter.State = cluster.MemberLearner
		}
		if m.Err != nil {
			voter.Error = m.Err.Error()
		}
		list = append(list, voter)
		size = max(size, m.DBSize)
	}
	return list, size, err
}
