package pki

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// CallerKind says what kind of owner an identity has.
type CallerKind string

// The kinds of caller.
const (
	Anonymous CallerKind = "anonymous" // no certificate
	Node      CallerKind = "node"
	Operator  CallerKind = "operator"
	Local     CallerKind = "local" // root on the node itself, by the unix socket
)

// Caller is who is at the other end of a connection.
type Caller struct {
	Kind CallerKind
	Node cluster.NodeID // of a node
	Name string         // of an operator
}

// String names the caller for logs.
func (c Caller) String() string {
	switch c.Kind {
	case Node:
		return "node " + string(c.Node)
	case Operator:
		return "operator " + c.Name
	case Anonymous, Local:
	}
	return string(c.Kind)
}

// CallerOf returns who is at the other end of a connection whose certificates
// were verified when it was made.
func CallerOf(state tls.ConnectionState) (Caller, error) {
	if len(state.PeerCertificates) == 0 {
		return Caller{Kind: Anonymous}, nil
	}
	caller, _, err := owner(state.PeerCertificates[0])
	return caller, err
}

// owner reads the owner's URI of a certificate.
func owner(cert *x509.Certificate) (Caller, cluster.ID, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "argosy" {
		return Caller{}, "", cluster.Errorf(cluster.Denied, "the certificate of %q names no owner in a cluster", cert.Subject.CommonName)
	}
	uri := cert.URIs[0]
	kind, name, _ := strings.Cut(strings.TrimPrefix(uri.Path, "/"), "/")
	id := cluster.ID(uri.Host)
	switch CallerKind(kind) {
	case Node:
		return Caller{Kind: Node, Node: cluster.NodeID(name)}, id, nil
	case Operator:
		return Caller{Kind: Operator, Name: name}, id, nil
	case Anonymous, Local:
	}
	return Caller{}, id, cluster.Errorf(cluster.Denied, "a certificate of kind %q is unknown here", kind)
}

// verifyPeer checks the certificate of the other side against this cluster's
// authority. The error names both clusters if it belongs to another one, and
// says so if it has expired: a bare "bad certificate" helps nobody.
func verifyPeer(cert *x509.Certificate, authority *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	ours, err := AuthorityID(authority)
	if err != nil {
		return err
	}
	_, theirs, err := owner(cert)
	if err != nil {
		return err
	}
	if theirs != ours {
		return cluster.Errorf(cluster.Denied, "the other side belongs to cluster %s, this one is cluster %s", theirs, ours)
	}
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return cluster.Errorf(cluster.Denied, "the certificate of %q is valid from %s to %s, and now is %s", cert.Subject.CommonName,
			cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)).
			WithHint("check the clocks; a node that was off for less than 90 days renews its certificate by itself, later it must join again after: argosy reset")
	}
	// The pool holds our key under whatever bytes the authority's certificate
	// has here, so one that was signed under other bytes of it verifies too.
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return cluster.Errorf(cluster.Denied, "the certificate of %q: %w", cert.Subject.CommonName, err)
	}
	return nil
}

// baseTLS is what all our connections have in common.
func baseTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}
}
