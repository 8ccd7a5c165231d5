package pki_test

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/pki"
)

// saved makes the identity of a node in a folder.
func saved(t *testing.T, a *pki.Authority, id cluster.NodeID) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "identity")
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Save(dir, pki.Identity{Cluster: a.ID(), Node: id, Name: "one"}, certFor(t, a, id, csr), a.CertPEM()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func certFor(t *testing.T, a *pki.Authority, id cluster.NodeID, csr []byte) []byte {
	t.Helper()
	cert, err := a.SignNode(pki.NodeCert{CSR: csr, Node: id, Name: "one", Address: netip.MustParseAddr("fd00::1"), Life: day}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTheFilesOfAnIdentityAreTheOwnersAlone(t *testing.T) {
	dir := saved(t, authority(t), "n1")
	for name, want := range map[string]os.FileMode{"node.key": 0o400, "node.pem": 0o600, "ca.pem": 0o600, "identity.json": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d files, want 4: temporary ones were left (%v)", len(entries), err)
	}
}

func TestAHalfWrittenIdentityIsRefusedAndNothingIsMadeInItsPlace(t *testing.T) {
	a, foreign := authority(t), authority(t)
	other, err := os.ReadFile(filepath.Join(saved(t, a, "n1"), "node.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, file string
		text       []byte // nil: the file is missing
		want       string
	}{
		{"no key", "node.key", nil, "node.key"},
		{"an empty key", "node.key", []byte{}, "node.key"},
		{"no certificate", "node.pem", nil, "node.pem"},
		{"a certificate of another key", "node.pem", other, "does not belong to the node's key"},
		{"no authority", "ca.pem", nil, "ca.pem"},
		{"another cluster's authority", "ca.pem", foreign.CertPEM(), string(foreign.ID())},
		{"a cut identity", "identity.json", []byte(`{"cluster":"`), "identity.json"},
		{"an empty identity", "identity.json", []byte("{}"), "names no cluster"},
		{"another cluster's identity", "identity.json", []byte(`{"cluster":"aaaa","node":"n1"}`), "not aaaa"},
		{"another node's identity", "identity.json", []byte(`{"cluster":"` + string(a.ID()) + `","node":"n9"}`), "not of node n9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := saved(t, a, "n1")
			path := filepath.Join(dir, test.file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if test.text != nil {
				if err := os.WriteFile(path, test.text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := pki.Load(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "is damaged") || cluster.HintOf(err) == "" {
				t.Errorf("got %v, want %q with a hint", err, test.want)
			}
			if !pki.Exists(dir) {
				t.Error("it counts as no identity: the node might found a cluster of its own")
			}
		})
	}
}

func TestANodeWithoutAnIdentityIsToldHowToGetOne(t *testing.T) {
	dir := t.TempDir()
	if _, err := pki.Load(dir); cluster.KindOf(err) != cluster.NotFound || !strings.Contains(cluster.HintOf(err), "argosy join") {
		t.Errorf("%v (%s)", err, cluster.HintOf(err))
	}
}

func TestASaveThatFailsLeavesNoIdentity(t *testing.T) {
	a := authority(t)
	for _, blocked := range []string{"node.pem", "ca.pem"} {
		dir := t.TempDir()
		_, csr, err := pki.LoadOrNewKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		// A folder in the file's place makes its rename fail.
		if err := os.Mkdir(filepath.Join(dir, blocked), 0o700); err != nil {
			t.Fatal(err)
		}
		err = pki.Save(dir, pki.Identity{Cluster: a.ID(), Node: "n1"}, certFor(t, a, "n1", csr), a.CertPEM())
		if err == nil || pki.Exists(dir) {
			t.Errorf("%s could not be written: error %v, identity %v", blocked, err, pki.Exists(dir))
		}
	}
}

func TestARemovedIdentityIsGoneWithItsKey(t *testing.T) {
	dir := saved(t, authority(t), "n1")
	for range 2 { // removing nothing is no error
		if err := pki.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func TestAKeyThatCannotBeReadIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node.key")
	if err := os.WriteFile(path, []byte("damaged"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pki.LoadOrNewKey(dir); err == nil || cluster.HintOf(err) == "" {
		t.Errorf("%v, want an error with a hint", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "damaged" {
		t.Errorf("the file is now %q (%v)", text, err)
	}
}

func TestANewCertificateServesTheNextConnectionAndTheNextStart(t *testing.T) {
	a := authority(t)
	dir := saved(t, a, "n1")
	k, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	settings := k.ServerTLS() // of before
	csr, err := k.CSR()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Replace(certFor(t, a, "n1", csr)); err != nil {
		t.Fatal(err)
	}
	s, err := settings.GetCertificate(nil)
	if err != nil || s.Leaf.SerialNumber.Cmp(k.Leaf().SerialNumber) != 0 {
		t.Errorf("connections get the certificate of before (%v)", err)
	}
	again, err := pki.Load(dir)
	if err != nil || again.Leaf().SerialNumber.Cmp(k.Leaf().SerialNumber) != 0 {
		t.Errorf("a restart would come up with the certificate of before (%v)", err)
	}
}

func TestACertificateThatIsNotTheNodesOwnReplacesNothing(t *testing.T) {
	a := authority(t)
	dir := saved(t, a, "n1")
	k, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "node.pem"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := k.CSR()
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string][]byte{
		"garbage": []byte("x"), "another key": certFor(t, a, "n1", other),
		"another node's name": certFor(t, a, "n2", own), "another cluster": certFor(t, authority(t), "n1", own),
	} {
		if err := k.Replace(cert); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	after, err := os.ReadFile(filepath.Join(dir, "node.pem"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}

func TestRenewalLiesBetweenHalfAndFourFifthsOfALife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		issued := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "issued"), 0)
		life := time.Duration(rapid.Int64Range(int64(time.Second), int64(365*day)).Draw(t, "life"))
		cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: issued.Add(-pki.Backdate), NotAfter: issued.Add(life)}
		at := pki.RenewAt(cert, rapid.Uint64().Draw(t, "seed")).Sub(issued)
		if at < life/2-time.Second || at > life*8/10+time.Second {
			t.Errorf("renewed after %v of %v", at, life)
		}
	})
	// Nodes that joined together must not come back together.
	cert := &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(0, 0).Add(day)}
	if pki.RenewAt(cert, 1).Equal(pki.RenewAt(cert, 2)) {
		t.Error("two seeds, one instant")
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte(`{"cluster":"abc","node":"n1","name":"one"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "identity.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		// Whatever is in it: there is an identity, and without the rest it is damaged.
		if _, err := pki.Load(dir); err == nil || !pki.Exists(dir) || cluster.KindOf(err) != cluster.Internal {
			t.Errorf("%v", err)
		}
	})
}
