package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// dialled calls the command line with the API's own client.
func dialled(t *testing.T, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := Run(t.Context(), args, Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err,
		Getenv: func(string) string { return "" }, IsTerminal: func(any) bool { return false }, Now: testNow,
	})
	return result{code, out.String(), err.String()}
}

// someDaemon answers at a socket, for as long as the test takes: it has
// hello.service, and refuses what is not about units.
func someDaemon(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, listener)
	return socket
}

// serve is the same at any listener.
func serve(t *testing.T, listener net.Listener) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.PathUnits {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(wire.Problem{Title: "Forbidden", Status: http.StatusForbidden, Code: "denied", Detail: "not you", Hint: "ask somebody"})
			return
		}
		_ = json.NewEncoder(w).Encode(wire.List[wire.UnitView]{Items: units(hello(cluster.Inactive))})
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

func TestADaemonIsReachedByItsSocket(t *testing.T) {
	socket := someDaemon(t)
	if got := dialled(t, "argosy", "--socket", socket, "list-units", "-o", "name"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := dialled(t, "argosy", "--socket", socket, "list-unit-files", "-o", "name"); got.out != "hello.service\n" {
		t.Errorf("%+v", got)
	}
	if got := dialled(t, "argosy", "--socket", socket, "token", "ls"); got.code != 1 || got.err != "argosy: not you\nhint: ask somebody\n" {
		t.Errorf("%+v", got)
	}
}

func TestADaemonIsReachedByAPortThatLeadsToItsSocket(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, listener)
	if got := dialled(t, "fleetctl", "--endpoint=http://"+listener.Addr().String(), "list-unit-files", "-o", "name"); got.out != "hello.service\n" {
		t.Errorf("%+v", got)
	}
}

// envFarSide, if set, makes the test program the far side of a tunnel.
const envFarSide = "ARGOSY_TEST_FAR_SIDE"

func TestMain(m *testing.M) {
	if socket := os.Getenv(envFarSide); socket != "" {
		Run(context.Background(), []string{"argosy", "fd-forward", socket}, Env{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, IsTerminal: func(any) bool { return false },
		})
		return
	}
	m.Run()
}

// fakeSSH puts an ssh on the path that writes its arguments down, one to a line,
// and then does what the script says.
func fakeSSH(t *testing.T, script string) (asked func() []string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "asked")
	text := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$@\" > '%s'\n%s\n", file, script)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

func TestADaemonIsReachedThroughSSH(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	asked := fakeSSH(t, envFarSide+"='"+someDaemon(t)+"' exec '"+program+"'")
	for _, where := range []string{"--tunnel=core@node-1:2222", "--endpoint=ssh://core@node-1:2222"} {
		got := dialled(t, "fleetctl", where, "--strict-host-key-checking=false", "list-unit-files", "-o", "name")
		if want := (result{out: "hello.service\n"}); got != want {
			t.Errorf("%s: %+v", where, got)
		}
		want := []string{
			"-T", "-l", "core", "-p", "2222", "-o", "ConnectTimeout=10", "-o", "StrictHostKeyChecking=no", "--", "node-1",
			"argosy fd-forward '/run/argosy/argosy.sock'",
		}
		if diff := cmp.Diff(want, asked()); diff != "" {
			t.Errorf("%s: %s", where, diff)
		}
	}
}

func TestWhatSSHSaysIsTold(t *testing.T) {
	fakeSSH(t, "echo 'core@node-1: Permission denied (publickey).' >&2; exit 255")
	got := dialled(t, "fleetctl", "--tunnel=node-1", "list-units")
	if want := (result{code: 1, err: "fleetctl: no tunnel by ssh: core@node-1: Permission denied (publickey).\n"}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestWithoutADaemonThereIsAHint(t *testing.T) {
	got := dialled(t, "argosy", "--socket", filepath.Join(t.TempDir(), "none"), "status")
	if got.code != 1 || !strings.Contains(got.err, "no daemon listens at ") || !strings.Contains(got.err, "\nhint: systemctl start argosy") {
		t.Errorf("%+v", got)
	}
}
