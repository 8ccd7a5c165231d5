package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/etcd"
	"argosy/internal/loop"
	"argosy/internal/pki"
	"argosy/internal/store/etcdstore"
	"argosy/internal/wholefile"
)

// The files that etcd and the daemon beside it share.
const (
	etcdCert = "etcd-cert.pem"
	etcdKey  = "etcd-key.pem"
	etcdCA   = "etcd-ca.pem"
)

func (d *Daemon) peerURL() string   { return etcdURL(d.cfg.Address, wire.PortEtcdPeer) }
func (d *Daemon) clientURL() string { return etcdURL(d.cfg.Address, wire.PortEtcdClient) }

func etcdURL(address netip.Addr, port int) string {
	return "https://" + net.JoinHostPort(address.String(), strconv.Itoa(port))
}

func apiAddress(address netip.Addr) string {
	return net.JoinHostPort(address.String(), strconv.Itoa(wire.PortAPI))
}

// etcdStart is how a member starts for the first time.
type etcdStart struct {
	cluster cluster.ID
	initial string // name=url,… of all members, this one included
	state   etcd.State
}

// writeEtcd writes what etcd needs to start: certificates, then the
// configuration, whose presence is what makes the service start at boot.
func (d *Daemon) writeEtcd(authority *pki.Authority, start etcdStart) error {
	if err := d.writeEtcdCertificates(authority); err != nil {
		return err
	}
	return d.disk.save("etcd.json", etcd.Config{
		Name: string(d.id), Dir: d.disk.path("etcd"),
		ListenPeer: d.peerURL(), AdvertisePeer: d.peerURL(),
		ListenClient: d.clientURL(), AdvertiseClient: d.clientURL(),
		InitialCluster: start.initial, State: start.state, Token: string(start.cluster),
		CertFile: d.disk.path(etcdCert), KeyFile: d.disk.path(etcdKey), CAFile: d.disk.path(etcdCA),
		Started: d.disk.path("etcd.started"),
	})
}

// writeEtcdCertificates signs a fresh certificate for etcd and for this
// daemon as its client. Both read the files anew for each connection.
func (d *Daemon) writeEtcdCertificates(authority *pki.Authority) error {
	cert, key, err := authority.SignEtcd(d.id, d.cfg.Address, d.cfg.NodeCert, time.Now())
	if err != nil {
		return err
	}
	// The key goes first: etcd, reading in between, fails that one handshake
	// instead of serving with a mismatch.
	return errors.Join(
		wholefile.Write(d.disk.path(etcdCA), authority.CertPEM(), 0o600),
		wholefile.Write(d.disk.path(etcdKey), key, 0o400),
		wholefile.Write(d.disk.path(etcdCert), cert, 0o600))
}

// rotateEtcdCertificates signs them anew well before they expire, until ctx
// ends.
func (d *Daemon) rotateEtcdCertificates(ctx context.Context, authority *pki.Authority) error {
	return loop.New("etcd certificates", d.deps.Log, func(context.Context) (time.Duration, error) {
		pair, err := d.etcdPair()
		if err != nil {
			return 0, err
		}
		if wait := time.Until(pki.RenewAt(pair.Leaf, 0)); wait > 0 {
			return min(wait, time.Hour), nil // timers stand still during suspend
		}
		d.deps.Log.Info("renewing the certificates of etcd")
		return time.Second, d.writeEtcdCertificates(authority)
	}).Run(ctx)
}

func (d *Daemon) etcdPair() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(d.disk.path(etcdCert), d.disk.path(etcdKey))
	if err != nil {
		return nil, fmt.Errorf("the certificates of etcd: %w", err)
	}
	return &pair, nil
}

// dialStore opens the store on some servers.
func (d *Daemon) dialStore(servers []netip.Addr) (*etcdstore.Store, error) {
	text, err := os.ReadFile(d.disk.path(etcdCA))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, cluster.Errorf(cluster.Internal, "%s holds no certificate", d.disk.path(etcdCA))
	}
	var endpoints []string
	for _, address := range servers {
		endpoints = append(endpoints, etcdURL(address, wire.PortEtcdClient))
	}
	return etcdstore.Open(etcdstore.Config{Endpoints: endpoints, TLS: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return d.etcdPair() },
	}})
}
