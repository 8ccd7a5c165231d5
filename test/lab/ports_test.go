package lab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/hostnet"
	"argosy/internal/lab/labtest"
	"argosy/internal/pki"
	"argosy/internal/resolve"
)

// Each port of a node (but for that of names, which anybody may ask for) is tried from another node's place in the network: with
// no identity, with one of a foreign cluster, with an expired one and in the
// clear; etcd's with the identities of its own authority too. Only what is meant
// to be open is.
func TestNobodyGetsInWithoutAnIdentity(t *testing.T) {
	w := labtest.New(t, labtest.Options{Name: "ports", Nodes: 1})
	open := strings.Fields(w.In(1, "ss", "-Htnl", "-o").Out)
	for _, field := range open {
		_, port, ok := strings.Cut(field, "10.77.0.1:")
		if n, err := strconv.Atoi(port); ok && err == nil && n != wire.PortAPI && n != wire.PortEtcdClient && n != wire.PortEtcdPeer && n != resolve.Port {
			t.Errorf("port %d is open, and nobody says why", n)
		}
	}
	member := w.N(1).MachineID()
	foreign := identityOf(t, newAuthority(t), member, time.Hour)
	own, etcd := authorityOf(w, "authority.pem"), authorityOf(w, "etcd-authority.pem")
	expired := identityOf(t, own, member, -time.Minute)
	good := identityOf(t, own, member, time.Hour)
	stranger := identityOf(t, own, "0123456789abcdef0123456789abcdef", time.Hour)
	server, oldServer := memberIdentityOf(t, etcd, member, time.Hour), memberIdentityOf(t, etcd, member, -time.Minute)
	for _, tt := range []struct {
		name     string
		identity string // folder with cert.pem and key.pem; "" for none
		port     int
		path     string
		served   bool
	}{
		{"the API, with an identity of this cluster", good, wire.PortAPI, wire.PathStatus, true},
		{"the API, without an identity", "", wire.PortAPI, wire.PathStatus, false},
		{"the metrics, with an identity of this cluster", good, wire.PortAPI, wire.PathMetrics, true},
		{"the metrics, without an identity", "", wire.PortAPI, wire.PathMetrics, false},
		{"the API, with a foreign identity", foreign, wire.PortAPI, wire.PathStatus, false},
		{"the API, with the identity of a node that is none any more", stranger, wire.PortAPI, wire.PathStatus, false},
		{"the API, with an expired identity", expired, wire.PortAPI, wire.PathStatus, false},
		// That a server gets in shows that these ports and paths are what is meant.
		{"etcd's client port, with a server's identity", server, wire.PortEtcdClient, "/health", true},
		{"etcd's client port, with a server's identity that has expired", oldServer, wire.PortEtcdClient, "/health", false},
		{"etcd's client port, without an identity", "", wire.PortEtcdClient, "/health", false},
		{"etcd's client port, with a foreign identity", foreign, wire.PortEtcdClient, "/health", false},
		{"etcd's client port, with an expired identity", expired, wire.PortEtcdClient, "/health", false},
		{"etcd's client port, with a node's identity", good, wire.PortEtcdClient, "/health", false},
		{"etcd's peer port, with a server's identity", server, wire.PortEtcdPeer, "/version", true},
		{"etcd's peer port, with a server's identity that has expired", oldServer, wire.PortEtcdPeer, "/version", false},
		{"etcd's peer port, without an identity", "", wire.PortEtcdPeer, "/version", false},
		{"etcd's peer port, with a foreign identity", foreign, wire.PortEtcdPeer, "/version", false},
		{"etcd's peer port, with an expired identity", expired, wire.PortEtcdPeer, "/version", false},
		{"etcd's peer port, with a node's identity", good, wire.PortEtcdPeer, "/version", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := callInside(w.Sub(t), tt.port, tt.path, tt.identity)
			if served := strings.HasPrefix(answer, "HTTP/1.1 200"); served != tt.served {
				t.Errorf("served: %v, want %v: %.200s", served, tt.served, answer)
			}
		})
	}
	for _, port := range []int{wire.PortAPI, wire.PortEtcdClient, wire.PortEtcdPeer} {
		if answer := callInside(w, port, "/", "clear"); strings.Contains(answer, "200 OK") {
			t.Errorf("port %d talks in the clear: %.200s", port, answer)
		}
	}
}

func newAuthority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// authorityOf reads an authority from the disk of node-1.
func authorityOf(w *labtest.World, name string) *pki.Authority {
	w.T.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(w.N(1).Socket())), "disk", name))
	if err != nil {
		w.T.Fatal(err)
	}
	a, err := pki.ParseAuthority(text)
	if err != nil {
		w.T.Fatal(err)
	}
	return a
}

// memberIdentityOf makes the identity that a server has for etcd, at node-1's
// address, and returns its folder.
func memberIdentityOf(t *testing.T, a *pki.Authority, node cluster.NodeID, life time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	cert, key, err := a.SignEtcd(node, netip.MustParseAddr("10.77.0.1"), life, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cert.pem": cert, "node.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// identityOf makes the identity of a node and returns its folder.
func identityOf(t *testing.T, a *pki.Authority, node cluster.NodeID, life time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	_, csr, err := pki.LoadOrNewKey(dir) // leaves node.key
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.SignNode(pki.NodeCert{
		CSR: csr, Node: node, Name: "x", Address: netip.MustParseAddr("10.77.0.9"), Life: life,
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// callInside has this test program call a port from inside node-1's network
// namespace, and returns what came back.
func callInside(w *labtest.World, port int, path, identity string) string {
	t := w.T
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+hostnet.Path(w.N(1).Namespace()), self, "-test.run=^TestCallerInside$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("CALL=%d %s %s", port, path, identity))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, answer, ok := bytes.Cut(out, []byte("ANSWER:"))
	if !ok {
		t.Fatalf("the caller said nothing: %s", out)
	}
	return strings.TrimSpace(string(answer))
}

// TestCallerInside is the other end of callInside; without its variable it has
// nothing to do.
func TestCallerInside(t *testing.T) {
	fields := strings.Fields(os.Getenv("CALL"))
	if len(fields) < 2 {
		return
	}
	identity := ""
	if len(fields) > 2 {
		identity = fields[2]
	}
	fmt.Fprintf(os.Stdout, "ANSWER:%s\n", callPort("10.77.0.1:"+fields[0], fields[1], identity))
}

func callPort(address, path, identity string) string {
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{InsecureSkipVerify: true}} // whoever it is may answer; the question is whether we may ask
	if identity != "" && identity != "clear" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(identity, "cert.pem"), filepath.Join(identity, "node.key"))
		if err != nil {
			return err.Error()
		}
		dialer.Config.Certificates = []tls.Certificate{pair}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	dial := dialer.DialContext
	if identity == "clear" {
		dial = dialer.NetDialer.DialContext
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err.Error()
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path); err != nil {
		return err.Error()
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 4096))
	if len(answer) == 0 {
		return fmt.Sprint(err)
	}
	return string(answer)
}
