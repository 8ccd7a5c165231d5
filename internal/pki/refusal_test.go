package pki_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/pki"
)

// forge makes the certificate of a node of a cluster as somebody makes it who
// has not that cluster's key: every word is right, the signature is a
// stranger's. The genuine authority's certificate, which is public, is sent along.
func forge(t *testing.T, a *pki.Authority) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	genuine, _ := pem.Decode(a.CertPEM())
	issuer, err := x509.ParseCertificate(genuine.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	issuer.PublicKey = key.Public() // or CreateCertificate would notice
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node n1"},
		URIs:      []*url.URL{{Scheme: "argosy", Host: string(a.ID()), Path: "/node/n1"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(day),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, genuine.Bytes}, PrivateKey: key}
}

// showing returns the settings of k's client, with another certificate.
func showing(k *pki.Keeper, cert tls.Certificate) *tls.Config {
	cfg := k.ClientTLS()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	return cfg
}

// TestNoRequestIsServedUnderABadIdentity tries whole requests, because with
// TLS 1.3 the client believes its handshake done before the server has looked
// at its certificate.
func TestNoRequestIsServedUnderABadIdentity(t *testing.T) {
	a := authority(t)
	var served atomic.Int32
	server := &http.Server{
		Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }),
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
		TLSConfig: node(t, a, "n1", day).ServerTLS(),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	defer server.Close()

	good := node(t, a, "n2", day)
	for _, test := range []struct {
		name string
		tls  *tls.Config
		ok   bool
	}{
		{"a node of this cluster", good.ClientTLS(), true},
		{"a node of another cluster", showing(good, certOf(t, node(t, authority(t), "n2", day))), false},
		{"an expired certificate", insist(node(t, a, "n2", -time.Minute)), false},
		{"a forged certificate", showing(good, forge(t, a)), false},
		{"a certificate signed by a node", showing(good, signedByNode(t, node(t, a, "n3", day))), false},
	} {
		served.Store(0)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: test.tls, ForceAttemptHTTP2: true}}
		response, err := client.Get("https://" + listener.Addr().String())
		if err == nil {
			_ = response.Body.Close()
		}
		if (err == nil) != test.ok || (served.Load() == 1) != test.ok {
			t.Errorf("%s: error %v, served %d times; want success: %v", test.name, err, served.Load(), test.ok)
		}
		client.CloseIdleConnections()
	}
}

func certOf(t *testing.T, k *pki.Keeper) tls.Certificate {
	t.Helper()
	cert, err := k.ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return *cert
}

// signedByNode makes a certificate for another node with a node's own key, as
// a node would that was taken over.
func signedByNode(t *testing.T, k *pki.Keeper) tls.Certificate {
	t.Helper()
	signer := certOf(t, k)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri := *signer.Leaf.URIs[0]
	uri.Path = "/operator/root"
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), URIs: []*url.URL{&uri},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(day),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, signer.Leaf, key.Public(), signer.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{der}, signer.Certificate...), PrivateKey: key}
}

func TestAServerWithAForgedCertificateGetsNeitherNodesNorNewcomers(t *testing.T) {
	a := authority(t)
	token, err := pki.NewToken(a, []string{"10.0.0.1:7500"})
	if err != nil {
		t.Fatal(err)
	}
	// The genuine authority in the chain satisfies the digest; it is the
	// signature on the leaf that must be looked at.
	server := &tls.Config{Certificates: []tls.Certificate{forge(t, a)}, MinVersion: tls.VersionTLS13}
	for name, client := range map[string]*tls.Config{"a node": node(t, a, "n2", day).ClientTLS(), "a newcomer": token.TLS()} {
		if _, _, serverErr, clientErr := handshake(t, server, client); clientErr == nil || serverErr == nil {
			t.Errorf("%s went on with a forger (client %v, server %v)", name, clientErr, serverErr)
		}
	}
}

func TestTheIdentityOfAnEtcdMemberIsGoodForEtcdOnly(t *testing.T) {
	a, etcd := authority(t), authority(t)
	certPEM, keyPEM, err := etcd.SignEtcd("n1", netip.MustParseAddr("10.0.0.1"), day, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	member, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(etcd.CertPEM())
	peer := &tls.Config{
		Certificates: []tls.Certificate{member}, MinVersion: tls.VersionTLS13, ServerName: "n1",
		RootCAs: roots, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	if _, _, serverErr, clientErr := handshake(t, peer, peer); serverErr != nil || clientErr != nil {
		t.Errorf("between members: server %v, client %v", serverErr, clientErr)
	}
	worker := node(t, a, "n2", day)
	if _, _, serverErr, clientErr := handshake(t, node(t, a, "n1", day).ServerTLS(), showing(worker, member)); serverErr == nil || clientErr == nil {
		t.Error("a member's certificate opened the API")
	}
	asWorker := peer.Clone()
	asWorker.Certificates = []tls.Certificate{certOf(t, worker)}
	if _, _, serverErr, clientErr := handshake(t, peer, asWorker); serverErr == nil || clientErr == nil {
		t.Error("a worker's certificate opened etcd")
	}
}

func TestWhatARequestWishesForIsIgnored(t *testing.T) {
	a := authority(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "operator root"}, DNSNames: []string{"example.org"},
		URIs:            []*url.URL{{Scheme: "argosy", Host: string(a.ID()), Path: "/operator/root"}},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}, // CA:TRUE
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.SignNode(pki.NodeCert{CSR: csr, Node: "n1", Name: "one", Address: netip.MustParseAddr("10.0.0.1"), Life: day}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Path != "/node/n1" || cert.Subject.CommonName != "node one" ||
		len(cert.DNSNames) != 1 || cert.DNSNames[0] != "n1" {
		t.Errorf("CA %v, URIs %v, subject %v, DNS %v", cert.IsCA, cert.URIs, cert.Subject, cert.DNSNames)
	}
}

func TestOnlyP256KeysAreSigned(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"RSA": weak, "P-384": other} {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := authority(t).SignOperator(csr, "alice", day, time.Now()); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
}

func TestNamesThatReadAsSomethingElseAreNotSigned(t *testing.T) {
	a := authority(t)
	_, csr, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr("10.0.0.1")
	for _, name := range []string{"", "a/b", "../operator/root", "a b", "a\n", "ä", "%2f", strings.Repeat("x", 65)} {
		if _, err := a.SignNode(pki.NodeCert{CSR: csr, Node: cluster.NodeID(name), Address: address, Life: day}, time.Now()); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("node %q: %v, want Invalid", name, err)
		}
		if _, err := a.SignOperator(csr, name, day, time.Now()); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("operator %q: %v, want Invalid", name, err)
		}
		if _, _, err := a.SignEtcd(cluster.NodeID(name), address, day, time.Now()); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("etcd member %q: %v, want Invalid", name, err)
		}
	}
	if _, err := a.SignNode(pki.NodeCert{CSR: csr, Node: "n1", Life: day}, time.Now()); cluster.KindOf(err) != cluster.Invalid {
		t.Errorf("no address: %v, want Invalid", err)
	}
}

func TestAShortSharedSecretIsRefused(t *testing.T) {
	_, err := pki.AuthorityFromSecret("fifteen letters", "cluster")
	if cluster.KindOf(err) != cluster.Invalid || cluster.HintOf(err) == "" {
		t.Errorf("%v, want Invalid with a hint", err)
	}
}

func TestADamagedTokenSaysWhatIsWrong(t *testing.T) {
	a := authority(t)
	token, err := pki.NewToken(a, []string{"10.0.0.1:7500"})
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*pki.Token)) string {
		other := token
		change(&other)
		return other.String()
	}
	text := token.String()
	for _, test := range []struct{ name, text, want string }{
		{"another text", "kubeadm join", "does not begin with"},
		{"a cut one", text[:len(text)-10], "was cut or changed"},
		{"a changed letter", text[:40] + string(text[40]^1) + text[41:], "was cut or changed"},
		{"a whole book", text + strings.Repeat("A", 4000), "the limit is"},
		{"another cluster's ID", changed(func(t *pki.Token) { t.Cluster = "aaaa" }), "is not that of its authority"},
		{"no authority", changed(func(t *pki.Token) { t.CADigest = "" }), "no SHA-256"},
		{"a short secret", changed(func(t *pki.Token) { t.Secret = t.Secret[:8] }), "has no secret"},
		{"nobody to ask", changed(func(t *pki.Token) { t.Addresses = nil }), "names no server"},
		{"an address without a port", changed(func(t *pki.Token) { t.Addresses = []string{"10.0.0.1"} }), "is not host:port"},
	} {
		if _, err := pki.ParseToken(test.text); err == nil || !strings.Contains(err.Error(), test.want) || cluster.HintOf(err) == "" {
			t.Errorf("%s: %v, want %q with a hint", test.name, err, test.want)
		}
	}
}

// signed makes a key and has it signed as a node whose certificate expires at a time.
func signed(t *testing.T, a *pki.Authority, expires time.Time) (cert, csr []byte) {
	t.Helper()
	_, csr, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err = a.SignNode(pki.NodeCert{CSR: csr, Node: "n1", Name: "n1", Address: netip.MustParseAddr("10.0.0.1"), Life: day}, expires.Add(-day))
	if err != nil {
		t.Fatal(err)
	}
	return cert, csr
}

func TestAnExpiredCertificateMayBeRenewedByItsKeyForNinetyDays(t *testing.T) {
	now := time.Now()
	founded := now.Add(-365 * day)
	a, err := pki.NewAuthority(founded)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := pki.NewAuthority(founded)
	if err != nil {
		t.Fatal(err)
	}
	recent, recentCSR := signed(t, a, now.Add(-30*day))
	old, oldCSR := signed(t, a, now.Add(-91*day))
	valid, validCSR := signed(t, a, now.Add(time.Hour))
	strange, strangeCSR := signed(t, foreign, now.Add(-30*day))
	operator, err := a.SignOperator(recentCSR, "alice", day, now.Add(-30*day))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		cert, csr []byte
		want      string // of the error; "" if there is none
	}{
		{"off for a month", recent, recentCSR, ""},
		{"still valid by the server's clock", valid, validCSR, ""},
		{"off for too long", old, oldCSR, "more than 90 days ago"},
		{"another's key", recent, oldCSR, "not signed with the key"},
		{"another cluster's node", strange, strangeCSR, "belongs to cluster"},
		{"an operator", operator, recentCSR, "of operator alice cannot be renewed"},
		{"no certificate", []byte("x"), recentCSR, "no PEM"},
		{"no request", recent, nil, "certificate request"},
	} {
		got, err := a.ExpiredOwner(test.cert, test.csr, now)
		switch {
		case test.want == "" && (err != nil || got != "n1"):
			t.Errorf("%s: %q, %v; want n1", test.name, got, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// server renews as a server does for a node that calls with its own identity
// while that is valid, and without one after that.
type server struct {
	a       *pki.Authority
	expired int
}

func (s *server) RenewCertificate(_ context.Context, csr, current []byte) ([]byte, error) {
	block, _ := pem.Decode(current)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if time.Now().After(cert.NotAfter) {
		s.expired++
	}
	id, err := s.a.ExpiredOwner(current, csr, time.Now())
	if err != nil {
		return nil, err
	}
	return s.a.SignNode(pki.NodeCert{CSR: csr, Node: id, Name: "n1", Address: netip.MustParseAddr("10.0.0.1"), Life: day}, time.Now())
}

func TestANodeThatWasOffForAMonthGetsItsCertificateBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{a: authority(t)}
		k := node(t, s.a, "n1", day)
		if err := loop.Sleep(t.Context(), 30*day); err != nil {
			t.Fatal(err)
		}
		if cert, err := k.ClientTLS().GetClientCertificate(nil); err != nil || len(cert.Certificate) != 0 {
			t.Errorf("it would call with its expired certificate (%v), and be refused", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = pki.Rotate(ctx, k, s, slog.New(slog.DiscardHandler)) }()
		synctest.Wait()
		if left := time.Until(k.Expires()); left < day || s.expired != 1 {
			t.Errorf("after the first round %v left, %d renewals of expired ones", left, s.expired)
		}
		if cert, err := k.ClientTLS().GetClientCertificate(nil); err != nil || len(cert.Certificate) == 0 {
			t.Errorf("it does not call with its new certificate (%v)", err)
		}
		cancel()
		<-done
	})
}

func FuzzSign(f *testing.F) {
	_, csr, err := pki.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Add([]byte{})
	a, err := pki.NewAuthority(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, csr []byte) {
		cert, err := a.SignOperator(csr, "alice", day, time.Now())
		if err != nil && cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("kind %v: %v", cluster.KindOf(err), err)
		}
		if (err == nil) != (cert != nil) {
			t.Errorf("certificate %v with error %v", cert != nil, err)
		}
	})
}
