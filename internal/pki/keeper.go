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
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
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
// dir, or a new one: a retry must come with the same key to be known.
func LoadOrNewKey(dir string) (*ecdsa.PrivateKey, []byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, keyFile))
	block, _ := pem.Decode(text)
	if err == nil && block != nil {
		if key, err := parseKey(block.Bytes); err == nil {
			csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
			return key, csr, err
		}
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
	return writeFile(filepath.Join(dir, keyFile), encodePEM("PRIVATE KEY", der), 0o400)
}

// Exists reports whether dir holds an identity.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, identityFile))
	return err == nil
}

// Save makes the key in dir (see LoadOrNewKey) an identity.
func Save(dir string, id Identity, certPEM, caPEM []byte) error {
	text, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(dir, certFile), certPEM, 0o600),
		writeFile(filepath.Join(dir, caFile), caPEM, 0o600),
		writeFile(filepath.Join(dir, identityFile), append(text, '\n'), 0o600))
}

// Load reads the identity in dir and checks that its parts belong together.
func Load(dir string) (*Keeper, error) {
	damaged := func(err error) error {
		return cluster.Errorf(cluster.Internal, "the identity in %s is damaged: %w", dir, err).
			WithHint("run argosy reset on this node, then join again")
	}
	var files [4][]byte
	for i, name := range []string{identityFile, keyFile, certFile, caFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, damaged(err)
		}
		files[i] = text
	}
	k := &Keeper{dir: dir}
	if err := json.Unmarshal(files[0], &k.id); err != nil {
		return nil, damaged(err)
	}
	block, _ := pem.Decode(files[1])
	if block == nil {
		return nil, damaged(errors.New("the key is no PEM"))
	}
	var err error
	if k.key, err = parseKey(block.Bytes); err != nil {
		return nil, damaged(err)
	}
	if k.ca, err = parseCert(files[3]); err != nil {
		return nil, damaged(err)
	}
	if id, err := AuthorityID(k.ca); err != nil || id != k.id.Cluster {
		return nil, damaged(fmt.Errorf("its authority is that of cluster %s, not %s", id, k.id.Cluster))
	}
	if err := k.use(files[2]); err != nil {
		return nil, damaged(err)
	}
	return k, nil
}

func parseCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, cluster.Errorf(cluster.Invalid, "a certificate that is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// use makes a certificate the current one, if it belongs to the key.
func (k *Keeper) use(certPEM []byte) error {
	cert, err := parseCert(certPEM)
	if err != nil {
		return err
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

// CAPEM returns the certificate of the cluster's authority.
func (k *Keeper) CAPEM() []byte { return encodePEM("CERTIFICATE", k.ca.Raw) }

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

// ClientTLS returns the settings for calling other nodes of the cluster.
func (k *Keeper) ClientTLS() *tls.Config {
	cfg := baseTLS()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.current(), nil }
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
	if err := k.use(certPEM); err != nil {
		return err
	}
	return writeFile(filepath.Join(k.dir, certFile), certPEM, 0o600)
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

// Renewer gets a new certificate for the node's key.
type Renewer interface {
	RenewCertificate(ctx context.Context, csr []byte) (certPEM []byte, err error)
}

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
			return wait, nil
		}
		csr, err := k.CSR()
		if err != nil {
			return 0, err
		}
		cert, err := renewer.RenewCertificate(ctx, csr)
		if err != nil {
			return 0, fmt.Errorf("renew the certificate that expires at %s: %w", k.Leaf().NotAfter.UTC().Format(time.RFC3339), err)
		}
		if err := k.Replace(cert); err != nil {
			return 0, err
		}
		log.Info("certificate renewed", "expires", k.Leaf().NotAfter)
		return time.Until(RenewAt(k.Leaf(), seed)), nil
	}).Run(ctx)
}

// writeFile replaces a file whole or not at all, and durably.
func writeFile(path string, text []byte, mode os.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // is gone after the rename
	_, err = temp.Write(text)
	if err == nil {
		err = errors.Join(temp.Chmod(mode), temp.Sync())
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temp.Name(), path)
}
