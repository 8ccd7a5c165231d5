package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/etcd"
	"argosy/internal/pki"
	"argosy/internal/store"
	"argosy/internal/store/etcdstore"
)

// foundMax is how long founding a cluster may take before it is given up.
const foundMax = 30 * time.Second

// authorities are the two roots of trust of a cluster; see decision 0003.
type authorities struct{ cluster, etcd *pki.Authority }

func newAuthorities(now time.Time) (a authorities, err error) {
	if a.cluster, err = pki.NewAuthority(now); err != nil {
		return a, err
	}
	a.etcd, err = pki.NewAuthority(now)
	return a, err
}

// Init forms a cluster of this node alone. It is refused on a node that is in
// a cluster.
func (d *Daemon) Init(ctx context.Context, req wire.InitRequest) (wire.Identity, error) {
	trust, err := newAuthorities(time.Now())
	if err != nil {
		return wire.Identity{}, err
	}
	return d.found(ctx, req, trust)
}

// found forms a cluster with the given authorities: the store first, the
// identity last, so that a node that was cut off half-way is simply unformed.
func (d *Daemon) found(ctx context.Context, req wire.InitRequest, trust authorities, extra ...store.Op) (wire.Identity, error) {
	d.forming.Lock()
	defer d.forming.Unlock()
	if err := d.refuseSecond(""); err != nil {
		return wire.Identity{}, err
	}
	if err := cluster.CheckNodeName(d.cfg.Name); err != nil {
		return wire.Identity{}, err // the machine's host name may be none
	}
	ctx, cancel := context.WithTimeout(ctx, foundMax)
	defer cancel()
	// What an attempt that was cut off has left. Nobody was told of it.
	if err := errors.Join(d.services.stop(ctx, EtcdService), d.disk.drop()); err != nil {
		return wire.Identity{}, fmt.Errorf("clear what an earlier attempt left: %w", err)
	}
	if req.Address.IsValid() {
		d.cfg.Address = req.Address
	}
	c := cluster.Cluster{ID: trust.cluster.ID(), Name: req.Name, Created: time.Now().UTC(), Timings: d.cfg.Timings, Domain: d.cfg.Resolve.domain(cluster.Cluster{})}
	_, csr, err := pki.LoadOrNewKey(d.disk.identity())
	if err != nil {
		return wire.Identity{}, err
	}
	if err := d.foundStore(ctx, c, trust, csr, extra); err != nil {
		return wire.Identity{}, fmt.Errorf("form a cluster: %w", err)
	}
	cert, err := d.signOwn(trust.cluster, csr)
	if err != nil {
		return wire.Identity{}, err
	}
	d.deps.Log.Info("cluster formed", "cluster", c.ID)
	return d.enlist(c, cert, trust.cluster.CertPEM(), []string{apiAddress(d.cfg.Address)}, cluster.MemberVoter)
}

// signOwn makes this node's own certificate, with the authority at hand.
func (d *Daemon) signOwn(authority *pki.Authority, csr []byte) ([]byte, error) {
	return authority.SignNode(pki.NodeCert{
		CSR: csr, Node: d.id, Name: d.cfg.Name, Address: d.cfg.Address, Life: d.cfg.NodeCert,
	}, time.Now())
}

// foundStore starts a store of one member and writes the first records.
func (d *Daemon) foundStore(ctx context.Context, c cluster.Cluster, trust authorities, csr []byte, extra []store.Op) error {
	key, err := pki.KeyFingerprint(csr)
	if err != nil {
		return err
	}
	if err := d.disk.saveAuthorities(trust.cluster.PEM(), trust.etcd.PEM()); err != nil {
		return err
	}
	if err := d.writeEtcd(trust.etcd, etcdStart{c.ID, string(d.id) + "=" + d.peerURL(), etcd.New}); err != nil {
		return err
	}
	if err := d.services.restart(ctx, EtcdService); err != nil {
		return err
	}
	db, err := d.dialStore([]netip.Addr{d.cfg.Address})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	member, err := d.ownMember(ctx, db)
	if err != nil {
		return err
	}
	ops := append([]store.Op{
		store.PutCluster(c),
		store.PutNode(cluster.Node{ID: d.id, Name: d.cfg.Name, Joined: c.Created, Key: key}),
		store.PutName(d.cfg.Name, d.id),
		store.PutReport(report(d.id, d.config(), d.deps.Version)),
		store.PutMember(member),
	}, extra...)
	_, ok, err := db.Commit(ctx, store.Txn{If: []store.Cond{store.Absent(store.KeyCluster)}, Then: ops})
	if err == nil && !ok {
		err = cluster.Errorf(cluster.Conflict, "the store holds a cluster already")
	}
	return err
}

// ownMember returns the record of this node's own etcd member.
func (d *Daemon) ownMember(ctx context.Context, db *etcdstore.Store) (cluster.Member, error) {
	list, err := db.Membership().List(ctx)
	if err != nil {
		return cluster.Member{}, err
	}
	for _, m := range list {
		if m.Name == string(d.id) {
			return cluster.Member{Node: d.id, MemberID: m.ID, State: cluster.MemberVoter, PeerURL: m.PeerURL, Since: time.Now().UTC()}, nil
		}
	}
	return cluster.Member{}, cluster.Errorf(cluster.Internal, "etcd does not list its own member")
}

// Join makes this node a member of a token's cluster. It is refused on a node
// that is in a cluster.
func (d *Daemon) Join(ctx context.Context, req wire.JoinRequest) (wire.Identity, error) {
	token, err := pki.ParseToken(req.Token)
	if err != nil {
		return wire.Identity{}, err
	}
	return d.join(ctx, token, req.Address)
}

func (d *Daemon) join(ctx context.Context, token pki.Token, address netip.Addr) (wire.Identity, error) {
	d.forming.Lock()
	defer d.forming.Unlock()
	if err := d.refuseSecond(token.Cluster); err != nil {
		return wire.Identity{}, err
	}
	if address.IsValid() {
		d.cfg.Address = address
	}
	// The key of an attempt that was cut off is used again: it is how the
	// cluster knows that this is the node it has admitted.
	_, csr, err := pki.LoadOrNewKey(d.disk.identity())
	if err != nil {
		return wire.Identity{}, err
	}
	answer, err := client.Admit(ctx, token.Addresses, token.TLS(), func(session tls.ConnectionState) (wire.AdmitRequest, error) {
		proof, err := token.Proof(session, csr)
		return wire.AdmitRequest{
			TokenID: token.ID, Proof: proof, CSR: csr, Node: d.id, Name: d.cfg.Name, Address: d.cfg.Address,
		}, err
	})
	if err != nil {
		return wire.Identity{}, err
	}
	if answer.Cluster.ID != token.Cluster {
		return wire.Identity{}, cluster.Errorf(cluster.Denied, "the server answers for cluster %s, the token is for %s", answer.Cluster.ID, token.Cluster)
	}
	servers := answer.Servers
	if len(servers) == 0 {
		servers = token.Addresses
	}
	d.deps.Log.Info("cluster joined", "cluster", answer.Cluster.ID)
	return d.enlist(answer.Cluster, answer.Certificate, answer.CA, servers, "")
}

// enlist makes the node a member on its own disk, the identity last.
func (d *Daemon) enlist(c cluster.Cluster, cert, ca []byte, servers []string, member cluster.MemberState) (wire.Identity, error) {
	id := pki.Identity{Cluster: c.ID, Node: d.id, Name: d.cfg.Name}
	err := errors.Join(
		d.disk.save("cluster.json", c),
		d.disk.save("servers.json", servers),
		d.disk.save("member.json", member))
	if err == nil {
		err = pki.Save(d.disk.identity(), id, cert, ca)
	}
	if err != nil {
		return wire.Identity{}, fmt.Errorf("keep the node's identity: %w", err)
	}
	d.signalChanged()
	return wire.Identity{Cluster: c.ID, Node: d.id, Name: d.cfg.Name}, nil
}

// refuseSecond refuses what would put the node into a second cluster; other is
// "" for a new one.
func (d *Daemon) refuseSecond(other cluster.ID) error {
	if !pki.Exists(d.disk.identity()) {
		return nil
	}
	keeper, err := pki.Load(d.disk.identity())
	if err != nil {
		return err
	}
	return api.SecondCluster(keeper.Identity().Cluster, other)
}
