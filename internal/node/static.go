package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// Forming a cluster from a static list: every peer has the same list and the
// same secret, so every peer derives the same authorities and the same cluster
// ID. The first of the list founds the cluster, once more than half of the
// list answers and nobody is in it yet; the others join with a token that the
// secret stands for. A founder whose disk was wiped finds the others formed,
// and joins them.

// askEvery is how often the peers are asked.
const askEvery = 500 * time.Millisecond

// secretAuthorities derives the authorities from the shared secret.
func secretAuthorities(secret string) (a authorities, err error) {
	if a.cluster, err = pki.AuthorityFromSecret(secret, "cluster"); err != nil {
		return a, err
	}
	a.etcd, err = pki.AuthorityFromSecret(secret, "etcd")
	return a, err
}

// static forms the cluster of the list, and returns when this node is in it.
func (d *Daemon) static(ctx context.Context) error {
	trust, err := secretAuthorities(d.cfg.ClusterSecret)
	if err != nil {
		return err
	}
	if !slices.Contains(d.cfg.Peers, d.cfg.Address) {
		return cluster.Errorf(cluster.Invalid, "Peers= does not hold this node's own address %s", d.cfg.Address).
			WithHint("add it, or set Address= to the one that is meant")
	}
	keeper, err := d.provisional(trust.cluster)
	if err != nil {
		return err
	}
	stop, err := d.listenUnformed(keeper)
	if err != nil {
		return err
	}
	defer stop()

	ctx, done := context.WithCancel(ctx)
	defer done()
	err = loop.New("static list", d.deps.Log, func(ctx context.Context) (time.Duration, error) {
		if err := d.extend(keeper, trust.cluster); err != nil {
			return askEvery, err
		}
		formed, err := d.staticRound(ctx, trust, keeper.ClientTLS())
		if formed {
			done()
		}
		return askEvery, err
	}).Run(ctx)
	if pki.Exists(d.disk.identity()) {
		return os.RemoveAll(d.disk.provisional())
	}
	return err
}

// provisional is an identity that the node gives itself, to talk to its peers
// until it is in the cluster. Whoever has the secret could do as much.
func (d *Daemon) provisional(authority *pki.Authority) (*pki.Keeper, error) {
	dir := d.disk.provisional()
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		return nil, err
	}
	cert, err := d.signOwn(authority, csr)
	if err != nil {
		return nil, err
	}
	id := pki.Identity{Cluster: authority.ID(), Node: d.id, Name: d.cfg.Name}
	if err := pki.Save(dir, id, cert, authority.CertPEM()); err != nil {
		return nil, err
	}
	return pki.Load(dir)
}

// extend renews a provisional identity in time: the peers may be long in coming.
func (d *Daemon) extend(keeper *pki.Keeper, authority *pki.Authority) error {
	if time.Now().Before(pki.RenewAt(keeper.Leaf(), 0)) {
		return nil
	}
	csr, err := keeper.CSR()
	if err != nil {
		return err
	}
	cert, err := d.signOwn(authority, csr)
	if err != nil {
		return err
	}
	return keeper.Replace(cert)
}

// listenUnformed lets the peers ask whether this node is in a cluster.
func (d *Daemon) listenUnformed(keeper *pki.Keeper) (stop func(), err error) {
	listener, err := d.listenTCP()
	if err != nil {
		return nil, err
	}
	server := api.NewHTTPServer(api.NewUnformedRemote(d.unformedDeps()), d.deps.Log)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(tls.NewListener(listener, keeper.ServerTLS())) // ends with Close
	}()
	return func() { _ = server.Close(); <-served }, nil
}

// staticRound asks every peer once, and founds or joins if it is time.
func (d *Daemon) staticRound(ctx context.Context, trust authorities, settings *tls.Config) (formed bool, err error) {
	answering := 1         // this node
	var inCluster []string // addresses; not each of them need be a server
	for _, peer := range d.cfg.Peers {
		if peer == d.cfg.Address {
			continue
		}
		c := client.New(client.Config{Addresses: []string{apiAddress(peer)}, TLS: settings})
		status, err := c.Status(ctx)
		c.Close()
		switch {
		// A cluster answers nothing to a node that it does not know, but that.
		case err == nil && status.Formed, cluster.KindOf(err) == cluster.Denied:
			inCluster = append(inCluster, apiAddress(peer))
		case err == nil:
			answering++
		}
	}
	if len(inCluster) > 0 {
		token := pki.StaticToken(trust.cluster, d.cfg.ClusterSecret, inCluster)
		if _, err := d.join(ctx, token, d.cfg.Address); err != nil {
			return false, fmt.Errorf("join the cluster of %s: %w", strings.Join(inCluster, ", "), err)
		}
		return true, nil
	}
	if need := len(d.cfg.Peers)/2 + 1; answering < need {
		d.setWaiting(fmt.Sprintf("%d of %d peers answer; forming a cluster takes %d", answering, len(d.cfg.Peers), need))
		return false, nil
	}
	if d.cfg.Peers[0] != d.cfg.Address {
		d.setWaiting(fmt.Sprintf("waiting for %s, the first of Peers=, to form the cluster", d.cfg.Peers[0]))
		return false, nil
	}
	token := pki.StaticToken(trust.cluster, d.cfg.ClusterSecret, nil)
	_, err = d.found(ctx, wire.InitRequest{Address: d.cfg.Address}, trust, store.PutToken(cluster.Token{
		ID: token.ID, Digest: token.Digest(), Created: time.Now().UTC(),
		Expires: time.Now().UTC().AddDate(100, 0, 0), Uses: math.MaxInt32,
	}))
	return err == nil, err
}
