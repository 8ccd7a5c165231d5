package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// dialled calls the command line with the API's own client.
func dialled(t *testing.T, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := Run(t.Context(), append([]string{"argosy"}, args...), Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err,
		Getenv: func(string) string { return "" }, IsTerminal: func(any) bool { return false }, Now: testNow,
	})
	return result{code, out.String(), err.String()}
}

func TestADaemonIsReachedByItsSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
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
	defer func() {
		_ = server.Close()
		<-done
	}()
	if got := dialled(t, "--socket", socket, "list-units", "-o", "name"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got := dialled(t, "--socket", socket, "list-unit-files", "-o", "name"); got.out != "hello.service\n" {
		t.Errorf("%+v", got)
	}
	if got := dialled(t, "--socket", socket, "token", "ls"); got.code != 1 || got.err != "argosy: not you\nhint: ask somebody\n" {
		t.Errorf("%+v", got)
	}
}

func TestWithoutADaemonThereIsAHint(t *testing.T) {
	got := dialled(t, "--socket", filepath.Join(t.TempDir(), "none"), "status")
	if got.code != 1 || !strings.Contains(got.err, "no daemon listens at ") || !strings.Contains(got.err, "\nhint: systemctl start argosy") {
		t.Errorf("%+v", got)
	}
}
