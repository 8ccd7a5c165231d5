package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"argosy/internal/cluster"
)

const (
	authorityLife = 20 * 365 * 24 * time.Hour
	// Backdate lets a node whose clock is behind accept a fresh certificate.
	Backdate = time.Hour
	// csrMax bounds a certificate request, in bytes.
	csrMax = 8 << 10
	// secretMin is the shortest shared secret that an authority is derived
	// from, in bytes. Whoever sees a certificate can try secrets at leisure.
	secretMin = 16
	// ownerMax bounds the name of a certificate's owner, in bytes.
	ownerMax = 64
)

// Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a fresh key.
func NewAuthority(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an authority's key: %w", err)
	}
	return selfSigned(key, now.Add(-Backdate), now.Add(authorityLife))
}

// AuthorityFromSecret derives an authority from a shared secret, so that all
// who have it come to the same key and the same cluster ID. The certificate's
// signature differs each time; peers therefore trust the key, not the bytes.
// The purpose keeps several authorities of one secret apart.
func AuthorityFromSecret(secret, purpose string) (*Authority, error) {
	if len(secret) < secretMin {
		return nil, cluster.Errorf(cluster.Invalid, "the shared secret has %d characters; at least %d are needed", len(secret), secretMin).
			WithHint("make one with: head -c 24 /dev/urandom | base64")
	}
	// 48 bytes reduced by the order of the curve are as good as uniform
	// (FIPS 186-5, A.2.1).
	seed, err := hkdf.Key(sha256.New, []byte(secret), []byte("argosy authority"), purpose, 48)
	if err != nil {
		return nil, fmt.Errorf("derive an authority's key: %w", err)
	}
	order := elliptic.P256().Params().N
	scalar := new(big.Int).SetBytes(seed)
	scalar.Mod(scalar, new(big.Int).Sub(order, big.NewInt(1))).Add(scalar, big.NewInt(1))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, fmt.Errorf("derive an authority's key: %w", err)
	}
	// Fixed dates, because the peers of a static list start at the same instant
	// with clocks that may not be set yet.
	return selfSigned(key, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC))
}

func selfSigned(key *ecdsa.PrivateKey, from, to time.Time) (*Authority, error) {
	digest, err := keyDigest(key.Public())
	if err != nil {
		return nil, err
	}
	subject := pkix.Name{Organization: []string{"Argosy"}, CommonName: "cluster " + string(clusterID(digest))}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(digest[:16]), Subject: subject, Issuer: subject,
		NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: digest[:20],
	}, &x509.Certificate{Subject: subject}, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make an authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, nil
}

// ParseAuthority reads what PEM returned.
func ParseAuthority(text []byte) (*Authority, error) {
	certBlock, rest := pem.Decode(text)
	keyBlock, _ := pem.Decode(rest)
	if certBlock == nil || keyBlock == nil {
		return nil, cluster.Errorf(cluster.Invalid, "an authority is a certificate and a key in PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "an authority's certificate: %w", err)
	}
	key, err := parseKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, cluster.Errorf(cluster.Invalid, "an authority's key does not belong to its certificate")
	}
	return &Authority{cert, key}, nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "a private key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, cluster.Errorf(cluster.Invalid, "a private key of type %T; want ECDSA", parsed)
	}
	return key, nil
}

// CertPEM returns the authority's certificate, which is public.
func (a *Authority) CertPEM() []byte { return encodePEM("CERTIFICATE", a.cert.Raw) }

// PEM returns certificate and private key.
func (a *Authority) PEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		panic("pki: encode a P-256 key: " + err.Error()) // has no failing case
	}
	return append(a.CertPEM(), encodePEM("PRIVATE KEY", der)...)
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// ID returns the cluster ID that this authority stands for.
func (a *Authority) ID() cluster.ID {
	id, err := AuthorityID(a.cert)
	if err != nil {
		panic("pki: an authority's own key: " + err.Error()) // was encoded before
	}
	return id
}

// Digest returns the hex SHA-256 of the authority's public key (SPKI).
func (a *Authority) Digest() string {
	digest, err := keyDigest(a.cert.PublicKey)
	if err != nil {
		panic("pki: an authority's own key: " + err.Error())
	}
	return hex.EncodeToString(digest[:])
}

// AuthorityID returns the cluster ID that a CA certificate stands for.
func AuthorityID(cert *x509.Certificate) (cluster.ID, error) {
	digest, err := keyDigest(cert.PublicKey)
	if err != nil {
		return "", err
	}
	return clusterID(digest), nil
}

// clusterID is the first 130 bits of a key's digest, in base32.
func clusterID(digest [sha256.Size]byte) cluster.ID {
	return cluster.ID(strings.ToLower(base32.StdEncoding.EncodeToString(digest[:]))[:26])
}

func keyDigest(public crypto.PublicKey) (digest [sha256.Size]byte, err error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return digest, fmt.Errorf("encode a public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// KeyFingerprint returns the hex SHA-256 of the public key in a request.
func KeyFingerprint(csr []byte) (string, error) {
	request, err := parseCSR(csr)
	if err != nil {
		return "", err
	}
	digest, err := keyDigest(request.PublicKey)
	return hex.EncodeToString(digest[:]), err
}

// parseCSR checks a certificate request. Only its public key is of interest.
func parseCSR(csr []byte) (*x509.CertificateRequest, error) {
	if len(csr) > csrMax {
		return nil, cluster.Errorf(cluster.Invalid, "a certificate request of %d bytes; the limit is %d", len(csr), csrMax)
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "certificate request: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "certificate request: its signature: %w", err)
	}
	key, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, cluster.Errorf(cluster.Invalid, "certificate request: its key is no P-256 key")
	}
	return request, nil
}

// NodeCert is what a node's certificate says, all of it known to the server.
type NodeCert struct {
	CSR     []byte // only its public key is taken
	Node    cluster.NodeID
	Name    string
	Address netip.Addr
	Life    time.Duration
}

// SignNode issues the certificate of a node, as PEM.
func (a *Authority) SignNode(req NodeCert, now time.Time) ([]byte, error) {
	request, err := parseCSR(req.CSR)
	if err != nil {
		return nil, err
	}
	if err := checkOwner("node", string(req.Node)); err != nil {
		return nil, err
	}
	if !req.Address.IsValid() {
		return nil, cluster.Errorf(cluster.Invalid, "certificate of node %s: it has no address", req.Node)
	}
	return a.sign(request.PublicKey, &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Argosy"}, CommonName: "node " + req.Name},
		URIs:        []*url.URL{ownerURI(a.ID(), "node", string(req.Node))},
		DNSNames:    []string{string(req.Node)},
		IPAddresses: []net.IP{req.Address.AsSlice()},
		NotBefore:   now.Add(-Backdate), NotAfter: now.Add(req.Life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// SignOperator issues the certificate of a person or program, as PEM.
func (a *Authority) SignOperator(csr []byte, name string, life time.Duration, now time.Time) ([]byte, error) {
	request, err := parseCSR(csr)
	if err != nil {
		return nil, err
	}
	if err := checkOwner("operator", name); err != nil {
		return nil, err
	}
	return a.sign(request.PublicKey, &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Argosy"}, CommonName: "operator " + name},
		URIs:      []*url.URL{ownerURI(a.ID(), "operator", name)},
		NotBefore: now.Add(-Backdate), NotAfter: now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// SignEtcd issues the certificate of an etcd member, for its ports and for the
// daemon beside it, with a fresh key; both as PEM. Only etcd's own authority
// is asked for these.
func (a *Authority) SignEtcd(node cluster.NodeID, address netip.Addr, life time.Duration, now time.Time) (cert, key []byte, err error) {
	if err := checkOwner("etcd member", string(node)); err != nil {
		return nil, nil, err
	}
	if !address.IsValid() {
		return nil, nil, cluster.Errorf(cluster.Invalid, "certificate of etcd member %s: it has no address", node)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert, err = a.sign(private.Public(), &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Argosy"}, CommonName: "etcd " + string(node)},
		DNSNames:    []string{string(node), "localhost"},
		IPAddresses: []net.IP{address.AsSlice(), net.IPv4(127, 0, 0, 1)},
		NotBefore:   now.Add(-Backdate), NotAfter: now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return cert, encodePEM("PRIVATE KEY", der), err
}

// sign completes and signs a certificate.
func (a *Authority) sign(public crypto.PublicKey, cert *x509.Certificate) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	cert.SerialNumber = serial
	cert.BasicConstraintsValid = true // and IsCA is false
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return encodePEM("CERTIFICATE", der), nil
}

// checkOwner refuses names that would read as something else in the URI of a
// certificate or in a log. A joining node brings its own ID.
func checkOwner(kind, name string) error {
	if name == "" || len(name) > ownerMax {
		return cluster.Errorf(cluster.Invalid, "certificate of %s %.40q: the name must have 1 to %d characters", kind, name, ownerMax)
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("-_.@", r) {
			return cluster.Errorf(cluster.Invalid, "certificate of %s %q: %q is not allowed; use letters, digits and -_.@", kind, name, r)
		}
	}
	return nil
}

func ownerURI(id cluster.ID, kind, name string) *url.URL {
	return &url.URL{Scheme: "argosy", Host: string(id), Path: "/" + kind + "/" + name}
}
