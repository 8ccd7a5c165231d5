package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/pki"
)

const day = 24 * time.Hour

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// node makes the identity of a node on disk, signed by a.
func node(t *testing.T, a *pki.Authority, id cluster.NodeID, life time.Duration) *pki.Keeper {
	t.Helper()
	dir := t.TempDir()
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.SignNode(pki.NodeCert{CSR: csr, Node: id, Name: string(id), Address: netip.MustParseAddr("10.0.0.1"), Life: life}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Save(dir, pki.Identity{Cluster: a.ID(), Node: id, Name: string(id)}, cert, a.CertPEM()); err != nil {
		t.Fatal(err)
	}
	k, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// insist returns settings of a client that shows its certificate even if it has
// expired, which ours do not.
func insist(k *pki.Keeper) *tls.Config {
	cfg := k.ClientTLS()
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return k.ServerTLS().GetCertificate(nil)
	}
	return cfg
}

// handshake connects two sides over a socket pair, sends one byte each way,
// and returns both sides' states and errors.
func handshake(t *testing.T, server, client *tls.Config) (s, c tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := listener.Accept()
		if err != nil {
			serverErr = err
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		if serverErr = conn.Handshake(); serverErr != nil {
			return
		}
		s = conn.ConnectionState()
		_, _ = conn.Write([]byte("x"))
		_, _ = io.ReadAll(conn)
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	if clientErr = conn.Handshake(); clientErr == nil {
		c = conn.ConnectionState()
		// With TLS 1.3 a refused client certificate shows at the first read.
		_, clientErr = io.ReadFull(conn, make([]byte, 1))
	}
	conn.Close()
	<-done
	return s, c, serverErr, clientErr
}

func TestTwoNodesOfAClusterKnowEachOther(t *testing.T) {
	a := authority(t)
	one, two := node(t, a, "n1", day), node(t, a, "n2", day)
	s, c, serverErr, clientErr := handshake(t, one.ServerTLS(), two.ClientTLS())
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	if caller, err := pki.CallerOf(s); err != nil || caller.Kind != pki.Node || caller.Node != "n2" {
		t.Errorf("the server sees %+v, %v", caller, err)
	}
	if caller, err := pki.CallerOf(c); err != nil || caller.Node != "n1" {
		t.Errorf("the client sees %+v, %v", caller, err)
	}
	if s.Version != tls.VersionTLS13 {
		t.Errorf("version %x", s.Version)
	}
}

func TestAForeignNodeIsRefusedOnBothSidesWithBothClustersNamed(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	_, _, serverErr, clientErr := handshake(t, node(t, ours, "n1", day).ServerTLS(), node(t, theirs, "n2", day).ClientTLS())
	for _, err := range []error{clientErr} {
		if err == nil || !strings.Contains(err.Error(), string(ours.ID())) || !strings.Contains(err.Error(), string(theirs.ID())) {
			t.Errorf("client: %v", err)
		}
	}
	if serverErr == nil {
		t.Error("the server let it in")
	}
	// The server's own check, with a client that would accept any server.
	lax := node(t, theirs, "n2", day).ClientTLS()
	lax.VerifyConnection = nil
	_, _, serverErr, clientErr = handshake(t, node(t, ours, "n1", day).ServerTLS(), lax)
	if serverErr == nil || !strings.Contains(serverErr.Error(), string(ours.ID())) || !strings.Contains(serverErr.Error(), string(theirs.ID())) {
		t.Errorf("server: %v", serverErr)
	}
	if clientErr == nil {
		t.Error("the foreign client was served")
	}
}

func TestAnExpiredCertificateIsRefusedWithItsDates(t *testing.T) {
	a := authority(t)
	expired := node(t, a, "n2", -time.Minute)
	_, _, serverErr, clientErr := handshake(t, node(t, a, "n1", day).ServerTLS(), insist(expired))
	if serverErr == nil || !strings.Contains(serverErr.Error(), "is valid from") {
		t.Errorf("server: %v", serverErr)
	}
	if clientErr == nil {
		t.Error("the client was served")
	}
	if _, _, _, clientErr = handshake(t, expired.ServerTLS(), node(t, a, "n1", day).ClientTLS()); clientErr == nil {
		t.Error("an expired server was accepted")
	}
}

func TestWithoutACertificateACallerIsAnonymous(t *testing.T) {
	a := authority(t)
	cfg := node(t, a, "n2", day).ClientTLS()
	cfg.GetClientCertificate = nil
	s, _, serverErr, clientErr := handshake(t, node(t, a, "n1", day).ServerTLS(), cfg)
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	if caller, err := pki.CallerOf(s); err != nil || caller.Kind != pki.Anonymous {
		t.Errorf("%+v, %v", caller, err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	a := authority(t)
	cfg := node(t, a, "n2", day).ClientTLS()
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, _, serverErr, _ := handshake(t, node(t, a, "n1", day).ServerTLS(), cfg); serverErr == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

// A session that goes on from a ticket shows no certificate again, so one that
// expired meanwhile could pass for valid.
func TestNoTicketOutlivesACertificate(t *testing.T) {
	a := authority(t)
	server, client := node(t, a, "n1", day).ServerTLS(), node(t, a, "n2", day).ClientTLS()
	client.ClientSessionCache, client.ServerName = tls.NewLRUClientSessionCache(1), "n1"
	for range 2 {
		_, c, serverErr, clientErr := handshake(t, server, client)
		if serverErr != nil || clientErr != nil {
			t.Fatal(serverErr, clientErr)
		}
		if c.DidResume {
			t.Error("the second connection went on from a ticket of the first")
		}
	}
}

func TestAnOperatorIsNoServer(t *testing.T) {
	a := authority(t)
	dir := t.TempDir()
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.SignOperator(csr, "alice", day, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Save(dir, pki.Identity{Cluster: a.ID(), Node: "x", Name: "alice"}, cert, a.CertPEM()); err != nil {
		t.Fatal(err)
	}
	alice, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, _, serverErr, clientErr := handshake(t, node(t, a, "n1", day).ServerTLS(), alice.ClientTLS())
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	if caller, _ := pki.CallerOf(s); caller.Kind != pki.Operator || caller.Name != "alice" {
		t.Errorf("%+v", caller)
	}
	if _, _, _, clientErr := handshake(t, alice.ServerTLS(), node(t, a, "n1", day).ClientTLS()); clientErr == nil {
		t.Error("an operator's certificate passed for a node's")
	}
}

func TestAnAuthoritySurvivesItsTextAndItsKeyIsItsID(t *testing.T) {
	a := authority(t)
	b, err := pki.ParseAuthority(a.PEM())
	if err != nil || b.ID() != a.ID() || !bytes.Equal(a.PEM(), b.PEM()) {
		t.Errorf("%v", err)
	}
	if _, err := pki.ParseAuthority(a.CertPEM()); err == nil {
		t.Error("a certificate without a key is no authority")
	}
	other := authority(t)
	if other.ID() == a.ID() {
		t.Error("two authorities, one ID")
	}
}

func TestASharedSecretGivesOneClusterOnEveryPeer(t *testing.T) {
	one, err := pki.AuthorityFromSecret("correct horse battery staple", "cluster")
	if err != nil {
		t.Fatal(err)
	}
	two, err := pki.AuthorityFromSecret("correct horse battery staple", "cluster")
	if err != nil {
		t.Fatal(err)
	}
	if one.ID() != two.ID() {
		t.Errorf("%s and %s", one.ID(), two.ID())
	}
	for _, other := range [][2]string{{"correct horse battery stapler", "cluster"}, {"correct horse battery staple", "etcd"}} {
		a, err := pki.AuthorityFromSecret(other[0], other[1])
		if err != nil || a.ID() == one.ID() {
			t.Errorf("%q for %s gives the same cluster (%v)", other[0], other[1], err)
		}
	}
	// The certificates differ in their signatures; nodes signed by either must
	// know each other all the same.
	_, _, serverErr, clientErr := handshake(t, node(t, one, "n1", day).ServerTLS(), node(t, two, "n2", day).ClientTLS())
	if serverErr != nil || clientErr != nil {
		t.Errorf("server %v, client %v", serverErr, clientErr)
	}
}

func TestTokensSurvivePasteAndNothingElse(t *testing.T) {
	a := authority(t)
	token, err := pki.NewToken(a, []string{"10.0.0.1:7500"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := pki.ParseToken("  " + token.String() + "\n")
	if err != nil || got.Cluster != a.ID() || got.ID != token.ID || !bytes.Equal(got.Secret, token.Secret) || got.CADigest != a.Digest() {
		t.Fatalf("%+v, %v", got, err)
	}
	text := token.String()
	for i := range text {
		changed := []byte(text)
		changed[i] ^= 1
		if _, err := pki.ParseToken(string(changed)); err == nil {
			t.Errorf("a change at %d went unnoticed", i)
		}
		if _, err := pki.ParseToken(text[:i]); err == nil {
			t.Errorf("a cut at %d went unnoticed", i)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	a, err := pki.NewAuthority(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	token, err := pki.NewToken(a, []string{"10.0.0.1:7500", "[fd00::1]:7500"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.String())
	f.Add("argosy1.")
	f.Add("argosy1.e30AAAAA")
	f.Add(strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := pki.ParseToken(text)
		if err != nil {
			if cluster.KindOf(err) != cluster.Invalid {
				t.Errorf("kind %v", cluster.KindOf(err))
			}
			return
		}
		if again, err := pki.ParseToken(token.String()); err != nil || again.ID != token.ID {
			t.Errorf("does not survive: %v", err)
		}
	})
}

func TestTheStoredDigestIsNotTheSecret(t *testing.T) {
	token, err := pki.NewToken(authority(t), []string{"x:1"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := hex.DecodeString(token.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(digest, token.Secret) || strings.Contains(token.Digest(), string(token.Secret)) {
		t.Error("who reads the store reads the secret")
	}
}

func TestAProofIsGoodForItsSessionAndRequestOnly(t *testing.T) {
	a := authority(t)
	token, err := pki.NewToken(a, []string{"x:1"})
	if err != nil {
		t.Fatal(err)
	}
	server := node(t, a, "n1", day).ServerTLS()
	s, c, serverErr, clientErr := handshake(t, server, token.TLS())
	if serverErr != nil || clientErr != nil {
		t.Fatal(serverErr, clientErr)
	}
	s2, _, _, _ := handshake(t, server, token.TLS())
	proof, err := token.Proof(c, []byte("csr"))
	if err != nil {
		t.Fatal(err)
	}
	other, _ := pki.NewToken(a, []string{"x:1"})
	for _, tt := range []struct {
		name   string
		digest string
		state  tls.ConnectionState
		csr    string
		want   bool
	}{
		{"as it was made", token.Digest(), s, "csr", true},
		{"relayed into another session", token.Digest(), s2, "csr", false},
		{"for another request", token.Digest(), s, "other", false},
		{"with another secret", other.Digest(), s, "csr", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if ok, err := pki.VerifyProof(tt.digest, proof, tt.state, []byte(tt.csr)); ok != tt.want {
				t.Errorf("got %v (%v), want %v", ok, err, tt.want)
			}
		})
	}
}

func TestAJoiningNodeHangsUpOnAnotherAuthorityBeforeItSaysAnything(t *testing.T) {
	a, evil := authority(t), authority(t)
	token, err := pki.NewToken(a, []string{"x:1"})
	if err != nil {
		t.Fatal(err)
	}
	_, _, serverErr, clientErr := handshake(t, node(t, evil, "n1", day).ServerTLS(), token.TLS())
	if clientErr == nil || !strings.Contains(clientErr.Error(), string(evil.ID())) {
		t.Errorf("client: %v", clientErr)
	}
	if serverErr == nil {
		t.Error("the handshake was completed with a stranger")
	}
}

func TestBadRequestsAreNotSigned(t *testing.T) {
	a := authority(t)
	_, csr, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Clone(csr)
	broken[len(broken)-1] ^= 1
	for name, bad := range map[string][]byte{
		"empty": nil, "garbage": []byte("hello"), "bad signature": broken, "too long": make([]byte, 10<<10),
	} {
		if _, err := a.SignNode(pki.NodeCert{CSR: bad, Node: "n", Address: netip.MustParseAddr("10.0.0.1"), Life: day}, time.Now()); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// renewer signs with an authority, after a number of failures.
type renewer struct {
	a        *pki.Authority
	failures int
	renewals int
}

func (r *renewer) RenewCertificate(_ context.Context, csr, _ []byte) ([]byte, error) {
	if r.failures > 0 {
		r.failures--
		return nil, errors.New("no server answers")
	}
	r.renewals++
	return r.a.SignNode(pki.NodeCert{CSR: csr, Node: "n1", Name: "n1", Address: netip.MustParseAddr("10.0.0.1"), Life: day}, time.Now())
}

func TestCertificatesRotateBeforeTheyExpireForYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		k := node(t, a, "n1", day)
		r := &renewer{a: a, failures: 3}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = pki.Rotate(ctx, k, r, slog.New(slog.DiscardHandler)) }()
		for range 400 {
			if err := loop.Sleep(t.Context(), day); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if left := time.Until(k.Leaf().NotAfter); left < day/6 {
				t.Fatalf("only %v left", left)
			}
		}
		cancel()
		<-done
		if r.renewals < 400 || r.renewals > 1000 {
			t.Errorf("%d renewals in 400 days of certificates that live one", r.renewals)
		}
	})
}

func TestADamagedIdentityIsRefusedWithAHint(t *testing.T) {
	if pki.Exists(t.TempDir()) {
		t.Error("an empty folder is an identity")
	}
	_, err := pki.Load(t.TempDir())
	if err == nil || cluster.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestARetryComesWithTheSameKey(t *testing.T) {
	dir := t.TempDir()
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, again, err := pki.LoadOrNewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := pki.KeyFingerprint(csr)
	two, _ := pki.KeyFingerprint(again)
	if one == "" || one != two {
		t.Errorf("%q and %q", one, two)
	}
}
