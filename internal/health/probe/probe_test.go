package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"argosy/internal/health/probe"
	"argosy/internal/unitfile"
)

// at is a probe of a kind at an address.
func at(t *testing.T, kind, address, path string) unitfile.Probe {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return unitfile.Probe{Kind: kind, Host: host, Port: uint16(n), Path: path}
}

// ask asks with a deadline, so that a test that hangs fails.
func ask(t *testing.T, p unitfile.Probe, environment ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := probe.Ask(ctx, p, environment); err != nil {
		return err.Error()
	}
	return ""
}

// closed is an address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestHTTP(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/moved":
			http.Redirect(w, r, "/sick", http.StatusFound)
		case "/sick":
			w.WriteHeader(http.StatusInternalServerError)
		case "/long?a=b":
			_, _ = fmt.Fprint(w, strings.Repeat("x", 1<<20))
		case "/cut":
			w.Header().Set("Content-Length", "10")
			_, _ = fmt.Fprint(w, "x")
		case "/":
		default:
			http.NotFound(w, r)
		}
	})
	plain, secret := httptest.NewServer(pages), httptest.NewTLSServer(pages)
	defer plain.Close()
	defer secret.Close()
	for _, tt := range []struct{ kind, path, want string }{
		{"http", "/", ""},
		{"http", "/moved", ""},
		{"http", "/long?a=b", ""},
		{"http", "/sick", "HTTP 500"},
		{"http", "/unknown", "HTTP 404"},
		{"http", "/cut", "unexpected EOF"},
		{"https", "/", ""}, // whoever signed its certificate
		{"https", "/sick", "HTTP 500"},
	} {
		server := plain
		if tt.kind == "https" {
			server = secret
		}
		if got := ask(t, at(t, tt.kind, server.Listener.Addr().String(), tt.path)); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.kind, tt.path, got, tt.want)
		}
	}
	if got := ask(t, at(t, "http", closed(t), "/")); got != "connection refused" {
		t.Errorf("nobody listens: %q", got)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if got := ask(t, at(t, "tcp", l.Addr().String(), "")); got != "" {
		t.Errorf("somebody listens: %q", got)
	}
	if got := ask(t, at(t, "tcp", closed(t), "")); got != "connection refused" {
		t.Errorf("nobody listens: %q", got)
	}
}

func TestWhoDoesNotAnswerIsNotWaitedForLonger(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, p := range []unitfile.Probe{
		at(t, "http", l.Addr().String(), "/"), at(t, "https", l.Addr().String(), "/"), at(t, "grpc", l.Addr().String(), ""),
		{Kind: "exec", Command: []string{"/bin/sleep", "100"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := probe.Ask(ctx, p, nil); err == nil || err.Error() != "no answer in time" {
			t.Errorf("%s: %v", p.Kind, err)
		}
		cancel()
	}
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, states := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, states)
	states.SetServingStatus("shop.Cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	for service, want := range map[string]string{"": "", "shop.Cart": "gRPC: NOT_SERVING", "other": "gRPC: unknown service"} {
		if got := ask(t, at(t, "grpc", l.Addr().String(), service)); got != want {
			t.Errorf("%q: %q, want %q", service, got, want)
		}
	}
	if got := ask(t, at(t, "grpc", closed(t), "")); !strings.Contains(got, "connection refused") {
		t.Errorf("nobody listens: %q", got)
	}
}

func TestCommand(t *testing.T) {
	shell := func(script string) unitfile.Probe {
		return unitfile.Probe{Kind: "exec", Command: []string{"/bin/sh", "-c", script}}
	}
	for _, tt := range []struct{ script, want string }{
		{"true", ""},
		{"exit 3", "exit code 3"},
		{"echo one; echo two >&2; exit 1", "exit code 1: two"},
		{"printf '\\033[31mred\\377\\n\\n'; exit 1", "exit code 1: [31mred"},
		{"seq 100000; exit 1", "exit code 1: 100000"},
		{"kill -9 $$", "signal: killed"},
		{`test "$A" = "b c" && test -z "$HOME"`, ""},
	} {
		if got := ask(t, shell(tt.script), "A=b c", "PATH=/usr/bin:/bin"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.script, got, tt.want)
		}
	}
	if got := ask(t, unitfile.Probe{Kind: "exec", Command: []string{"/no/such"}}); !strings.Contains(got, "no such file") {
		t.Errorf("a program that is not there: %q", got)
	}
}

// Nothing of a command is left: neither when its time is over, nor when it leaves
// others behind.
func TestACommandEndsWhole(t *testing.T) {
	for rest, well := range map[string]bool{
		"sleep 100 & echo $! > PID; wait":           false,
		"sleep 100 & echo $! > PID; exit 0":         true,
		"sleep 100 & echo $! > PID; exit 1":         false,
		"sleep 100 >/dev/null 2>&1 & echo $! > PID": true,
	} {
		pid := filepath.Join(t.TempDir(), "pid")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		script := strings.ReplaceAll(rest, "PID", pid)
		err := probe.Ask(ctx, unitfile.Probe{Kind: "exec", Command: []string{"/bin/sh", "-c", script}}, []string{"PATH=/usr/bin:/bin"})
		cancel()
		if (err == nil) != well {
			t.Errorf("%s: %v", rest, err)
		}
		text, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !gone(t, child) {
			t.Errorf("%s: process %d is left", rest, child)
		}
	}
}

// One that leaves its group cannot be found, and keeps no answer back.
func TestACommandThatLeavesADaemonBehindIsHeard(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	got := ask(t, unitfile.Probe{Kind: "exec", Command: []string{"/bin/sh", "-c", "setsid sleep 5 & echo $! > " + pid}}, "PATH=/usr/bin:/bin")
	if got != "" {
		t.Errorf("%q", got)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if child, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = unix.Kill(child, unix.SIGKILL)
	}
}

// gone reports whether a process ends within seconds, if it was not gone already.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000)
	return err == nil && n == 1
}
