package pki

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"argosy/internal/cluster"
)

// OperatorTLS returns the settings for calling the servers of a cluster with a
// certificate and key that the cluster's authority ca signed, all PEM. Servers
// are known by that authority, not by host names.
func OperatorTLS(cert, key, ca []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "client certificate: %w", err)
	}
	authority, err := parseCert(ca)
	if err != nil {
		return nil, err
	}
	cfg := baseTLS()
	cfg.Certificates = []tls.Certificate{pair}
	return verifyServer(cfg, func(leaf *x509.Certificate, _ []*x509.Certificate) error {
		return verifyPeer(leaf, authority, x509.ExtKeyUsageServerAuth, time.Now())
	}), nil
}
