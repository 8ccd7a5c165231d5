package pki_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"argosy/internal/pki"
)

// operator returns the certificate and key of an operator of a cluster, PEM.
func operator(t *testing.T, a *pki.Authority) (cert, key []byte) {
	t.Helper()
	secret, csr, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = a.SignOperator(csr, "alice", day, time.Now()); err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestAnOperatorCallsTheServersOfItsClusterAndNoOthers(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	cert, key := operator(t, ours)
	settings, err := pki.OperatorTLS(cert, key, ours.CertPEM())
	if err != nil {
		t.Fatal(err)
	}
	seen, _, serverErr, clientErr := handshake(t, node(t, ours, "n1", day).ServerTLS(), settings)
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	if caller, _ := pki.CallerOf(seen); caller.Kind != pki.Operator || caller.Name != "alice" {
		t.Errorf("the server sees %+v", caller)
	}
	_, _, _, clientErr = handshake(t, node(t, theirs, "n1", day).ServerTLS(), settings)
	if clientErr == nil || !strings.Contains(clientErr.Error(), string(theirs.ID())) {
		t.Errorf("a foreign server: %v", clientErr)
	}
}

func TestAKeyThatDoesNotBelongToTheCertificateIsRefused(t *testing.T) {
	a := authority(t)
	cert, _ := operator(t, a)
	_, key := operator(t, a)
	if _, err := pki.OperatorTLS(cert, key, a.CertPEM()); err == nil {
		t.Error("no error")
	}
}
