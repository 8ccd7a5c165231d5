package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// listen serves the bench's API on a real port, under a server's identity, and
// returns its address.
func (b *bench) listen() string {
	b.t.Helper()
	return b.serveAs(here, b.server.Handler())
}

// identity makes the identity of a node.
func (b *bench) identity(node cluster.NodeID) *pki.Keeper {
	b.t.Helper()
	dir := b.t.TempDir()
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		b.t.Fatal(err)
	}
	authority := b.server.Authority
	cert, err := authority.SignNode(pki.NodeCert{CSR: csr, Node: node, Name: "node", Address: netip.MustParseAddr("127.0.0.1"), Life: time.Hour}, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := pki.Save(dir, pki.Identity{Cluster: authority.ID(), Node: node, Name: "node"}, cert, authority.CertPEM()); err != nil {
		b.t.Fatal(err)
	}
	keeper, err := pki.Load(dir)
	if err != nil {
		b.t.Fatal(err)
	}
	return keeper
}

// serveAs serves a handler on a real port, under the identity of a node, and
// returns its address.
func (b *bench) serveAs(node cluster.NodeID, handler http.Handler) string {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	server := NewHTTPServer(handler, b.server.Log)
	settings := b.identity(node).ServerTLS()
	go func() { _ = server.Serve(tls.NewListener(l, settings)) }()
	b.t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// newcomer is a machine that wants to join.
type newcomer struct {
	node cluster.NodeID
	name string
	csr  []byte
	// The proof can be spoilt.
	proof func([]byte) []byte
}

func newNewcomer(t *testing.T, digit string) newcomer {
	t.Helper()
	_, csr, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return newcomer{node: cluster.NodeID(strings.Repeat(digit, 32)), name: "new-" + digit, csr: csr}
}

func (n newcomer) join(t *testing.T, token pki.Token) (wire.AdmitAnswer, error) {
	t.Helper()
	return client.Admit(t.Context(), token.Addresses, token.TLS(), func(session tls.ConnectionState) (wire.AdmitRequest, error) {
		proof, err := token.Proof(session, n.csr)
		if n.proof != nil {
			proof = n.proof(proof)
		}
		return wire.AdmitRequest{
			TokenID: token.ID, Proof: proof, CSR: n.csr, Node: n.node, Name: n.name, Address: netip.MustParseAddr("10.0.0.9"),
		}, err
	})
}

// token makes a token of this cluster, as the record has it.
func (b *bench) token(address string, record cluster.Token) pki.Token {
	b.t.Helper()
	token, err := pki.NewToken(b.server.Authority, []string{address})
	if err != nil {
		b.t.Fatal(err)
	}
	record.ID, record.Digest = token.ID, token.Digest()
	b.put(store.PutToken(record))
	return token
}

func soon() time.Time { return time.Now().Add(time.Hour) }

func TestAMachineIsAdmittedWithATokenAndMayTryAgain(t *testing.T) {
	b := newBench(t)
	token := b.token(b.listen(), cluster.Token{Uses: 1, Expires: soon()})
	n := newNewcomer(t, "3")
	first, err := n.join(t, token)
	if err != nil {
		t.Fatal(err)
	}
	if first.Cluster.ID != b.server.Authority.ID() || len(first.Certificate) == 0 || len(first.Servers) != 1 {
		t.Errorf("answer %+v", first)
	}
	// The answer was lost: the same machine asks again, with the same key.
	if _, err := n.join(t, token); err != nil {
		t.Errorf("again: %v", err)
	}
	state := b.server.Mirror.State()
	if used := state.Tokens[0]; used.Uses != 0 || len(used.UsedBy) != 1 || len(state.Nodes) != 3 {
		t.Errorf("token %+v, %d nodes", used, len(state.Nodes))
	}
	if _, err := newNewcomer(t, "4").join(t, token); cluster.KindOf(err) != cluster.Denied || !strings.Contains(err.Error(), "used") {
		t.Errorf("another machine with a token that is used up: %v", err)
	}
}

func TestWhoIsNotAdmitted(t *testing.T) {
	for _, tt := range []struct {
		name string
		who  func(t *testing.T, b *bench, address string) (newcomer, pki.Token)
		kind cluster.Kind
		says string
	}{
		{"with a token that has expired", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			return newNewcomer(t, "3"), b.token(address, cluster.Token{Uses: 1, Expires: time.Now().Add(-time.Minute)})
		}, cluster.Denied, "expired"},
		{"with a token that was revoked", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			token := b.token(address, cluster.Token{Uses: 1, Expires: soon()})
			b.put(store.Delete(store.TokenKey(token.ID)))
			return newNewcomer(t, "3"), token
		}, cluster.Denied, "not known"},
		{"with a token whose secret was changed", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			token := b.token(address, cluster.Token{Uses: 1, Expires: soon()})
			token.Secret[0]++
			return newNewcomer(t, "3"), token
		}, cluster.Denied, "wrong"},
		{"with a proof that was made for another session", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			n := newNewcomer(t, "3")
			n.proof = func(proof []byte) []byte { proof[0]++; return proof }
			return n, b.token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Denied, "wrong"},
		{"with the token of another cluster", func(t *testing.T, _ *bench, address string) (newcomer, pki.Token) {
			return newNewcomer(t, "3"), newBench(t).token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Denied, "cluster"},
		{"under a node's ID, with another key", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			n := newNewcomer(t, "3")
			n.node = there
			return n, b.token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Exists, "another key"},
		{"under a node's name", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			n := newNewcomer(t, "3")
			n.name = "node-2"
			return n, b.token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Exists, "node-2"},
		{"under an ID that is none", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			n := newNewcomer(t, "3")
			n.node = "short"
			return n, b.token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Invalid, "32"},
		{"under an ID that is the way to another record", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			n := newNewcomer(t, "3")
			n.node = cluster.NodeID("../units/" + strings.Repeat("3", 23))
			return n, b.token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Invalid, "hexadecimal"},
		{"under a name that would draw on a terminal", func(t *testing.T, b *bench, address string) (newcomer, pki.Token) {
			n := newNewcomer(t, "3")
			n.name = "a\x1b[2J"
			return n, b.token(address, cluster.Token{Uses: 1, Expires: soon()})
		}, cluster.Invalid, "no host name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			n, token := tt.who(t, b, b.listen())
			_, err := n.join(t, token)
			if cluster.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
			state := b.server.Mirror.State()
			if len(state.Nodes) != 2 {
				t.Errorf("%d nodes", len(state.Nodes))
			}
			for _, token := range state.Tokens {
				if token.Uses != 1 {
					t.Error("the refusal used the token up")
				}
			}
		})
	}
}

// Another server has just given its name away, which this one cannot see yet.
func TestANameIsGivenOnce(t *testing.T) {
	b := newBench(t)
	token := b.token(b.listen(), cluster.Token{Uses: 9, Expires: soon()})
	n := newNewcomer(t, "3")
	b.put(store.PutName(n.name, "somebody"))
	if _, err := n.join(t, token); cluster.KindOf(err) != cluster.Unavailable || len(b.server.Mirror.State().Nodes) != 2 {
		t.Errorf("%v; %d nodes", err, len(b.server.Mirror.State().Nodes))
	}
	b.put(store.Delete(store.NameKey(n.name)))
	if _, err := n.join(t, token); err != nil {
		t.Fatal(err)
	}
	if _, err := b.server.removeNode(t.Context(), &nodeInput{n.node}); err != nil {
		t.Fatal(err)
	}
	other := newNewcomer(t, "4")
	other.name = n.name
	if _, err := other.join(t, token); err != nil {
		t.Errorf("the name of a node that was removed is not free: %v", err)
	}
}

// The framework reads and checks a body before anybody asks who sent it.
func TestAStrangerIsNotReadForLong(t *testing.T) {
	b := newBench(t)
	for path, limit := range map[string]int{wire.PathAdmit: unknownBodyMax, "/v1/nodes/" + string(here) + "/certificate": unknownBodyMax, wire.PathDestroy: smallBodyMax} {
		body := `{"name":"` + strings.Repeat("x", limit) + `"}`
		w := httptest.NewRecorder()
		b.server.Local().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
		if w.Code != http.StatusRequestEntityTooLarge || w.Body.Len() > 1000 {
			t.Errorf("%s: %d with %d bytes", path, w.Code, w.Body.Len())
		}
	}
}

// rendezvous is a store whose first two writes are done when both have come.
type rendezvous struct {
	store.Store
	come atomic.Int32
	both chan struct{}
}

func (r *rendezvous) Commit(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	if r.come.Add(1) == 2 {
		close(r.both)
	}
	select {
	case <-r.both:
		return r.Store.Commit(ctx, txn)
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
}

// Two machines race for a token that is good for one.
func TestATokenForOneAdmitsOneOfTwo(t *testing.T) {
	b := newBench(t)
	b.server.Store = &rendezvous{Store: b.server.Store, both: make(chan struct{})}
	token := b.token(b.listen(), cluster.Token{Uses: 1, Expires: soon()})
	errs := make(chan error, 2)
	for _, digit := range []string{"3", "4"} {
		n := newNewcomer(t, digit)
		go func() { _, err := n.join(t, token); errs <- err }()
	}
	first, second := <-errs, <-errs
	if (first == nil) == (second == nil) || len(b.server.Mirror.State().Nodes) != 3 {
		t.Errorf("%v; %v; %d nodes", first, second, len(b.server.Mirror.State().Nodes))
	}
}
