package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/wholefile"
)

// Identity is who a node is, as its disk tells it.
type Identity struct {
	Cluster cluster.ID     `json:"cluster"`
	Node    cluster.NodeID `json:"node"`
	Name    string         `json:"name"`
}

// The files of an identity. identity.json is written last and removed first: a
// folder without it is no identity.
const (
	identityFile = "identity.json"
	keyFile      = "node.key"
	certFile     = "node.pem"
	caFile       = "ca.pem"
)

// Keeper holds a node's identity and gives out TLS settings that always use
// the newest certificate. It is safe for concurrent use.
type Keeper struct {
	dir string
	id  Identity
	key *ecdsa.PrivateKey
	ca  *x509.Certificate

	mu   sync.Mutex
	cert *tls.Certificate
}

// NewKey makes the key of a node that is about to join, and its request.
func NewKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	return key, csr, err
}

// LoadOrNewKey returns the key that an earlier attempt to join has left in
// dir, or a new one: a retry must come with the same key to be known. A key that
// is there but cannot be read is never replaced, since it may be an identity's.
func LoadOrNewKey(dir string) (*ecdsa.PrivateKey, []byte, error) {
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	if err == nil {
		key, err := keyFromPEM(text)
		if err != nil {
			return nil, nil, damaged(dir, fmt.Errorf("%s: %w", keyFile, err))
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		return key, csr, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	key, csr, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	return key, csr, saveKey(dir, key)
}

func saveKey(dir string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return wholefile.Write(filepath.Join(dir, keyFile), encodePEM("PRIVATE KEY", der), 0o400)
}

// Exists reports whether dir holds an identity.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, identityFile))
	return err == nil
}

// Save makes the key in dir (see LoadOrNewKey) an identity. An attempt that
// fails leaves no identity: identity.json comes last, and only after the rest.
func Save(dir string, id Identity, certPEM, caPEM []byte) error {
	text, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		text []byte
	}{{certFile, certPEM}, {caFile, caPEM}, {identityFile, append(text, '\n')}} {
		if err := wholefile.Write(filepath.Join(dir, file.name), file.text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the identity in dir with its key. identity.json goes first, so
// that a removal that is cut short leaves no identity rather than a damaged one.
func Remove(dir string) error {
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

// damaged is the error about an identity whose parts are not all there or do
// not belong together. Making a new one in its place is left to a person: the
// node may hold data of its cluster.
func damaged(dir string, err error) error {
	return cluster.Errorf(cluster.Internal, "the identity in %s is damaged: %w", dir, err).
		WithHint("run argosy reset on this node, then join again")
}

// Load reads the identity in dir and checks that its parts belong together. An
// expired certificate is no damage: it can be renewed. The error is NotFound if
// there is no identity.
func Load(dir string) (*Keeper, error) {
	if !Exists(dir) {
		return nil, cluster.Errorf(cluster.NotFound, "no identity in %s: this node is in no cluster", dir).
			WithHint("argosy init makes a cluster, argosy join TOKEN enters one")
	}
	k, err := load(dir)
	if err != nil {
		return nil, damaged(dir, err)
	}
	return k, nil
}

func load(dir string) (*Keeper, error) {
	var files [4][]byte
	for i, name := range []string{identityFile, keyFile, certFile, caFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		files[i] = text
	}
	k := &Keeper{dir: dir}
	var err error
	if k.id, err = parseIdentity(files[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", identityFile, err)
	}
	if k.key, err = keyFromPEM(files[1]); err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	if k.ca, err = parseCert(files[3]); err != nil {
		return nil, fmt.Errorf("%s: %w", caFile, err)
	}
	if id, err := AuthorityID(k.ca); err != nil || id != k.id.Cluster {
		return nil, fmt.Errorf("its authority is that of cluster %s, not %s", id, k.id.Cluster)
	}
	cert, err := parseCert(files[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	// At a time when it was valid, since now it may have expired.
	if err := verifyPeer(cert, k.ca, x509.ExtKeyUsageClientAuth, cert.NotAfter); err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	return k, k.use(cert)
}

// parseIdentity reads identity.json.
func parseIdentity(text []byte) (Identity, error) {
	var id Identity
	if err := json.Unmarshal(text, &id); err != nil {
		return Identity{}, err
	}
	if id.Cluster == "" || id.Node == "" {
		return Identity{}, errors.New("it names no cluster or no node")
	}
	return id, nil
}

func keyFromPEM(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, cluster.Errorf(cluster.Invalid, "a key that is no PEM")
	}
	return parseKey(block.Bytes)
}

func parseCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, cluster.Errorf(cluster.Invalid, "a certificate that is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// use makes a certificate the current one, if it is the node's own.
func (k *Keeper) use(cert *x509.Certificate) error {
	caller, _, err := owner(cert)
	if err != nil {
		return err
	}
	if caller.Kind == Node && caller.Node != k.id.Node || caller.Kind == Operator && caller.Name != k.id.Name {
		return cluster.Errorf(cluster.Invalid, "the certificate is that of %s, not of node %s", caller, k.id.Node)
	}
	if !k.key.PublicKey.Equal(cert.PublicKey) {
		return cluster.Errorf(cluster.Invalid, "the certificate does not belong to the node's key")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// The authority is sent too, for those who join and know only its digest.
	k.cert = &tls.Certificate{Certificate: [][]byte{cert.Raw, k.ca.Raw}, PrivateKey: k.key, Leaf: cert}
	return nil
}

// Identity returns who the node is.
func (k *Keeper) Identity() Identity { return k.id }

// Leaf returns the current certificate.
func (k *Keeper) Leaf() *x509.Certificate { return k.current().Leaf }

// Expires returns when the current certificate does.
func (k *Keeper) Expires() time.Time { return k.Leaf().NotAfter }

func (k *Keeper) current() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cert
}

// ServerTLS returns the settings of a listener: TLS 1.3, callers with a
// certificate of this cluster or none at all. What a caller without one may do
// is for the API to say.
func (k *Keeper) ServerTLS() *tls.Config {
	cfg := baseTLS()
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current(), nil }
	cfg.ClientAuth = tls.RequestClientCert
	// Tickets would let a caller in again after its certificate expired.
	cfg.SessionTicketsDisabled = true
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		return verifyPeer(state.PeerCertificates[0], k.ca, x509.ExtKeyUsageClientAuth, time.Now())
	}
	return cfg
}

// ClientTLS returns the settings for calling other nodes of the cluster. While
// the node's own certificate is expired it calls without one.
func (k *Keeper) ClientTLS() *tls.Config {
	cfg := baseTLS()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert := k.current()
		if time.Now().After(cert.Leaf.NotAfter) {
			// It would be refused. Without one the node can still ask for a
			// renewal (Authority.ExpiredOwner).
			return &tls.Certificate{}, nil
		}
		return cert, nil
	}
	return verifyServer(cfg, func(leaf *x509.Certificate, _ []*x509.Certificate) error {
		return verifyPeer(leaf, k.ca, x509.ExtKeyUsageServerAuth, time.Now())
	})
}

// verifyServer replaces Go's verification, which goes by host names, by ours,
// which goes by identity: nodes are called by address.
func verifyServer(cfg *tls.Config, verify func(leaf *x509.Certificate, chain []*x509.Certificate) error) *tls.Config {
	cfg.InsecureSkipVerify = true // VerifyConnection takes its place
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return cluster.Errorf(cluster.Denied, "the server shows no certificate")
		}
		caller, _, err := owner(state.PeerCertificates[0])
		if err != nil {
			return err
		}
		if caller.Kind != Node {
			return cluster.Errorf(cluster.Denied, "the server is %s, not a node", caller)
		}
		return verify(state.PeerCertificates[0], state.PeerCertificates[1:])
	}
	return cfg
}

// CSR returns a request for the node's own key.
func (k *Keeper) CSR() ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.key)
}

// Replace makes a new certificate the current one, on disk and for every
// connection from now on.
func (k *Keeper) Replace(certPEM []byte) error {
	cert, err := parseCert(certPEM)
	if err != nil {
		return err
	}
	if err := verifyPeer(cert, k.ca, x509.ExtKeyUsageServerAuth, time.Now()); err != nil {
		return err
	}
	if err := k.use(cert); err != nil {
		return err
	}
	return wholefile.Write(filepath.Join(k.dir, certFile), certPEM, 0o600)
}

// RenewAt returns when a certificate is to be renewed: at a point between 50
// and 80 % of its life that is the node's own, so that nodes that joined
// together do not all ask at once. Lives are counted without the backdating.
func RenewAt(cert *x509.Certificate, seed uint64) time.Time {
	issued := cert.NotBefore.Add(Backdate)
	life := cert.NotAfter.Sub(issued)
	part := 0.5 + 0.3*float64(seed%1000)/1000
	return issued.Add(time.Duration(part * float64(life)))
}

// Renewer gets a new certificate for the node's key. It is told the current one
// (PEM) too, which speaks for the node if it has expired.
type Renewer interface {
	RenewCertificate(ctx context.Context, csr, current []byte) (certPEM []byte, err error)
}

// lookEvery is the longest that Rotate waits before it looks at the calendar
// again: timers stand still while a machine is suspended.
const lookEvery = time.Hour

// Rotate renews the keeper's certificate before it expires, until ctx ends,
// and returns ctx's error. An attempt that goes wrong is repeated, with time
// to spare: at the latest a fifth of the life is left.
func Rotate(ctx context.Context, k *Keeper, renewer Renewer, log *slog.Logger) error {
	seed := uint64(0)
	for _, b := range []byte(k.id.Node) {
		seed = seed*31 + uint64(b)
	}
	return loop.New("certificate", log, func(ctx context.Context) (time.Duration, error) {
		if wait := time.Until(RenewAt(k.Leaf(), seed)); wait > 0 {
			return min(wait, lookEvery), nil
		}
		csr, err := k.CSR()
		if err != nil {
			return 0, err
		}
		cert, err := renewer.RenewCertificate(ctx, csr, encodePEM("CERTIFICATE", k.Leaf().Raw))
		if err != nil {
			return 0, fmt.Errorf("renew the certificate that expires at %s: %w", k.Leaf().NotAfter.UTC().Format(time.RFC3339), err)
		}
		if err := k.Replace(cert); err != nil {
			return 0, err
		}
		log.Info("certificate renewed", "expires", k.Leaf().NotAfter)
		// At least a moment, however short the life that the server gave.
		return max(time.Second, min(time.Until(RenewAt(k.Leaf(), seed)), lookEvery)), nil
	}).Run(ctx)
}
