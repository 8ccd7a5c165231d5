package etcdctl_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/etcdv2"
	"argosy/internal/cli/etcdctl"
	"argosy/internal/cluster"
	"argosy/internal/keyspace"
	"argosy/internal/keyspace/memspace"
)

// desk is where somebody types etcdctl, with a key space at its endpoint.
type desk struct {
	t   *testing.T
	url string
	env map[string]string
}

// members are those of a key space; the last is ill in some tests.
func members(ill bool) func(context.Context, bool) ([]keyspace.Member, error) {
	return func(_ context.Context, health bool) ([]keyspace.Member, error) {
		return []keyspace.Member{
			{ID: 0xa1, Name: "n1", PeerURLs: []string{"https://10.0.0.1:7502"}, Healthy: health, Leader: health},
			{ID: 0xb2, Name: "n2", PeerURLs: []string{"https://10.0.0.2:7502"}, Healthy: health && !ill},
		}, nil
	}
}

func newDesk(t *testing.T, ill bool) *desk {
	t.Helper()
	n := uint32(0)
	server := httptest.NewServer(etcdv2.New(etcdv2.Deps{
		Space: memspace.New(), Cluster: func() cluster.ID { return "c" }, Version: "3.7.3", Now: time.Now,
		Random: func() uint32 { n++; return n }, Members: members(ill),
	}))
	t.Cleanup(server.Close)
	return &desk{t, server.URL, map[string]string{"ETCDCTL_PEERS": server.URL}}
}

// buffer is an output that is read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// typed runs a line, and returns the exit code with what was printed.
func (d *desk) typed(ctx context.Context, in string, out *buffer, args ...string) (code int, errs string) {
	var wrong buffer
	code = etcdctl.Run(ctx, args, etcdctl.Env{
		Stdin: strings.NewReader(in), Stdout: out, Stderr: &wrong, Getenv: func(name string) string { return d.env[name] }, Environ: os.Environ(),
	})
	return code, wrong.String()
}

// A session of the old time, with the output and the exit codes that it had.
func TestTheVerbsOfVersion2(t *testing.T) {
	d := newDesk(t, false)
	for _, step := range []struct {
		line, in, want string
	}{
		{line: "set /message Hello", want: "0 Hello\n"},
		{line: "get /message", want: "0 Hello\n"},
		{line: "set /message World --ttl 60", want: "0 World\n"},
		{line: "-o extended get /message", want: "0 Key: /message\nCreated-Index: 2\nModified-Index: 3\nTTL: 60\nIndex: 3\n\nWorld\n"},
		{line: "-o json get /message", want: "0 {\"action\":\"get\",\"node\":{\"key\":\"/message\",\"value\":\"World\",\"expiration\":\"…\",\"ttl\":60,\"modifiedIndex\":3,\"createdIndex\":2}}\n"},
		{line: "set /message --swap-with-value World Mars", want: "0 Mars\n"},
		{line: "set /message --swap-with-value World Mars", want: "4 Error:  101: Compare failed ([World != Mars]) [4]\n"},
		{line: "set /message Venus --swap-with-index 3", want: "4 Error:  101: Compare failed ([3 != 4]) [4]\n"},
		{line: "set /message Venus --swap-with-index 4", want: "0 Venus\n"},
		{line: "mk /message again", want: "4 Error:  105: Key already exists (/message) [5]\n"},
		{line: "mk /dir/new value", want: "0 value\n"},
		{line: "update /none value", want: "4 Error:  100: Key not found (/none) [6]\n"},
		{line: "update /dir/new other", want: "0 other\n"},
		{line: "set /in", in: "from a pipe\n", want: "0 from a pipe\n\n"},
		{line: "mkdir /empty", want: "0 "},
		{line: "mkdir /empty", want: "4 Error:  105: Key already exists (/empty) [9]\n"},
		{line: "setdir /set --ttl 60", want: "0 "},
		{line: "updatedir /set --ttl 90", want: "0 "},
		{line: "ls", want: "0 /dir\n/empty\n/in\n/message\n/set\n"},
		{line: "ls --recursive -p /", want: "0 /dir/\n/dir/new\n/empty/\n/in\n/message\n/set/\n"},
		{line: "ls /message", want: "0 /message\n"},
		{line: "get /dir", want: "1 /dir: is a directory\n"},
		{line: "rm /dir", want: "4 Error:  102: Not a file (/dir) [11]\n"},
		{line: "rmdir /dir", want: "4 Error:  108: Directory not empty (/dir) [11]\n"},
		{line: "rm --recursive /dir", want: "0 "},
		{line: "rmdir /empty", want: "0 "},
		{line: "rm /message --with-value Mars", want: "4 Error:  101: Compare failed ([Mars != Venus]) [13]\n"},
		{line: "rm /message", want: "0 PrevNode.Value: Venus\n"},
		{line: "get nothing", want: "4 Error:  100: Key not found (/nothing) [14]\nhint: this is version 2 of the API; ETCDCTL_API=3 reads what put wrote as \"nothing\"\n"},
		{line: "mk --in-order /queue job", want: "0 job\n"},
		{line: "watch /in --after-index 7", want: "0 from a pipe\n\n"},
		{line: "watch -r / --after-index 13", want: "0 [delete] /message\nPrevNode.Value: Venus\n"},
		{line: "member list", want: "0 a1: name=n1 peerURLs=https://10.0.0.1:7502 clientURLs=URL isLeader=true\nb2: name=n2 peerURLs=https://10.0.0.2:7502 clientURLs=URL isLeader=false\n"},
		{line: "cluster-health", want: "0 member a1 is healthy: got healthy result from URL\nmember b2 is healthy: got healthy result from URL\ncluster is healthy\n"},
		{line: "nosuch", want: "1 Error:  there is no verb \"nosuch\"; etcdctl --help lists them\n"},
		{line: "-o xml get /in", want: "1 Error:  there is no form \"xml\": simple, extended or json\n"},
		{line: "--peers http://127.0.0.1:1,URL get /in", want: "0 from a pipe\n\n"},
		{line: "-C URL --no-sync --debug get /in", want: "0 from a pipe\n\n"},
	} {
		var out buffer
		code, errs := d.typed(t.Context(), step.in, &out, strings.Fields(strings.ReplaceAll(step.line, "URL", d.url))...)
		got := fmt.Sprintf("%d %s", code, strings.ReplaceAll(out.String()+errs, d.url, "URL"))
		if before, rest, ok := strings.Cut(got, `"expiration":"`); ok {
			_, rest, _ = strings.Cut(rest, `"`)
			got = before + `"expiration":"…"` + rest
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("etcdctl %s (-want +got):\n%s", step.line, diff)
		}
	}
}

func TestAMemberThatIsIll(t *testing.T) {
	var out buffer
	d := newDesk(t, true)
	if code, _ := d.typed(t.Context(), "", &out, "cluster-health"); code != 5 || !strings.Contains(out.String(), "member b2 is unreachable") || !strings.Contains(out.String(), "cluster is unavailable") {
		t.Errorf("exit code %d\n%s", code, &out)
	}
}

func TestNobodyAnswers(t *testing.T) {
	d := &desk{t, "", map[string]string{"ETCDCTL_ENDPOINTS": "127.0.0.1:1"}}
	for line, want := range map[string]int{"get /x": 4, "set /x y": 4, "--timeout 1s ls": 4, "--command-timeout 1s put x y": 1, "--command-timeout 300ms endpoint health": 1} {
		var out buffer
		if code, errs := d.typed(t.Context(), "", &out, strings.Fields(line)...); code != want || errs == "" {
			t.Errorf("%s: exit code %d, %s", line, code, errs)
		}
	}
}

// Which version a line means: shown by the exit code of a line that makes no sense in
// the one that is meant, 1 or 128.
func TestWhichVersionIsMeant(t *testing.T) {
	for _, tt := range []struct {
		api, line string
		want      int
	}{
		{"", "get", 1},
		{"", "watch", 1},
		{"2", "get", 1},
		{"3", "get", 128},
		{"3", "watch", 128},
		{"", "get --prefix", 128},
		{"", "get --limit=3", 128},
		{"", "watch -w json", 128},
		{"2", "get --prefix", 1},
		{"3", "set", 1},
		{"2", "put", 128},
		{"", "-C http://x lease grant", 128},
		{"", "--endpoints x put", 128},
		{"3", "--endpoints set mk", 1},
	} {
		var out buffer
		d := &desk{t, "", map[string]string{"ETCDCTL_API": tt.api}}
		if code, errs := d.typed(t.Context(), "", &out, strings.Fields(tt.line)...); code != tt.want {
			t.Errorf("ETCDCTL_API=%s etcdctl %s: exit code %d, want %d: %s", tt.api, tt.line, code, tt.want, errs)
		}
	}
}

// exec-watch runs a command for each change, through the loss of its server.
func TestExecWatch(t *testing.T) {
	space, n := memspace.New(), uint32(0)
	api := etcdv2.New(etcdv2.Deps{
		Space: space, Cluster: func() cluster.ID { return "c" }, Now: time.Now, Random: func() uint32 { n++; return n }, Members: members(false),
	})
	waiting := make(chan struct{}, 10)
	lost := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") == "true" {
			waiting <- struct{}{}
			if lost++; lost == 2 {
				panic(http.ErrAbortHandler) // the connection breaks
			}
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	d := &desk{t, server.URL, map[string]string{"ETCDCTL_PEERS": server.URL}}
	patience, enough := context.WithTimeout(t.Context(), 20*time.Second)
	defer enough()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, other buffer
	done := make(chan int, 1)
	go func() {
		code, _ := d.typed(ctx, "", &out, "exec-watch", "--recursive", "/w", "--", "printenv", "ETCD_WATCH_ACTION", "ETCD_WATCH_KEY", "ETCD_WATCH_VALUE", "ETCD_WATCH_MODIFIED_INDEX")
		done <- code
	}()
	next := func() {
		select {
		case <-waiting:
		case <-patience.Done():
			t.Fatalf("nobody waits any more; ran with\n%s", &out)
		}
	}
	next()
	d.typed(t.Context(), "", &other, "set", "/w/a", "1")
	next() // this one breaks
	d.typed(t.Context(), "", &other, "set", "/w/b", "2")
	next() // and this is answered from where the last change was
	next()
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("interrupted: exit code %d", code)
	}
	if want := "set\n/w/a\n1\n2\nset\n/w/b\n2\n3\n"; out.String() != want {
		t.Errorf("ran with\n%s\nwant\n%s", &out, want)
	}
}
