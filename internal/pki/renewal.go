package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"time"

	"argosy/internal/cluster"
)

// expiredMax is how long after its certificate expired a node may still renew
// it: a machine that was switched off for a season comes back by itself, one
// that was sold does not.
const expiredMax = 90 * 24 * time.Hour

// ExpiredOwner returns the node that may have an expired certificate renewed by
// a request, though it calls without an identity: the certificate is a node's,
// was signed by this authority, expired no longer than 90 days ago, and belongs
// to the key that signed the request. Whoever repeats somebody else's request
// gets a certificate for a key that he has not.
//
// It is for the server to see that the node was not removed meanwhile, and to
// take name and address from its records.
func (a *Authority) ExpiredOwner(certPEM, csr []byte, now time.Time) (cluster.NodeID, error) {
	if len(certPEM) > csrMax {
		return "", cluster.Errorf(cluster.Invalid, "a certificate of %d bytes; the limit is %d", len(certPEM), csrMax)
	}
	cert, err := parseCert(certPEM)
	if err != nil {
		return "", cluster.Errorf(cluster.Invalid, "the expired certificate: %v", err)
	}
	request, err := parseCSR(csr)
	if err != nil {
		return "", err
	}
	// A valid one is verified as of now, so that it counts as well: clocks differ.
	at := now
	if now.After(cert.NotAfter) {
		at = cert.NotAfter
	}
	if err := verifyPeer(cert, a.cert, x509.ExtKeyUsageClientAuth, at); err != nil {
		return "", err
	}
	caller, _, err := owner(cert)
	if err != nil {
		return "", err
	}
	key, ok := request.PublicKey.(*ecdsa.PublicKey)
	switch {
	case caller.Kind != Node:
		return "", cluster.Errorf(cluster.Denied, "an expired certificate of %s cannot be renewed", caller).
			WithHint("ask a server's operator for a new one")
	case now.Sub(cert.NotAfter) > expiredMax:
		return "", cluster.Errorf(cluster.Denied, "the certificate of %s expired at %s, more than 90 days ago", caller, cert.NotAfter.UTC().Format(time.RFC3339)).
			WithHint("run argosy reset on the node, then join again")
	case !ok || !key.Equal(cert.PublicKey):
		return "", cluster.Errorf(cluster.Denied, "the request was not signed with the key of the certificate of %s", caller)
	}
	return caller.Node, nil
}
