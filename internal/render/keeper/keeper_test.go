package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/render"
	"argosy/internal/render/keeper"
	"argosy/internal/render/target"
)

// hub is a cluster: services and keys that change.
type hub struct {
	mu       sync.Mutex
	down     bool
	noKeys   bool // they cannot be read
	revision cluster.Revision
	services map[string][]string // addresses, by name
	keys     map[string]string
	events   []wire.KeyEvents
	news     chan struct{}
	asked    []string // what was read of keys
}

func newHub() *hub {
	return &hub{revision: 1, services: map[string][]string{}, keys: map[string]string{}, news: make(chan struct{})}
}

func (h *hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revision++
	f()
	close(h.news)
	h.news = make(chan struct{})
}

func (h *hub) set(key, value string) {
	h.change(func() {
		h.keys[key] = value
		h.events = append(h.events, wire.KeyEvents{Revision: h.revision, Events: []wire.KeyEvent{{KeyItem: wire.KeyItem{Key: wire.BytesOf(key), Value: wire.BytesOf(value)}}}})
	})
}

func (h *hub) remove(key string) {
	h.change(func() {
		delete(h.keys, key)
		h.events = append(h.events, wire.KeyEvents{Revision: h.revision, Events: []wire.KeyEvent{{KeyItem: wire.KeyItem{Key: wire.BytesOf(key)}, Deleted: true}}})
	})
}

func (h *hub) serve(name string, addresses ...string) {
	h.change(func() { h.services[name] = addresses })
}

var errDown = cluster.Errorf(cluster.Unavailable, "nobody answers")

func (h *hub) Services(context.Context) (wire.Services, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return wire.Services{}, errDown
	}
	m := wire.Services{Full: true, Nodes: []cluster.Whereabouts{{ID: "n1", Name: "node-1", Address: netip.MustParseAddr("10.0.0.1")}}}
	for name, addresses := range h.services {
		s := cluster.Service{Name: name}
		for _, a := range addresses {
			s.Endpoints = append(s.Endpoints, cluster.Endpoint{Offer: cluster.Offer{Service: name, Port: 80, Healthy: true}, Address: netip.MustParseAddr(a)})
		}
		m.Services = append(m.Services, s)
	}
	return m, nil
}

// follow calls each at the begin and after each change, until there is no connection.
func (h *hub) follow(ctx context.Context, each func() error) error {
	for {
		h.mu.Lock()
		down, news := h.down, h.news
		h.mu.Unlock()
		if down {
			return errDown
		}
		if err := each(); err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *hub) FollowServices(ctx context.Context, _ client.ServicesQuery, each func(wire.Services) error) error {
	return h.follow(ctx, func() error {
		m, err := h.Services(ctx)
		if err != nil {
			return err
		}
		return each(m)
	})
}

func (h *hub) Keys(_ context.Context, q client.KeysQuery) (wire.Keys, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down || h.noKeys {
		return wire.Keys{}, errDown
	}
	h.asked = append(h.asked, q.Key)
	listed := wire.Keys{Revision: h.revision}
	for key, value := range h.keys {
		if strings.HasPrefix(key, q.Key) {
			listed.Items = append(listed.Items, wire.KeyItem{Key: wire.BytesOf(key), Value: wire.BytesOf(value)})
		}
	}
	return listed, nil
}

func (h *hub) WatchKeys(ctx context.Context, q client.KeysQuery, each func(wire.KeyEvents) error) error {
	after := q.After
	return h.follow(ctx, func() error {
		h.mu.Lock()
		events := h.events
		h.mu.Unlock()
		for _, m := range events {
			if m.Revision > after && strings.HasPrefix(m.Events[0].Key.String(), q.Key) {
				if err := each(m); err != nil {
					return err
				}
			}
			after = max(after, m.Revision)
		}
		return each(wire.KeyEvents{Revision: after})
	})
}

// desk is a file that is kept.
type desk struct {
	t     *testing.T
	hub   *hub
	path  string
	ready int
	job   keeper.Job
}

// kept keeps a file in simulated time, and calls f meanwhile.
func kept(t *testing.T, text string, change func(*desk), f func(*desk)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		template, err := render.Parse("x.tmpl", text)
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{t: t, hub: newHub(), path: filepath.Join(dir, "x")}
		d.job = keeper.Job{
			Template: template, Target: target.Target{Path: d.path}, Self: "n1", Every: 200 * time.Millisecond,
			Ready: func() { d.ready++ }, Log: slog.New(slog.DiscardHandler),
		}
		change(d)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- keeper.Keep(ctx, d.hub, d.job) }()
		d.pass(time.Second)
		f(d)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func (d *desk) pass(t time.Duration) {
	d.t.Helper()
	if err := loop.Sleep(d.t.Context(), t); err != nil {
		d.t.Fatal(err)
	}
	synctest.Wait()
}

func (d *desk) holds(when, want string) {
	d.t.Helper()
	text, err := os.ReadFile(d.path)
	if err != nil && want != "" || string(text) != want {
		d.t.Errorf("%s: %q, %v; want %q", when, text, err, want)
	}
}

const backends = `{{range service "web"}}{{.Addr}} {{end}}{{getv "/title" "none"}} {{range ls "/more"}}{{getv (printf "/deep/%s" .) "?"}}{{end}} {{node.Name}}`

func TestAFileFollowsTheCluster(t *testing.T) {
	kept(t, backends, func(d *desk) { d.hub.serve("web", "10.0.0.2") }, func(d *desk) {
		d.holds("at first", "10.0.0.2:80 none  node-1")
		d.hub.serve("web", "10.0.0.2", "10.0.0.3")
		d.hub.set("/title", "shop")
		d.pass(time.Second)
		d.holds("another endpoint, and a key", "10.0.0.2:80 10.0.0.3:80 shop  node-1")
		d.hub.set("/more/a", "")
		d.pass(time.Second)
		d.holds("a key that asks for another", "10.0.0.2:80 10.0.0.3:80 shop ? node-1")
		d.hub.set("/deep/a", "!")
		d.hub.remove("/title")
		d.pass(time.Second)
		d.holds("which comes, and one that goes", "10.0.0.2:80 10.0.0.3:80 none ! node-1")
		if d.ready != 1 {
			t.Errorf("ready was said %d times", d.ready)
		}
	})
}

func TestAFileStaysWhatItWasWhileNobodyAnswers(t *testing.T) {
	kept(t, backends, func(d *desk) { d.hub.serve("web", "10.0.0.2") }, func(d *desk) {
		d.hub.change(func() { d.hub.down = true })
		d.pass(time.Hour)
		d.holds("after an hour", "10.0.0.2:80 none  node-1")
		d.hub.change(func() { d.hub.down = false; d.hub.keys["/title"] = "missed" })
		d.pass(10 * time.Second)
		d.holds("what was missed", "10.0.0.2:80 missed  node-1")
	})
}

func TestATemplateThatIsAKeyIsFollowed(t *testing.T) {
	kept(t, "", func(d *desk) { d.job.Template, d.job.Key = nil, "/t"; d.hub.serve("web", "10.0.0.2") }, func(d *desk) {
		d.holds("without a template", "")
		d.hub.set("/t", `{{range service "web"}}{{.Addr}}{{end}}`)
		d.pass(10 * time.Second)
		d.holds("with one", "10.0.0.2:80")
		for _, bad := range []string{"{{", `{{getv "/no"}}`} {
			d.hub.set("/t", bad)
			d.pass(10 * time.Second)
			d.holds("with one that is wrong", "10.0.0.2:80")
		}
		d.hub.set("/t", "another")
		d.pass(10 * time.Second)
		d.holds("with another", "another")
		d.hub.remove("/t")
		d.pass(10 * time.Second)
		d.holds("when it is gone", "another")
	})
}

func TestWhatNobodyMadeUseOfIsMadeUseOfByTheNext(t *testing.T) {
	used := filepath.Join(t.TempDir(), "used")
	kept(t, "text", func(d *desk) {
		if err := os.WriteFile(d.path, []byte("text"), 0o600); err != nil { // and then the one before ended
			t.Fatal(err)
		}
		d.job.Target.After = "echo x >> " + used
	}, func(d *desk) {
		d.hub.set("/other", "")
		d.pass(time.Minute)
		if text, err := os.ReadFile(used); err != nil || string(text) != "x\n" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

func TestKeysThatAreNotAskedForAnyMoreAreNotFollowed(t *testing.T) {
	kept(t, `{{getv (printf "/%s/v" (getv "/now" "0")) "?"}}`, func(d *desk) { d.hub.set("/now", "0") }, func(d *desk) {
		before := runtime.NumGoroutine()
		for i := range 50 {
			d.hub.set("/now", fmt.Sprint(i))
			d.pass(time.Second)
		}
		if after := runtime.NumGoroutine(); after > before+5 {
			t.Errorf("%d goroutines, before %d", after, before)
		}
		d.hub.set("/49/v", "!")
		d.pass(time.Second)
		d.holds("what it asks for now", "!")
	})
}

func TestNothingIsPutBeforeAllIsKnown(t *testing.T) {
	for name, away := range map[string]func(*desk){
		"services": func(d *desk) { d.hub.down = true }, "keys": func(d *desk) { d.hub.noKeys = true },
	} {
		kept(t, `none{{range service "web"}}{{.Addr}}{{end}}{{if eq "`+name+`" "keys"}}{{ls "/"}}{{end}}`, away, func(d *desk) {
			d.pass(time.Minute)
			if _, err := os.Stat(d.path); err == nil || d.ready != 0 {
				t.Errorf("a file, and no %s are known; ready: %d", name, d.ready)
			}
		})
	}
}

func TestWhatATemplateRefusesLeavesTheFile(t *testing.T) {
	kept(t, `{{(endpoint "web").Addr}}`, func(d *desk) { d.hub.serve("web", "10.0.0.2") }, func(d *desk) {
		d.hub.serve("web")
		d.pass(time.Minute)
		d.holds("without any endpoint", "10.0.0.2:80")
		d.hub.serve("web", "10.0.0.3")
		d.pass(10 * time.Second)
		d.holds("with one again", "10.0.0.3:80")
	})
}

func TestManyChangesAreOne(t *testing.T) {
	kept(t, `{{getv "/n" "0"}}`, func(d *desk) { d.job.Every = 5 * time.Second }, func(d *desk) {
		d.pass(10 * time.Second)
		for i := range 100 {
			d.hub.set("/n", fmt.Sprint(i))
			d.pass(time.Millisecond)
		}
		d.holds("the first of them", "0")
		d.pass(5 * time.Second)
		d.holds("the last of them", "99")
	})
}

func TestATemplateThatAsksForTooMuch(t *testing.T) {
	h := newHub()
	template, err := render.Parse("x", `{{range seq 1 1001}}{{exists (printf "/%d/" .)}}{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Once(t.Context(), h, keeper.Job{Template: template}); cluster.KindOf(err) != cluster.Invalid || len(h.asked) > 0 {
		t.Errorf("%v, asked %d times", err, len(h.asked))
	}
}

func TestOnceFetchesWhatIsAskedFor(t *testing.T) {
	h := newHub()
	h.serve("web", "10.0.0.2")
	h.set("/more/a", "")
	h.set("/deep/a", "!")
	template, err := render.Parse("x", backends)
	if err != nil {
		t.Fatal(err)
	}
	h.set("/t", backends)
	for _, job := range []keeper.Job{{Template: template, Self: "n1"}, {Key: "/t", Self: "n1"}} {
		text, err := keeper.Once(t.Context(), h, job)
		if err != nil || string(text) != "10.0.0.2:80 none ! node-1" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if _, err := keeper.Once(t.Context(), h, keeper.Job{Key: "/no"}); cluster.KindOf(err) != cluster.NotFound {
		t.Errorf("a template that is not there: %v", err)
	}
}
