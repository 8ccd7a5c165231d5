package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// fakeHost starts processes that do what their command says: "cat", "exit 7",
// "wait" (until killed); any other is refused.
type fakeHost struct {
	mu      sync.Mutex
	started []wire.Terminal
	killed  int
}

func (h *fakeHost) Start(want wire.Terminal) (channel.Process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = append(h.started, want)
	p := &fakeProcess{host: h, exit: make(chan int, 1), killed: make(chan struct{})}
	p.in, p.input = io.Pipe()
	p.out, p.output = io.Pipe()
	go func() {
		code := 0
		switch want.Command {
		case "cat":
			_, _ = io.Copy(p.output, p.in)
		case "exit 7":
			code = 7
		default:
			<-p.killed
		}
		_ = p.output.Close()
		_ = p.in.Close()
		p.exit <- code
	}()
	if want.Command == "refuse" {
		return nil, cluster.Errorf(cluster.Unavailable, "systemd does not want to")
	}
	return p, nil
}

func (h *fakeHost) counts() (started, killed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.started), h.killed
}

type fakeProcess struct {
	host   *fakeHost
	in     *io.PipeReader
	input  *io.PipeWriter
	out    *io.PipeReader
	output *io.PipeWriter
	exit   chan int
	once   sync.Once
	killed chan struct{}
}

func (p *fakeProcess) Input(b []byte) error           { _, err := p.input.Write(b); return err }
func (p *fakeProcess) InputEnd() error                { return p.input.Close() }
func (p *fakeProcess) Resize(wire.TerminalSize) error { return nil }
func (p *fakeProcess) Output() io.Reader              { return p.out }
func (p *fakeProcess) Errors() io.Reader              { return nil }
func (p *fakeProcess) Wait() (int, error)             { return <-p.exit, nil }
func (p *fakeProcess) Close()                         {}
func (p *fakeProcess) Kill() {
	p.once.Do(func() {
		p.host.mu.Lock()
		p.host.killed++
		p.host.mu.Unlock()
		close(p.killed)
		_ = p.in.Close()
	})
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// office is a server and a worker, node-2, that open terminals.
type office struct {
	*bench
	hosts     map[cluster.NodeID]*fakeHost
	logs      logs
	user      *client.Client // on the server's socket
	worker    string         // the address of its port
	isServer  func(cluster.NodeID) bool
	neighbour cluster.NodeID // who answers at the worker's address
}

func newOffice(t *testing.T) *office {
	o := &office{bench: newBench(t), hosts: map[cluster.NodeID]*fakeHost{here: {}, there: {}}, neighbour: there}
	log := slog.New(slog.NewTextHandler(&o.logs, nil))
	o.server.Terminals = NewTerminals(here, o.hosts[here], log)
	o.isServer = func(id cluster.NodeID) bool { return id == here }
	o.worker = o.serveAs(there, NewWorkerRemote(WorkerDeps{
		Self: there, IsServer: func(id cluster.NodeID) bool { return o.isServer(id) }, Terminals: NewTerminals(there, o.hosts[there], log),
	}))
	settings := o.identity(here).ClientTLS()
	o.server.Peer = func(netip.AddrPort) *client.Client {
		return client.New(client.Config{Addresses: []string{o.worker}, TLS: settings})
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := NewHTTPServer(o.server.Local(), log)
	go func() { _ = server.Serve(l) }()
	o.user = client.New(client.Config{Socket: socket})
	t.Cleanup(func() { o.user.Close(); _ = server.Close() })
	return o
}

// terminal runs a command through the server's socket.
func (o *office) terminal(ctx context.Context, node cluster.NodeID, command, in string) (int, string, error) {
	var out bytes.Buffer
	code, err := o.user.Terminal(ctx, node, wire.Terminal{Command: command}, channel.Streams{In: strings.NewReader(in), Out: &out, Err: &out})
	return code, out.String(), err
}

// eventually waits until check holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !check() {
		if loop.Sleep(ctx, 5*time.Millisecond) != nil {
			t.Fatal(what)
		}
	}
}

func TestACommandRunsOnAnyNode(t *testing.T) {
	o := newOffice(t)
	big := strings.Repeat("\x00\xff0123456789", 1<<17)
	for _, node := range []cluster.NodeID{here, there} {
		if code, out, err := o.terminal(t.Context(), node, "cat", big); code != 0 || out != big || err != nil {
			t.Errorf("%s: %d, %d bytes, %v", node, code, len(out), err)
		}
		if code, _, err := o.terminal(t.Context(), node, "exit 7", ""); code != 7 || err != nil {
			t.Errorf("%s: exit code %d, %v", node, code, err)
		}
	}
	eventually(t, "the end is not logged", func() bool { return strings.Count(o.logs.String(), "terminal ended") == 4 })
	for _, says := range []string{
		`by="local through node-1"`, `by="local through node-1, says node ` + string(here) + `"`, `command="exit 7"`, "exit=7",
	} {
		if !strings.Contains(o.logs.String(), says) {
			t.Errorf("the log does not say %s:\n%s", says, o.logs.String())
		}
	}
}

func TestACommandEndsWhenItsUserGoes(t *testing.T) {
	o := newOffice(t)
	for _, node := range []cluster.NodeID{here, there} {
		ctx, leave := context.WithCancel(t.Context())
		nothing, typing := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := o.user.Terminal(ctx, node, wire.Terminal{Command: "wait"}, channel.Streams{In: nothing, Out: io.Discard, Err: io.Discard})
			done <- err
		}()
		eventually(t, "it does not start", func() bool { n, _ := o.hosts[node].counts(); return n == 1 })
		leave()
		if err := <-done; err == nil {
			t.Error("the user's end says nothing")
		}
		eventually(t, "it goes on on "+string(node), func() bool { _, n := o.hosts[node].counts(); return n == 1 })
		_ = typing.Close()
	}
}

func TestWhyThereIsNoTerminal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(o *office)
		node    cluster.NodeID
		command string
		kind    cluster.Kind
		says    string
	}{
		{"there is no such node", nil, "33333333333333333333333333333333", "cat", cluster.NotFound, "there is no node"},
		{"the node does not answer", func(o *office) { o.worker = "127.0.0.1:1" }, there, "cat", cluster.Unavailable, "node node-2: 127.0.0.1:1 does not answer"},
		{"another node has its address", func(o *office) {
			o.put(store.PutNode(cluster.Node{ID: "33333333333333333333333333333333", Name: "node-3"}), store.PutReport(cluster.Report{Node: "33333333333333333333333333333333"}))
		}, "33333333333333333333333333333333", "cat", cluster.Conflict, "this is node " + string(there)},
		{"nothing can be started there", nil, there, "refuse", cluster.Unavailable, "systemd does not want to"},
		{"the node opens none", func(o *office) { o.server.Terminals = nil }, here, "cat", cluster.Unavailable, "opens no terminals"},
		{"too many are open", func(o *office) { o.server.Terminals.open.Store(terminalsMax) }, here, "cat", cluster.Unavailable, "64 terminals are open"},
		{"the worker does not know the server as one", func(o *office) { o.isServer = func(cluster.NodeID) bool { return false } }, there, "cat", cluster.Denied, "may read and change only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			if tt.prepare != nil {
				tt.prepare(o)
			}
			_, _, err := o.terminal(t.Context(), tt.node, tt.command, "")
			if cluster.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("%v (%s)", err, cluster.KindOf(err))
			}
			if tt.command == "refuse" {
				return
			}
			for id, h := range o.hosts {
				if n, _ := h.counts(); n > 0 {
					t.Errorf("something was started on %s", id)
				}
			}
		})
	}
}

func TestAPlaceAmongTheTerminalsIsGivenBack(t *testing.T) {
	o := newOffice(t)
	o.server.Terminals.open.Store(terminalsMax - 1)
	for _, command := range []string{"exit 7", "refuse", "exit 7"} {
		if _, _, err := o.terminal(t.Context(), here, command, ""); err != nil && command != "refuse" {
			t.Errorf("%s: %v", command, err)
		}
		eventually(t, "the place is not given back", func() bool { return o.server.Terminals.open.Load() == terminalsMax-1 })
	}
}

// Every kind of caller from the network against every way to a terminal. A plus
// means that something was started.
func TestWhoMayOpenATerminal(t *testing.T) {
	const removed, other cluster.NodeID = "99999999999999999999999999999999", "33333333333333333333333333333333"
	o := newOffice(t)
	o.put(store.PutNode(cluster.Node{ID: other, Name: "node-3"}))
	server := o.listen()
	nobody := o.identity(here).ClientTLS()
	nobody.GetClientCertificate = nil
	for _, tt := range []struct {
		name   string
		caller *tls.Config
		// through a server to node-1 and to node-2; on the server itself; on the worker itself
		want string
	}{
		{"nobody", nobody, "----"},
		{"the server", o.identity(here).ClientTLS(), "--++"},
		{"the worker itself", o.identity(there).ClientTLS(), "----"},
		{"another worker", o.identity(other).ClientTLS(), "----"},
		{"a node that was removed", o.identity(removed).ClientTLS(), "----"},
		{"an operator", o.operator(), "++++"},
	} {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: tt.caller, ForceAttemptHTTP2: true}}
		got := ""
		for _, way := range []struct{ address, path string }{
			{server, "/v1/nodes/" + string(here) + "/terminal"}, {server, "/v1/nodes/" + string(there) + "/terminal"},
			{server, "/v1/nodes/" + string(here) + "/terminal/own"}, {o.worker, "/v1/nodes/" + string(there) + "/terminal/own"},
		} {
			before, _ := o.hosts[here].counts()
			beforeThere, _ := o.hosts[there].counts()
			status := post(t, &c, "https://"+way.address+way.path)
			after, _ := o.hosts[here].counts()
			afterThere, _ := o.hosts[there].counts()
			started := after+afterThere > before+beforeThere
			if started != (status == http.StatusOK) || !started && status != http.StatusForbidden {
				t.Errorf("%s at %s: status %d, started %v", tt.name, way.path, status, started)
			}
			got += map[bool]string{true: "+", false: "-"}[started]
		}
		c.CloseIdleConnections()
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// operator makes the identity of a person.
func (b *bench) operator() *tls.Config {
	b.t.Helper()
	key, csr, err := pki.NewKey()
	if err != nil {
		b.t.Fatal(err)
	}
	cert, err := b.server.Authority.SignOperator(csr, "alice", time.Hour, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.t.Fatal(err)
	}
	settings, err := pki.OperatorTLS(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), b.server.Authority.CertPEM())
	if err != nil {
		b.t.Fatal(err)
	}
	return settings
}

// post asks for a terminal and returns the status of the answer.
func post(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(opening("exit 7")))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}

// opening is the first frame of a terminal.
func opening(command string) []byte {
	var b bytes.Buffer
	_ = channel.NewConn(nil, &b, nil).SendJSON(channel.Open, wire.Terminal{Command: command})
	return b.Bytes()
}

// A terminal that a server opened ends when that is no server any more.
func TestATerminalEndsWhenTheRightToItIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		right := true
		known := func() roster {
			return roster{member: func(cluster.NodeID) bool { mu.Lock(); defer mu.Unlock(); return right }}
		}
		host := &fakeHost{}
		terminals := NewTerminals(there, host, slog.New(slog.DiscardHandler))
		body, user := io.Pipe()
		r := httptest.NewRequestWithContext(withCaller(t.Context(), pki.Caller{Kind: pki.Node, Node: here}), "POST", "/", body)
		r.SetPathValue("id", string(there))
		r.ProtoMajor = 2
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			serveOwnTerminal(w, r, terminals, known)
		}()
		near := channel.NewConn(nil, user, nil)
		if _, err := user.Write(opening("wait")); err != nil {
			t.Fatal(err)
		}
		for range 12 { // it goes on for as long as there is a right to it
			_ = loop.Sleep(t.Context(), 5*time.Second)
			if err := near.Send(channel.Alive, nil); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		right = false
		mu.Unlock()
		began := time.Now()
		<-done
		if _, killed := host.counts(); killed != 1 || time.Since(began) > 5*time.Second {
			t.Errorf("%d killed after %s", killed, time.Since(began))
		}
		frames := channel.NewConn(w.Body, io.Discard, nil)
		for {
			kind, payload, err := frames.Receive()
			if err != nil {
				t.Fatal("nobody is told why")
			}
			var p wire.Problem
			if kind == channel.Failed && json.Unmarshal(payload, &p) == nil && p.Code == cluster.Denied.String() {
				break
			}
		}
		_ = user.Close()
	})
}

// Whom root lets open the socket may run units, and see them; but a shell is root's.
func TestOnlyRootOpensATerminalThroughTheSocket(t *testing.T) {
	o := newOffice(t)
	for _, tt := range []struct {
		name   string
		who    context.Context
		status int
	}{
		{"root", withUID(t.Context(), 0), http.StatusOK},
		{"the daemon's own user", withUID(t.Context(), os.Geteuid()), http.StatusOK},
		{"somebody else", withUID(t.Context(), 65534), http.StatusForbidden},
		{"nobody knows who", t.Context(), http.StatusForbidden},
	} {
		for _, path := range []string{"/terminal", "/terminal/own"} {
			r := httptest.NewRequestWithContext(tt.who, "POST", "/v1/nodes/"+string(here)+path, bytes.NewReader(opening("exit 7")))
			r.ProtoMajor = 2
			w := httptest.NewRecorder()
			before, _ := o.hosts[here].counts()
			o.server.Local().ServeHTTP(w, r)
			if after, _ := o.hosts[here].counts(); w.Code != tt.status || (after > before) != (tt.status == http.StatusOK) {
				t.Errorf("%s, %s: status %d, %d started", tt.name, path, w.Code, after-before)
			}
		}
	}
}

// slowCaller is an answer to a caller whose request comes as slowly as it likes.
type slowCaller struct {
	*httptest.ResponseRecorder
	body *io.PipeWriter
}

func (s slowCaller) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		loop.NewDeadline(time.Until(at), func() { _ = s.body.CloseWithError(os.ErrDeadlineExceeded) })
	}
	return nil
}

func TestACallerThatDoesNotSayWhatToRunIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, begun := range [][]byte{nil, opening("wait")[:8]} {
			host := &fakeHost{}
			terminals := NewTerminals(there, host, slog.New(slog.DiscardHandler))
			body, user := io.Pipe()
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/", body)
			r.SetPathValue("id", string(there))
			r.ProtoMajor = 2
			go func() { _, _ = user.Write(begun) }()
			w, began := slowCaller{httptest.NewRecorder(), user}, time.Now()
			terminals.serve(w, r, "somebody", func() error { return nil })
			if n, _ := host.counts(); w.Code != http.StatusBadRequest || n != 0 || time.Since(began) != openMax || terminals.open.Load() != 0 {
				t.Errorf("status %d after %s, %d started", w.Code, time.Since(began), n)
			}
		}
	})
}

func TestATerminalNeedsHTTP2(t *testing.T) {
	o := newOffice(t)
	r := httptest.NewRequestWithContext(withUID(t.Context(), 0), "POST", "/v1/nodes/"+string(here)+"/terminal", bytes.NewReader(opening("cat")))
	w := httptest.NewRecorder()
	o.server.Local().ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "HTTP/2") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What a server may do for a node, a user of the node's socket may not.
func TestAWorkersSocketDoesNothingInTheNameOfItsNode(t *testing.T) {
	b := newBench(t)
	servers := client.New(client.Config{Addresses: []string{b.serveAs(here, b.server.Handler())}, TLS: b.identity(there).ClientTLS()})
	defer servers.Close()
	socket := NewWorker(WorkerDeps{Self: there, Servers: servers})
	call := func(method, path, body string) int {
		w := httptest.NewRecorder()
		socket.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		return w.Code
	}
	own := "/v1/nodes/" + string(there)
	for _, request := range []string{"DELETE " + own, "PUT " + own + "/report", "POST " + own + "/session", "POST " + own + "/statuses", "POST " + own + "/server", "GET " + own + "/slice"} {
		method, path, _ := strings.Cut(request, " ")
		if code := call(method, path, `{"node":"`+string(there)+`"}`); code != http.StatusForbidden {
			t.Errorf("%s: %d", request, code)
		}
	}
	if code := call(http.MethodGet, wire.PathOpenAPI, ""); code != http.StatusOK {
		t.Errorf("what any member may read: %d", code)
	}
}

func TestAWorkersSocketOpensNoTerminal(t *testing.T) {
	endless, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/nodes/"+string(here)+"/terminal", endless)
	w := httptest.NewRecorder()
	NewWorker(WorkerDeps{Self: there}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "run the command on a server") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
