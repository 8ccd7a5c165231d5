// Package etcdtest runs real members of etcd on loopback for tests, with an
// authority of their own that ends with the test.
package etcdtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/etcd"
	"argosy/internal/pki"
	"argosy/internal/store/etcdstore"
)

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

// Cluster is a cluster of etcd, empty at first.
type Cluster struct {
	authority *pki.Authority
	members   []*Member
}

// New makes a cluster without members.
func New(t *testing.T) *Cluster {
	t.Helper()
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{authority: authority}
}

// Member is a member of etcd. Its data outlives Stop.
type Member struct {
	Config etcd.Config
	stop   context.CancelFunc
	done   chan error
}

// Found adds and starts the first member.
func (c *Cluster) Found(t *testing.T, name string) *Member {
	t.Helper()
	m := c.Prepare(t, name)
	m.Config.State = etcd.New
	m.Start(t)
	return m
}

// Prepare makes a member that is to join and does not run yet. Etcd must be
// told of it (its Config has the peer URL) before it starts.
func (c *Cluster) Prepare(t *testing.T, name string) *Member {
	t.Helper()
	cfg, err := Configure(t.TempDir(), name, c.authority)
	if err != nil {
		t.Fatal(err)
	}
	cfg.State, cfg.NoFsync = etcd.Existing, true
	m := &Member{Config: cfg}
	c.members = append(c.members, m)
	var initial []string
	for _, other := range c.members {
		initial = append(initial, other.Config.Name+"="+other.Config.AdvertisePeer)
	}
	m.Config.InitialCluster = strings.Join(initial, ",")
	return m
}

// Configure returns the configuration of a first member on loopback, after
// writing its identity to a folder.
func Configure(dir, name string, authority *pki.Authority) (etcd.Config, error) {
	cfg := etcd.Config{
		Name: name, Dir: filepath.Join(dir, "data"), Token: string(authority.ID()), State: etcd.New,
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		Started: filepath.Join(dir, "started"),
	}
	cert, key, err := sign(authority, name, time.Hour)
	for path, content := range map[string][]byte{cfg.CAFile: authority.CertPEM(), cfg.CertFile: cert, cfg.KeyFile: key} {
		err = errors.Join(err, os.WriteFile(path, content, 0o600))
	}
	peer, peerErr := freeURL()
	client, clientErr := freeURL()
	cfg.ListenPeer, cfg.AdvertisePeer, cfg.ListenClient, cfg.AdvertiseClient = peer, peer, client, client
	cfg.InitialCluster = name + "=" + peer
	return cfg, errors.Join(err, peerErr, clientErr)
}

func sign(authority *pki.Authority, name string, life time.Duration) (cert, key []byte, err error) {
	return authority.SignEtcd(cluster.NodeID(name), netip.MustParseAddr("127.0.0.1"), life, time.Now())
}

// freeURL returns a URL on a port that nobody listens on. It is none of those that the
// kernel gives to connections (from 32768 on): one of them would have it before the
// member does.
func freeURL() (string, error) {
	const first, many, tries = 10_000, 10_000, 100
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano()))) //nolint:gosec // any will do
	var listener net.Listener
	err := errors.New("no port is free")
	for i := 0; i < tries && listener == nil; i++ {
		listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+random.IntN(many))))
	}
	if err != nil {
		return "", err
	}
	return "https://" + listener.Addr().String(), listener.Close()
}

// Start starts a member and waits until it serves. It stops with the test.
func (m *Member) Start(t *testing.T) {
	t.Helper()
	ready := m.Launch(t)
	select {
	case <-ready:
	case err := <-m.done:
		t.Fatalf("member %s ended: %v", m.Config.Name, err)
	case <-t.Context().Done():
		t.Fatal("the test ended")
	}
}

// Launch starts a member; the channel is closed once it serves.
func (m *Member) Launch(t *testing.T) <-chan struct{} {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1) // the member may be launched again before this run is over
	m.stop, m.done = stop, done
	ready := make(chan struct{})
	go func() {
		done <- etcd.Run(ctx, m.Config, func() { close(ready) })
		close(done)
	}()
	t.Cleanup(func() { m.Stop(t) })
	return ready
}

// Stop stops a member and waits until it has; stopping again does nothing.
func (m *Member) Stop(t *testing.T) {
	t.Helper()
	m.stop()
	if err := m.Wait(t); err != nil {
		t.Logf("member %s: %v", m.Config.Name, err)
	}
}

// Wait waits until a member has ended and returns why.
func (m *Member) Wait(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
		t.Errorf("member %s does not end", m.Config.Name)
		return nil
	}
}

// ClientTLS is how a daemon of this cluster reaches etcd.
func (c *Cluster) ClientTLS(t *testing.T) *tls.Config {
	t.Helper()
	settings, err := ClientTLS(c.authority)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// ExpiredTLS is the same with a certificate that has expired.
func (c *Cluster) ExpiredTLS(t *testing.T) *tls.Config {
	t.Helper()
	settings, err := clientTLS(c.authority, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// ClientTLS is how a daemon reaches members with identities of an authority.
func ClientTLS(authority *pki.Authority) (*tls.Config, error) { return clientTLS(authority, time.Hour) }

func clientTLS(authority *pki.Authority, life time.Duration) (*tls.Config, error) {
	cert, key, err := sign(authority, "daemon", life)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots(authority), Certificates: []tls.Certificate{pair}}, err
}

// Roots are what vouches for the members.
func (c *Cluster) Roots() *x509.CertPool { return roots(c.authority) }

func roots(authority *pki.Authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.CertPEM())
	return pool
}

// Open opens a client of the given members; it closes with the test.
func (c *Cluster) Open(t *testing.T, members ...*Member) *etcdstore.Store {
	t.Helper()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.Config.AdvertiseClient)
	}
	s, err := etcdstore.Open(etcdstore.Config{Endpoints: endpoints, TLS: c.ClientTLS(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
