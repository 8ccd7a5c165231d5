package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/hostdns"
	"argosy/internal/loop"
)

// daemon tells what the test says, until it is told to go away.
type daemon struct {
	mu    sync.Mutex
	after []string
	says  chan wire.Services
	away  bool
}

func (d *daemon) FollowServices(ctx context.Context, q client.ServicesQuery, each func(wire.Services) error) error {
	d.mu.Lock()
	d.after = append(d.after, q.After)
	away := d.away
	d.mu.Unlock()
	if away {
		return errors.New("no daemon")
	}
	for {
		select {
		case m, more := <-d.says:
			if !more {
				return nil
			}
			if err := each(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func following(t *testing.T, path string) (*follower, *daemon) {
	s := NewServer(domain, nil, nil)
	d := &daemon{says: make(chan wire.Services)}
	f := newFollower(s, d, domain, path, slog.New(slog.DiscardHandler))
	if err := f.restore(); err != nil {
		t.Fatal(err)
	}
	return f, d
}

func TestTheCatalogIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "names.json")
		f, d := following(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = f.run(ctx) }()
		expect := func(why, name, want string) {
			t.Helper()
			synctest.Wait()
			if got := summary(asked(t, f.server, packed(t, question(name, dns.TypeA, edns(1232))), false)); !strings.HasPrefix(got, want) || strings.Contains(got, "ede=3") != strings.Contains(want, "ede=3") {
				t.Errorf("%s: %s, want %s", why, got, want)
			}
		}
		expect("before anything was heard", "web.argosy.internal.", "SERVFAIL")
		c := small()
		d.says <- wire.Services{Cursor: "a", Full: true, Revision: 1, Services: c.Services, Nodes: c.Nodes}
		expect("all", "web.argosy.internal.", "NOERROR aa rd q=web.argosy.internal. 2 0 0")
		expect("nodes", "node-1.node.argosy.internal.", "NOERROR aa rd q=node-1.node.argosy.internal. 1 0 0")
		d.says <- wire.Services{Cursor: "b", Gone: []string{"web"}, Nodes: []cluster.Whereabouts{{ID: "2", Name: "node-2", Address: netip.MustParseAddr("10.0.0.2")}}}
		expect("what is gone", "web.argosy.internal.", "NXDOMAIN")
		expect("what came", "node-2.node.argosy.internal.", "NOERROR aa rd q=node-2.node.argosy.internal. 1 0 0")
		d.says <- wire.Services{Cursor: "b", Stale: true, Age: 100}
		expect("told to be old", "node-2.node.argosy.internal.", "NOERROR aa rd q=node-2.node.argosy.internal. 1 0 0 opt=1232 ede=3")
		d.says <- wire.Services{Cursor: "b"}
		expect("fresh again", "node-2.node.argosy.internal.", "NOERROR aa rd q=node-2.node.argosy.internal. 1 0 0")

		d.mu.Lock()
		d.away = true
		d.mu.Unlock()
		close(d.says)
		if err := loop.Sleep(t.Context(), staleAfter+10*time.Second); err != nil {
			t.Fatal(err)
		}
		if age, heard := f.age(); !heard || age < staleAfter {
			t.Errorf("%s old", age)
		}
		expect("while the daemon is away", "node-2.node.argosy.internal.", "NOERROR aa rd q=node-2.node.argosy.internal. 1 0 0 opt=1232 ede=3")
		d.mu.Lock()
		if len(d.after) < 3 || d.after[0] != "" || d.after[1] != "b" {
			t.Errorf("it went on after %q", d.after)
		}
		d.mu.Unlock()
		cancel()
		<-ended

		next, _ := following(t, path)
		if m := asked(t, next.server, packed(t, question("node-2.node.argosy.internal.", dns.TypeA)), false); len(m.Answer) != 1 {
			t.Errorf("the next process does not know it: %v", m)
		}
	})
}

func TestACopyThatIsDamagedIsSaidToBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names.json")
	if err := os.WriteFile(path, []byte(`{"services": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFollower(NewServer(domain, nil, nil), nil, domain, path, slog.New(slog.DiscardHandler))
	if err := f.restore(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

// A process answers, has the host ask it, says how it is, and leaves nothing behind.
func TestAProcess(t *testing.T) {
	root, run := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(root, "etc/resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	given := 0
	d := &daemon{says: make(chan wire.Services)}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error)
	cfg := Config{
		Domain: domain, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("192.0.2.77:0")}, // the second is none of ours
		Copy: CopyPath(run), State: StatePath(run), Hook: &hostdns.Wanted{Server: netip.MustParseAddr("127.0.0.1"), Domain: domain},
	}
	p := newProcess(cfg, Deps{
		Source: d, Host: hostdns.Host{Root: root}, Log: slog.New(slog.DiscardHandler), Ready: func() { close(ready) },
		Address: func() error { given = 1; return nil }, RemoveAddress: func() error { given = 0; return nil },
	})
	p.forward = nil // it would probe 192.0.2.1
	go func() { ended <- p.run(ctx) }()
	<-ready
	c := small()
	d.says <- wire.Services{Full: true, Services: c.Services, Nodes: c.Nodes}
	d.says <- wire.Services{}
	if text, err := os.ReadFile(conf); err != nil || !strings.Contains(string(text), "nameserver 127.0.0.1\nnameserver 192.0.2.1\nsearch argosy.internal\n") || given != 1 {
		t.Errorf("the host's: %s%v", text, err)
	}
	_, at := p.listeners[0].state()
	if m := overTheWire(t, "udp", at, question("web.argosy.internal.", dns.TypeA)); len(m.Answer) != 2 {
		t.Errorf("%v", m)
	}
	state := p.state()
	if len(state.Answers) != 1 || state.Services != 2 || state.Age != 0 || state.Counts.Queries != 1 || len(state.Problems) != 1 || !strings.Contains(state.Problems[0], "192.0.2.77") {
		t.Errorf("%+v", state)
	}
	cancel()
	<-ended
	if text, err := os.ReadFile(conf); err != nil || string(text) != "nameserver 192.0.2.1\n" || given != 0 {
		t.Errorf("afterwards the host's is %s%v", text, err)
	}
	if _, err := os.Stat(cfg.State); !os.IsNotExist(err) {
		t.Errorf("its state is left: %v", err)
	}
}

func TestAProcessSaysHowItIs(t *testing.T) {
	path := StatePath(t.TempDir())
	p := newProcess(Config{Domain: domain, State: path, Refuse: true}, Deps{Log: slog.New(slog.DiscardHandler), Ready: func() {}})
	if _, err := p.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	var state State
	text, err := os.ReadFile(path)
	if err := errors.Join(err, json.Unmarshal(text, &state)); err != nil || state.Age != -1 {
		t.Errorf("%s: %v", text, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := p.tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what has not changed is written again")
	}
}
