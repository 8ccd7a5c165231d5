package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
	"argosy/internal/systemd/systemdtest"
)

const web = "[Service]\nExecStart=/usr/bin/web\n[X-Argosy]\nPublish=web 80\n"

// offer is what a unit's node tells of its one offer.
func (m *machine) offer(name cluster.UnitName) cluster.Offer {
	m.t.Helper()
	s := m.status(name)
	if len(s.Offers) != 1 {
		m.t.Fatalf("offers of %s: %+v", name, s)
	}
	return s.Offers[0]
}

func TestWhatAUnitPublishesIsInItsStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", web)
		m.pass(2 * time.Second)
		if o := m.offer("web.service"); o.Service != "web" || o.Port != 80 || !o.Healthy {
			t.Errorf("active: %+v", o)
		}
		m.hub.assign("web.service", web, func(a *cluster.Assignment) { a.Desired = cluster.Loaded })
		m.pass(2 * time.Second)
		if o := m.offer("web.service"); o.Healthy || o.Reason != "the unit is inactive (dead)" {
			t.Errorf("stopped: %+v", o)
		}
		m.hub.assign("web.service", strings.ReplaceAll(web, "80", "81"))
		m.pass(2 * time.Second)
		if o := m.offer("web.service"); o.Port != 81 || !o.Healthy {
			t.Errorf("of another text: %+v", o)
		}
		m.hub.assign("web.service", daemon)
		m.pass(2 * time.Second)
		if s := m.status("web.service"); s.Active != "active" || len(s.Offers) != 0 {
			t.Errorf("of a text that publishes nothing: %+v", s)
		}
	})
}

func TestWhatAUnitPublishesOutlivesItsDaemon(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", web)
		m.pass(2 * time.Second)
		m.stop()
		m.start()
		m.pass(2 * time.Second)
		if o := m.offer("web.service"); !o.Healthy {
			t.Errorf("%+v", o)
		}
	})
}

// The old process offers what its text says for as long as it runs.
func TestWhatTheOldTextPublishesIsKeptUntilItsProcessHasEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.manager = slowStop{m.fake}
		m.start()
		m.hub.assign("web.service", web)
		m.pass(2 * time.Second)
		m.hub.assign("web.service", strings.ReplaceAll(web, "80", "81"))
		m.pass(2 * time.Second)
		if o := m.offer("web.service"); o.Port != 80 {
			t.Errorf("before the stop has ended: %+v", o)
		}
		m.pass(slowStopTime)
		if o := m.offer("web.service"); o.Port != 81 || !o.Healthy {
			t.Errorf("after: %+v", o)
		}
	})
}

const slowStopTime = 5 * time.Second

// slowStop is a systemd whose stops take their time.
type slowStop struct{ *systemdtest.Fake }

func (s slowStop) Run(ctx context.Context, verb systemd.Verb, name cluster.UnitName) (string, error) {
	if verb == systemd.Stop {
		if err := loop.Sleep(ctx, slowStopTime); err != nil {
			return "", err
		}
	}
	return s.Fake.Run(ctx, verb, name)
}

func TestWhatAFailedUnitOfferedIsWithdrawnBeforeItsLogIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.journal = stuck{m.fake}
		m.start()
		m.hub.assign("web.service", web)
		m.pass(2 * time.Second)
		m.fake.Kill("web.service")
		m.pass(500 * time.Millisecond)
		if o := m.offer("web.service"); o.Healthy {
			t.Errorf("%+v", o)
		}
	})
}

// A status that would have to wait, since the unit's changes all the time, does not if
// it withdraws something.
func TestWhatIsWithdrawnIsNeverHeldBack(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", web+"[Service]\nRestart=always\nRestartSec=1s\nStartLimitIntervalSec=0\n")
		m.pass(2 * time.Second)
		for i := range 30 {
			for wait := 0; !m.offer("web.service").Healthy; wait++ {
				if m.pass(100 * time.Millisecond); wait > 100 {
					t.Fatalf("kill %d: %+v", i, m.status("web.service"))
				}
			}
			m.fake.Kill("web.service")
			m.pass(200 * time.Millisecond)
			if o := m.offer("web.service"); o.Healthy {
				t.Fatalf("kill %d: %+v", i, o)
			}
		}
		if n := m.hub.sentUpdates(); n > 200 {
			t.Errorf("%d updates", n)
		}
	})
}

func again(a *cluster.Assignment) { a.Restarts++ }

// What a unit offers is withdrawn on the servers, and DrainTime= passes, before its
// process is touched: whatever the reason.
func TestWhatAUnitOffersIsWithdrawnBeforeItStops(t *testing.T) {
	const drains = web + "DrainTime=3s\n"
	for name, tt := range map[string]struct {
		change func(m *machine)
		reason string
		runs   bool // once more, after it
	}{
		"stop":         {func(m *machine) { m.hub.assign("web.service", drains, loaded) }, "wanted loaded, not launched", false},
		"destroy":      {func(m *machine) { m.hub.drop("web.service") }, "not placed on this node any more", false},
		"restart":      {func(m *machine) { m.hub.assign("web.service", drains, again) }, "a restart was asked for", true},
		"another text": {func(m *machine) { m.hub.assign("web.service", drains+"#\n") }, "the text changed", true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.start()
				m.hub.assign("web.service", drains)
				m.pass(2 * time.Second)
				before := m.fake.Processes()["web.service"]
				tt.change(m)
				for range 25 { // 2.5 s
					m.pass(100 * time.Millisecond)
					if o := m.offer("web.service"); o.Healthy || o.Reason != "it is about to stop: "+tt.reason || m.fake.Processes()["web.service"] != before {
						t.Fatalf("while it drains: %+v\n%s", o, m.fake)
					}
				}
				m.pass(2 * time.Second)
				after := m.fake.Processes()["web.service"]
				if after == before || (after != 0) != tt.runs {
					t.Fatalf("afterwards process %d, before %d", after, before)
				}
				if tt.runs && !m.offer("web.service").Healthy {
					t.Errorf("it runs again: %+v", m.offer("web.service"))
				}
			})
		})
	}
}

// The end of a daemon shortens no drain: the next one knows from the file of the unit what
// it published, whatever is wanted by then.
func TestADrainOutlivesTheDaemon(t *testing.T) {
	const drains = web + "DrainTime=5s\n"
	for name, change := range map[string]func(m *machine){
		"stop":         func(m *machine) { m.hub.assign("web.service", drains, loaded) },
		"destroy":      func(m *machine) { m.hub.drop("web.service") },
		"restart":      func(m *machine) { m.hub.assign("web.service", drains, again) },
		"another text": func(m *machine) { m.hub.assign("web.service", daemon) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.start()
				m.hub.assign("web.service", drains)
				m.pass(2 * time.Second)
				before := m.fake.Processes()["web.service"]
				change(m)
				m.pass(time.Second)
				m.stop()
				m.start()
				for range 40 { // 4 s
					m.pass(100 * time.Millisecond)
					if m.fake.Processes()["web.service"] != before {
						t.Fatalf("it was stopped\n%s", m.fake)
					}
				}
				m.pass(10 * time.Second)
				if m.fake.Processes()["web.service"] == before {
					t.Errorf("it runs on\n%s", m.fake)
				}
			})
		})
	}
}

// What one unit is told of ports makes the node forget nothing of another.
func TestADrainIsNotCutShortByAnotherUnitsPorts(t *testing.T) {
	const drains = web + "DrainTime=5s\n"
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", drains)
		m.pass(2 * time.Second)
		before := m.fake.Processes()["web.service"]
		m.hub.change(func() {
			m.hub.units["web.service"] = assignment("web.service", drains+"#\n")
			m.hub.units["any.service"] = assignment("any.service", "[Service]\nExecStart=/usr/bin/any\n[X-Argosy]\nPublish=any auto\n")
		})
		m.pass(2 * time.Second)
		m.hub.assign("web.service", drains+"##\n") // which calls its worker away
		m.pass(2 * time.Second)
		if o := m.offer("web.service"); o.Healthy || !strings.HasPrefix(o.Reason, "it is about to stop") || m.fake.Processes()["web.service"] != before {
			t.Errorf("%+v\n%s", o, m.fake)
		}
	})
}

func TestWithoutAnyServerAUnitStopsAllTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", web)
		m.pass(2 * time.Second)
		m.hub.change(func() { m.hub.full = true })
		m.hub.assign("web.service", web, loaded)
		m.pass(1900 * time.Millisecond)
		m.running("web.service")
		m.pass(500 * time.Millisecond)
		m.running()
	})
}

func TestWhatOffersNothingIsNotWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(2 * time.Second)
		m.hub.change(func() { m.hub.full = true })
		m.hub.assign("web.service", daemon, loaded)
		m.pass(100 * time.Millisecond)
		m.running()
	})
}

func TestAUnitThatIsWantedAgainWhileItDrainsGoesOn(t *testing.T) {
	const drains = web + "DrainTime=10s\n"
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", drains)
		m.pass(2 * time.Second)
		before := m.fake.Processes()["web.service"]
		m.hub.assign("web.service", drains, loaded)
		m.pass(5 * time.Second)
		m.hub.assign("web.service", drains)
		m.pass(time.Second)
		if o := m.offer("web.service"); !o.Healthy || m.fake.Processes()["web.service"] != before {
			t.Errorf("%+v\n%s", o, m.fake)
		}
		m.hub.assign("web.service", drains, loaded)
		m.pass(5 * time.Second)
		m.hub.assign("web.service", drains, loaded, again) // which calls its worker away
		m.pass(4 * time.Second)
		m.running("web.service")
		m.pass(2 * time.Second) // it does not begin to drain once more
		m.running()
	})
}
