package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/etcd/etcdtest"
	"argosy/internal/keyspace/etcdspace"
	"argosy/internal/pki"
	"argosy/internal/store"
)

// ways is a key space as a worker's programs reach it: their daemon's loopback, mutual
// TLS to one of two servers, and etcd.
type ways struct {
	*bench
	servers  [2]*http.Server
	loopback *httptest.Server
}

// identity makes the identity of a node.
func identity(t *testing.T, authority *pki.Authority, id cluster.NodeID) *pki.Keeper {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "identity")
	_, csr, err := pki.LoadOrNewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.SignNode(pki.NodeCert{CSR: csr, Node: id, Name: "n", Address: netip.MustParseAddr("127.0.0.1"), Life: time.Hour}, time.Now())
	if err == nil {
		err = pki.Save(dir, pki.Identity{Cluster: authority.ID(), Node: id, Name: "n"}, cert, authority.CertPEM())
	}
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return keeper
}

func newWays(t *testing.T) *ways {
	t.Helper()
	w := &ways{bench: newBench(t)}
	c := etcdtest.New(t)
	db := c.Open(t, c.Found(t, "n1"))
	keys := etcdspace.New(etcdspace.Deps{Conn: db.Conn(), Store: db, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = keys.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	w.server.Keys = keys
	server := identity(t, w.server.Authority, here)
	var addresses []string
	for i := range w.servers {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, listener.Addr().String())
		w.servers[i] = NewHTTPServer(w.server.Handler(), slog.New(slog.DiscardHandler))
		go func() { _ = w.servers[i].Serve(tls.NewListener(listener, server.ServerTLS())) }()
		t.Cleanup(func() { _ = w.servers[i].Close() })
	}
	uplink := client.New(client.Config{Addresses: addresses, TLS: identity(t, w.server.Authority, there).ClientTLS()})
	t.Cleanup(uplink.Close)
	w.loopback = httptest.NewUnstartedServer(nil)
	w.loopback.Config = NewHTTPServer(NewWorkerLoopback(uplink), slog.New(slog.DiscardHandler))
	w.loopback.Start()
	t.Cleanup(w.loopback.Close)
	return w
}

// ask makes a request of version 2 through the worker.
func (w *ways) ask(method, path, form string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.loopback.URL+path, strings.NewReader(form))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

func TestAWorkersProgramsReachTheKeySpace(t *testing.T) {
	w := newWays(t)
	if code, text := w.ask("PUT", "/v2/keys/a/b", "value=1"); code != 201 || !strings.Contains(text, `"key":"/a/b"`) {
		t.Fatalf("%d %s", code, text)
	}
	if code, text := w.ask("GET", "/v2/machines", ""); code != 200 || text != w.loopback.URL {
		t.Errorf("machines: %d %q", code, text)
	}
	var keys wire.Keys
	if p := w.call("GET", wire.PathKeys+"?key=/a&prefix=true", nil, &keys); p != nil || len(keys.Items) != 1 || keys.Items[0].Value.Text != "1" {
		t.Errorf("%+v, %+v", keys, p)
	}
	// What is not the key space's does not get through, or it would be the node's doing.
	for _, call := range []string{
		"POST " + strings.Replace(wire.PathRenew, "{id}", string(there), 1), "GET " + wire.PathStatus, "GET " + wire.PathUnits,
		"POST /etcdserverpb.Auth/AuthEnable", "GET /v2/keys/../../v1/status", "POST " + wire.PathKeys,
	} {
		method, path, _ := strings.Cut(call, " ")
		if code, text := w.ask(method, path, "{}"); code != 404 && code != 405 {
			t.Errorf("%s: %d %s", call, code, text)
		}
	}
	// One server goes; the other answers.
	if err := w.servers[0].Close(); err != nil {
		t.Fatal(err)
	}
	answered := 0
	for range 3 { // one call may be lost with the server
		if code, _ := w.ask("GET", "/v2/keys/a/b", ""); code == 200 {
			answered++
		}
	}
	if answered < 2 {
		t.Errorf("with one server of two, %d of 3 calls were answered", answered)
	}
	if err := w.servers[1].Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, text := w.ask("GET", "/v2/keys/a/b", ""); code != 503 && code != 0 {
			t.Errorf("without servers: %d %s", code, text)
		}
	}
}

// etcd's own client reads the trailers, and is told of a server that has gone by one.
func TestAStreamEndsWithItsServer(t *testing.T) {
	w := newWays(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h2 := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	call := func(method string, body io.Reader) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "POST", w.loopback.URL+"/etcdserverpb."+method, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		answer, err := h2.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	const (
		get   = "\x00\x00\x00\x00\x03\x0a\x01k"         // RangeRequest{key: "k"}
		watch = "\x00\x00\x00\x00\x05\x0a\x03\x0a\x01k" // WatchRequest{create: {key: "k"}}
	)
	answer := call("KV/Range", strings.NewReader(get))
	if text, err := io.ReadAll(answer.Body); err != nil || len(text) < 5 || answer.Trailer.Get("Grpc-Status") != "0" {
		t.Fatalf("%q, %v, trailers %v", text, err, answer.Trailer)
	}
	asks, more := io.Pipe() // for as long as it watches, the client may ask more
	defer more.Close()
	go func() { _, _ = io.WriteString(more, watch) }()
	answer = call("Watch/Watch", asks)
	if _, err := io.ReadFull(answer.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for _, server := range w.servers {
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadAll(answer.Body); err != nil || answer.Trailer.Get("Grpc-Status") != "14" {
		t.Errorf("the stream ended with %v, trailers %v", err, answer.Trailer)
	}
	answer = call("KV/Range", strings.NewReader(get))
	if _, err := io.ReadAll(answer.Body); err != nil || answer.Header.Get("Grpc-Status") != "14" || answer.Header.Get("Grpc-Message") == "" {
		t.Errorf("without servers: %v, headers %v", err, answer.Header)
	}
}

// Who is no member of the cluster reads no key, and a node that is removed while it
// listens is told no more.
func TestWhoMayUseTheKeySpace(t *testing.T) {
	w := newWays(t)
	for _, path := range []string{"/v2/keys/a", wire.PathKeys + "?key=a", "/version"} {
		r := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if r.Code != http.StatusForbidden {
			t.Errorf("%s, asked by nobody: %d", path, r.Code)
		}
	}
	done := make(chan string, 1)
	go func() {
		_, text := w.ask("GET", "/v2/keys/a?wait=true", "")
		done <- text
	}()
	var streams int
	for deadline := time.Now().Add(10 * time.Second); streams == 0 && time.Now().Before(deadline); {
		_, streams = etcdspace.Open(w.server.Keys.(*etcdspace.Service))
	}
	w.put(store.Delete(store.NodeKey(there)))
	select {
	case <-done:
	case <-t.Context().Done():
	case <-w.patience():
		t.Error("a node that was removed listens on")
	}
}

// patience is how long anything may take that must happen.
func (w *ways) patience() <-chan struct{} {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	w.t.Cleanup(cancel)
	return ctx.Done()
}

func TestKeysOverTheAPI(t *testing.T) {
	w := newWays(t)
	text := func(s string) wire.Bytes { return wire.BytesOf(s) }
	write := func(in wire.KeyWrite) (wire.KeyAnswer, *wire.Problem) {
		var out wire.KeyAnswer
		p := w.call("POST", wire.PathKeys, in, &out)
		return out, p
	}
	first, p := write(wire.KeyWrite{Key: text("k\xff"), Value: text("\x00\x01\xfe")})
	if p != nil {
		t.Fatal(p)
	}
	var keys wire.Keys
	if p := w.call("GET", wire.PathKeys+"?prefix=true", nil, &keys); p != nil || len(keys.Items) != 1 || keys.Items[0].Key.String() != "k\xff" || keys.Items[0].Value.String() != "\x00\x01\xfe" {
		t.Errorf("what is no text came back as %+v, %+v", keys, p)
	}
	expected := text("\x00\x01\xfe")
	for name, tt := range map[string]struct {
		write wire.KeyWrite
		code  string
	}{
		"absent, and it is there":   {wire.KeyWrite{Key: text("k\xff"), If: &wire.KeyCondition{Absent: true}}, "conflict"},
		"another revision":          {wire.KeyWrite{Key: text("k\xff"), If: &wire.KeyCondition{Changed: first.Revision - 1}}, "conflict"},
		"there is none":             {wire.KeyWrite{Key: text("n"), If: &wire.KeyCondition{Value: &expected}}, "conflict"},
		"no key":                    {wire.KeyWrite{Value: text("x")}, "invalid"},
		"a prefix, written":         {wire.KeyWrite{Key: text("k"), Prefix: true}, "invalid"},
		"a time that is no seconds": {wire.KeyWrite{Key: text("k"), TTL: time.Millisecond}, "invalid"},
		"a time below zero":         {wire.KeyWrite{Key: text("k"), TTL: -time.Second}, "invalid"},
		"too large":                 {wire.KeyWrite{Key: text("k"), Value: text(strings.Repeat("x", 1<<20))}, "invalid"},
	} {
		if _, p := write(tt.write); p == nil || p.Code != tt.code || p.Detail == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if _, p := write(wire.KeyWrite{Key: text("k\xff"), Value: text("2"), TTL: time.Minute, If: &wire.KeyCondition{Value: &expected, Changed: first.Revision}}); p != nil {
		t.Error(p)
	}
	if p := w.call("GET", wire.PathKeys+"?key=k%FF", nil, &keys); p != nil || keys.Items[0].TTL <= 0 || keys.Items[0].TTL > time.Minute {
		t.Errorf("%+v, %+v", keys, p)
	}
	for i := range 3 { // each replaces the last, and its lease
		if _, p := write(wire.KeyWrite{Key: text("k\xff"), Value: text(fmt.Sprint(i)), TTL: time.Minute}); p != nil {
			t.Error(p)
		}
	}
	if removed, p := write(wire.KeyWrite{Key: text("k"), Delete: true, Prefix: true}); p != nil || removed.Removed != 1 {
		t.Errorf("%+v, %+v", removed, p)
	}
	if leases, _ := etcdspace.Open(w.server.Keys.(*etcdspace.Service)); leases > 0 {
		t.Errorf("%d leases are left", leases)
	}
	w.watchesKeys(first.Revision)
}

// watchesKeys reads what changed after a revision.
func (w *ways) watchesKeys(after cluster.Revision) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	r, out := httptest.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s?prefix=true&key=k&after=%d", wire.PathKeysWatch, after), nil), &lines{cancel: cancel, enough: 5}
	w.server.Local().ServeHTTP(out, r)
	words := ""
	for line := range strings.Lines(out.text.String()) {
		var m wire.KeyEvents
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			w.t.Fatal(err)
		}
		for _, e := range m.Events {
			words += fmt.Sprintf("%s %v; ", e.Value, e.Deleted)
		}
	}
	if want := "2 false; 0 false; 1 false; 2 false;  true; "; words != want {
		w.t.Errorf("told %q, want %q", words, want)
	}
}

// lines takes a stream, and ends it when it has told enough events.
type lines struct {
	text   strings.Builder
	cancel func()
	enough int
}

func (l *lines) Header() http.Header { return http.Header{} }
func (l *lines) WriteHeader(int)     {}
func (l *lines) Flush()              {}

func (l *lines) Write(p []byte) (int, error) {
	n, err := l.text.Write(p)
	if strings.Count(l.text.String(), `"key"`) >= l.enough {
		l.cancel()
	}
	return n, err
}
