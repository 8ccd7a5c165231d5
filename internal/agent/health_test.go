package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
	"argosy/internal/systemd/systemdtest"
	"argosy/internal/unitfile"
)

const asked = web + "Health=http://web/ok\nHealthGrace=30s\n"

// patient answers for units as it is told to.
type patient struct {
	mu      sync.Mutex
	failure error         // of the next answers
	takes   time.Duration // an answer
	asked   []unitfile.Probe
	told    []string // the environment, the last time
}

func (p *patient) ask(ctx context.Context, q unitfile.Probe, environment []string) error {
	p.mu.Lock()
	p.asked, p.told = append(p.asked, q), environment
	failure, takes := p.failure, p.takes
	p.mu.Unlock()
	return errors.Join(loop.Sleep(ctx, takes), failure)
}

func (p *patient) is(failure string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = nil
	if failure != "" {
		p.failure = errors.New(failure)
	}
}

func TestAUnitIsAnnouncedOnceItAnswersWell(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		p := &patient{}
		m.ask = p.ask
		p.is("HTTP 503")
		m.start()
		m.hub.assign("web.service", asked)
		m.pass(3 * time.Second)
		if o, s := m.offer("web.service"), m.status("web.service"); o.Healthy || o.Reason != "it is not healthy: HTTP 503" || s.Problem != "" {
			t.Errorf("while it starts: %+v, problem %q", o, s.Problem)
		}
		p.is("")
		m.pass(1100 * time.Millisecond)
		if o := m.offer("web.service"); !o.Healthy {
			t.Errorf("it answers well: %+v", o)
		}
		if q := p.asked[0]; q.Host != "10.0.0.1" || q.Port != 80 || q.Path != "/ok" || !slices.Contains(p.told, "ARGOSY_UNIT=web.service") {
			t.Errorf("it was asked %+v with %q", q, p.told)
		}
		p.is("HTTP 500")
		m.pass(9 * time.Second) // one or two failures
		if o := m.offer("web.service"); !o.Healthy {
			t.Errorf("after a failure: %+v", o)
		}
		m.pass(7 * time.Second)
		if o, s := m.offer("web.service"), m.status("web.service"); o.Healthy || s.Problem != "it is not healthy: HTTP 500" || s.Active != "active" {
			t.Errorf("after three: %+v, %+v", o, s)
		}
		m.pass(time.Minute)
		if n := m.fake.Calls("start") + m.fake.Calls("restart"); n != 1 {
			t.Errorf("%d starts: a sick unit runs on", n)
		}
		p.is("")
		m.pass(6 * time.Second)
		if o, s := m.offer("web.service"), m.status("web.service"); !o.Healthy || s.Problem != "" {
			t.Errorf("it is well again: %+v, problem %q", o, s.Problem)
		}
	})
}

func TestASickUnitIsStartedAgainIfItsFileSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		p := &patient{}
		m.ask = p.ask
		m.start()
		m.hub.assign("web.service", asked+"HealthOnFailure=restart\nDrainTime=2s\n")
		m.pass(2 * time.Second)
		before := m.fake.Processes()["web.service"]
		p.is("HTTP 500")
		m.pass(20 * time.Second)
		if after := m.fake.Processes()["web.service"]; after == before || m.fake.Calls("restart") != 1 {
			t.Fatalf("process %d, before %d, %d restarts", after, before, m.fake.Calls("restart"))
		}
		m.pass(25 * time.Second)
		if n := m.fake.Calls("restart"); n != 1 {
			t.Errorf("%d restarts before its grace is over", n)
		}
		m.pass(20 * time.Second)
		if n := m.fake.Calls("restart"); n != 2 {
			t.Errorf("%d restarts after that", n)
		}
		p.is("")
		m.pass(10 * time.Minute)
		if o := m.offer("web.service"); !o.Healthy || m.fake.Calls("restart") > 3 {
			t.Errorf("it is well: %+v, %d restarts", o, m.fake.Calls("restart"))
		}
	})
}

func TestEachRunOfAUnitIsAskedAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		p := &patient{}
		m.fake.Lag = 100 * time.Millisecond // what is between the two runs is not seen
		m.ask = p.ask
		m.start()
		m.hub.assign("web.service", strings.Replace(asked, "[X-Argosy]", "Restart=always\nRestartSec=10ms\n[X-Argosy]", 1))
		m.pass(2 * time.Second)
		p.is("HTTP 503")
		m.fake.Kill("web.service")
		m.pass(time.Second)
		if o := m.offer("web.service"); o.Healthy || o.Reason != "it is not healthy: HTTP 503" {
			t.Errorf("%+v", o)
		}
	})
}

// The end of a daemon says nothing of the units: what was healthy is announced on, and
// what was not is not.
func TestHealthOutlivesTheDaemon(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		p := &patient{}
		m.ask = p.ask
		m.start()
		m.hub.assign("web.service", asked)
		m.pass(2 * time.Second)
		p.takes = time.Second
		for _, healthy := range []bool{true, false} {
			m.stop()
			m.start()
			for range 9 {
				m.pass(100 * time.Millisecond)
				if o := m.offer("web.service"); o.Healthy != healthy {
					t.Fatalf("healthy before: %v; after: %+v", healthy, o)
				}
			}
			p.is("HTTP 500")
			m.pass(20 * time.Second)
			if o := m.offer("web.service"); o.Healthy {
				t.Errorf("it was not asked any more: %+v", o)
			}
		}
	})
}

// However long they may take: those that hang do not keep the node from asking others,
// and are not asked any more once they are gone.
func TestUnitsThatHangForLongDelayNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		var hanging atomic.Int64
		m.ask = func(ctx context.Context, q unitfile.Probe, _ []string) error {
			if q.Port == 1 {
				hanging.Add(1)
				defer hanging.Add(-1)
				<-ctx.Done()
			}
			return ctx.Err()
		}
		m.start()
		m.many("hang@%d.service", daemon+"[X-Argosy]\nHealth=tcp://:1\nHealthTimeout=1min\n", 100)
		m.pass(5 * time.Second)
		m.hub.assign("web.service", asked)
		m.pass(8 * time.Second)
		if o := m.offer("web.service"); !o.Healthy || hanging.Load() < 32 {
			t.Errorf("%+v, %d hang", o, hanging.Load())
		}
		m.hub.change(func() { clear(m.hub.units) })
		m.pass(10 * time.Second)
		if n := hanging.Load(); n > 0 {
			t.Errorf("%d still hang", n)
		}
	})
}

func TestUnitsThatDoNotAnswerDelayNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.ask = func(ctx context.Context, q unitfile.Probe, _ []string) error {
			if q.Port == 1 {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		m.start()
		m.many("hang@%d.service", daemon+"[X-Argosy]\nHealth=tcp://:1\nHealthTimeout=1s\n", 200)
		m.hub.assign("web.service", asked)
		m.pass(15 * time.Second)
		if o := m.offer("web.service"); !o.Healthy {
			t.Errorf("%+v", o)
		}
		m.pass(2 * time.Minute)
		if s := m.status("hang@7.service"); !strings.Contains(s.Problem, "context deadline exceeded") {
			t.Errorf("one that does not answer: %+v", s)
		}
	})
}

const anyPort = "[Service]\nExecStart=/usr/bin/web\n[X-Argosy]\nPublish=web auto\nPublish=web auto/udp\nPublish=web-admin auto\nPublish=fix 20001\n"

func TestANodeChoosesPorts(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		taken := map[uint16]bool{}
		m.portFree = func(port uint16) bool { return port < 20_100 && !taken[port] } // so few that units want the same
		m.start()
		m.many("web@%d.service", anyPort, 30)
		m.pass(5 * time.Second)
		owner := map[uint16]cluster.UnitName{}
		for i := range 30 {
			name := cluster.UnitName(fmt.Sprintf("web@%d.service", i))
			told, err := m.fake.Environment(t.Context(), name)
			s := m.status(name)
			if err != nil || len(s.Offers) != 4 || len(told) != 2 {
				t.Fatalf("%s was told %q (%v), and offers %+v", name, told, err, s.Offers)
			}
			for _, o := range s.Offers[1:] {
				variable := fmt.Sprintf("PORT_%s=%d", strings.ReplaceAll(strings.ToUpper(o.Service), "-", "_"), o.Port)
				if !o.Healthy || o.Port < 20_000 || o.Port > 29_999 || o.Port == 20_001 || !slices.Contains(told, variable) {
					t.Errorf("%s: %+v, it was told %q", name, o, told)
				}
				if key := name + cluster.UnitName(o.Service); owner[o.Port] != "" && owner[o.Port] != key {
					t.Errorf("%s has the port of %s", key, owner[o.Port])
				} else {
					owner[o.Port] = key
				}
			}
		}

		before := m.status("web@7.service").Offers
		same := func(when string, want bool) {
			t.Helper()
			got := m.status("web@7.service").Offers
			if slices.EqualFunc(got, before, cluster.Offer.Equal) != want {
				t.Errorf("%s: %+v, before %+v", when, got, before)
			}
		}
		m.stop()
		m.start()
		m.pass(2 * time.Second)
		same("another daemon", true)
		for _, o := range before {
			taken[o.Port] = true // it holds them itself
		}
		m.hub.assign("web@7.service", anyPort, again)
		m.pass(2 * time.Second)
		same("a restart", true)
		m.hub.assign("web@7.service", anyPort, again, loaded)
		m.pass(2 * time.Second)
		m.hub.assign("web@7.service", anyPort, again)
		m.pass(2 * time.Second)
		same("a start while somebody else has its ports", false)
		if told, _ := m.fake.Environment(t.Context(), "web@7.service"); slices.Contains(told, fmt.Sprintf("PORT_WEB=%d", before[1].Port)) {
			t.Errorf("it was told %q", told)
		}

		m.hub.assign("web@7.service", web)
		m.hub.drop("web@8.service")
		m.pass(2 * time.Second)
		for _, name := range []cluster.UnitName{"web@7.service", "web@8.service"} {
			if told, _ := m.fake.Environment(t.Context(), name); len(told) > 0 {
				t.Errorf("%s leaves %q", name, told)
			}
		}
	})
}

// early starts a unit just before it is told to, as whatever requires the unit may.
type early struct {
	*systemdtest.Fake
	once sync.Once
}

func (e *early) Observe(ctx context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	if len(names) == 1 && e.Calls("write") > 0 {
		e.once.Do(func() { _, _ = e.Run(ctx, systemd.Start, names[0]) })
	}
	return e.Fake.Observe(ctx, names...)
}

func TestAUnitThatRunsKeepsThePortThatItListensAt(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		e := &early{Fake: m.fake}
		m.manager = e
		m.portFree = func(port uint16) bool { // the unit itself listens at what it was told
			told, _ := m.fake.Environment(context.Background(), "web.service")
			return len(m.fake.Processes()) == 0 || !slices.Contains(told, fmt.Sprintf("PORT_WEB=%d", port))
		}
		m.start()
		m.hub.assign("web.service", "[Service]\nExecStart=/usr/bin/web\n[X-Argosy]\nPublish=web auto\n", loaded)
		m.pass(2 * time.Second)
		before, _ := m.fake.Environment(t.Context(), "web.service")
		m.hub.assign("web.service", "[Service]\nExecStart=/usr/bin/web\n[X-Argosy]\nPublish=web auto\n")
		m.pass(2 * time.Second)
		told, _ := m.fake.Environment(t.Context(), "web.service")
		if o := m.offer("web.service"); !slices.Equal(told, before) || len(told) != 1 || told[0] != fmt.Sprintf("PORT_WEB=%d", o.Port) {
			t.Errorf("it was told %q before and %q now, and is announced as %+v", before, told, o)
		}
	})
}

func TestPortsOfATextBeforeAreNotLeftToTheNext(t *testing.T) {
	const free, fixed = "[Service]\nExecStart=/usr/bin/web\n[X-Argosy]\nPublish=web auto\n", web
	for name, down := range map[string]bool{"while the daemon runs": false, "while it is down": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.start()
				m.hub.assign("web.service", free)
				m.pass(2 * time.Second)
				if down {
					m.stop()
				}
				m.hub.assign("web.service", fixed)
				if down {
					m.start()
				}
				m.pass(5 * time.Second)
				if told, _ := m.fake.Environment(t.Context(), "web.service"); len(told) > 0 || m.offer("web.service").Port != 80 {
					t.Errorf("it was told %q, and is announced as %+v", told, m.offer("web.service"))
				}
			})
		})
	}
}

func TestANodeWithoutAFreePortSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.portFree = func(uint16) bool { return false }
		m.start()
		m.hub.assign("web.service", anyPort)
		m.pass(2 * time.Second)
		if s := m.status("web.service"); !strings.Contains(s.Problem, "no port from 20000 to 29999 is free for web") || s.Active != "inactive" {
			t.Errorf("%+v", s)
		}
	})
}
