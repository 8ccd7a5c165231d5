package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/agent"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
	"argosy/internal/systemd/systemdtest"
)

func TestAUnitIsStartedShownAndTakenAway(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(time.Second)
		m.running("web.service")
		s := m.status("web.service")
		want := cluster.Status{
			Unit: "web.service", Node: "n1", UID: "u1", Hash: cluster.HashText(daemon), Epoch: 1, BootID: "boot0",
			Load: "loaded", Active: "active", Sub: "running", MainPID: m.fake.Processes()["web.service"], Since: s.Since,
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if n := m.fake.Calls("reload"); n != 0 {
			t.Errorf("a new unit cost %d reloads", n)
		}
		m.hub.drop("web.service")
		m.pass(time.Second)
		m.running()
		if got := m.fake.String(); got != "" {
			t.Errorf("left behind:\n%s", got)
		}
		if s, ok := m.hub.record("web.service"); ok {
			t.Errorf("its record stayed: %+v", s)
		}
	})
}

func TestNothingStopsWhileTheClusterIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(time.Second)
		before := m.fake.Processes()
		m.hub.change(func() { m.hub.down = true })
		m.pass(time.Hour)
		if diff := cmp.Diff(before, m.fake.Processes()); diff != "" {
			t.Errorf("processes after an hour (-before +after):\n%s", diff)
		}
		m.hub.change(func() { m.hub.down = false; m.hub.session.Dead = true })
		m.pass(30 * time.Second)
		if diff := cmp.Diff(before, m.fake.Processes()); diff != "" {
			t.Errorf("processes after the return (-before +after):\n%s", diff)
		}
	})
}

func TestARestartOfTheDaemonDisturbsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon, func(a *cluster.Assignment) { a.Restarts = 3 })
		m.hub.assign("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
		m.hub.assign("broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
		m.pass(5 * time.Second)
		before, starts, stops := m.fake.Processes(), m.fake.Calls("start"), m.fake.Calls("stop")
		for range 3 {
			m.stop()
			m.start()
			m.pass(20 * time.Second)
		}
		if diff := cmp.Diff(before, m.fake.Processes()); diff != "" {
			t.Errorf("processes (-before +after):\n%s", diff)
		}
		if m.fake.Calls("start") != starts || m.fake.Calls("stop") != stops || m.fake.Calls("restart") != 0 || m.fake.Calls("reload") != 0 {
			t.Errorf("the restarts of the daemon cost %d starts, %d stops, %d restarts, %d reloads",
				m.fake.Calls("start")-starts, m.fake.Calls("stop")-stops, m.fake.Calls("restart"), m.fake.Calls("reload"))
		}
		if s := m.status("broken.service"); s.Active != "failed" || len(s.Log) == 0 {
			t.Errorf("the failure is not shown any more: %+v", s)
		}
	})
}

func TestAHangingStartDelaysNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(time.Second)
		m.hub.change(func() {
			for i := range 40 {
				name := cluster.UnitName(fmt.Sprintf("hang%02d.service", i))
				m.hub.units[name] = assignment(name, "[Service]\nType=notify\nExecStart=/usr/bin/daemon\n")
			}
			m.hub.units["web.service"] = assignment("web.service", daemon)
		})
		m.pass(5 * time.Second)
		if s := m.status("web.service"); s.Active != "active" {
			t.Errorf("web.service is %s", s.Active)
		}
		if s := m.status("hang00.service"); s.Active != "activating" {
			t.Errorf("a hanging start is shown as %s", s.Active)
		}
		m.hub.drop("hang00.service")
		m.pass(2 * time.Second)
		if _, ok := m.hub.record("hang00.service"); ok {
			t.Error("a hanging start cannot be taken away")
		}
		m.pass(5 * time.Minute)
		if s := m.status("hang01.service"); s.Active != "failed" || s.Result != "timeout" || m.fake.Calls("start") != 41 {
			t.Errorf("after its time a start is %s/%s; %d starts", s.Active, s.Result, m.fake.Calls("start"))
		}
	})
}

func TestInstancesThatFailDelayNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(time.Second)
		m.hub.change(func() {
			for i := range 100 {
				bad := cluster.UnitName(fmt.Sprintf("bad@%d.service", i))
				m.hub.units[bad] = assignment(bad, "[Service]\nRestart=on-failure\nExecStart=/bin/false\n")
				web := cluster.UnitName(fmt.Sprintf("web@%d.service", i))
				m.hub.units[web] = assignment(web, daemon)
			}
		})
		for range 2000 {
			m.pass(5 * time.Millisecond)
			tried, running := 0, 0
			units, err := m.fake.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range units {
				switch {
				case u.Name.Prefix() == "web" && u.Active == "active":
					running++
				case u.Name.Prefix() == "bad" && u.Active != "inactive":
					tried++
				}
			}
			if running == 100 {
				if tried == 0 || tried > 10 {
					t.Errorf("%d of those that fail were tried before the last of the others ran", tried)
				}
				m.pass(time.Minute)
				if n := m.fake.Calls("start"); n != 200 {
					t.Errorf("%d starts, want one for each unit", n)
				}
				for i := range 100 {
					if s := m.status(cluster.UnitName(fmt.Sprintf("bad@%d.service", i))); !s.Failed() || len(s.Log) == 0 {
						t.Errorf("%+v", s)
					}
				}
				return
			}
		}
		t.Error("not all units that are fine run after 10 s")
	})
}

func TestWhateverIsEnabledOnTheHostStopsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		for i := range 50 {
			m.hub.assign(cluster.UnitName(fmt.Sprintf("web@%d.service", i)), daemon)
		}
		m.pass(5 * time.Second)
		before, starts := m.fake.Processes(), m.fake.Calls("start")
		m.fake.Enable() // of which no signal tells: it is seen when everything is observed
		m.pass(6 * time.Minute)
		if diff := cmp.Diff(before, m.fake.Processes()); diff != "" || m.fake.Calls("stop") != 0 || m.fake.Calls("start") != starts {
			t.Errorf("processes (-before +after):\n%s", diff)
		}
		if n := m.fake.Calls("reload"); n != 1 {
			t.Errorf("%d reloads", n)
		}
	})
}

// alwaysStale is a systemd that no reload can satisfy.
type alwaysStale struct{ systemd.Manager }

func (s alwaysStale) Observe(ctx context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	units, err := s.Manager.Observe(ctx, names...)
	for i := range units {
		units[i].Stale = units[i].Stale || units[i].Active == "active"
	}
	return units, err
}

func TestWhatNoReloadHelpsIsNotReloadedForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.manager = alwaysStale{m.fake}
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(2 * time.Second)
		before := m.fake.Processes()
		m.pass(10 * time.Minute)
		if diff := cmp.Diff(before, m.fake.Processes()); diff != "" {
			t.Errorf("processes (-before +after):\n%s", diff)
		}
		if n := m.fake.Calls("reload"); n < 5 || n > 20 {
			t.Errorf("%d reloads in ten minutes", n)
		}
		if s := m.status("web.service"); s.Active != "active" || !strings.Contains(s.Problem, "differ from what it read") {
			t.Errorf("%+v", s)
		}
		m.hub.assign("web.service", daemon+"#\n")
		m.pass(3 * time.Second)
		if s := m.status("web.service"); s.Hash != cluster.HashText(daemon+"#\n") || s.Active != "active" {
			t.Errorf("another text waits: %+v", s)
		}
	})
}

func loaded(a *cluster.Assignment) { a.Desired = cluster.Loaded }

// A start that takes a minute, and is wanted no more after a second.
func TestASlowStartCanBeStopped(t *testing.T) {
	const slow = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 60\n"
	for name, then := range map[string]func(m *machine){
		"stop": func(*machine) {},
		"stop, start, stop": func(m *machine) {
			m.hub.assign("slow.service", slow)
			m.pass(3 * time.Second)
			m.hub.assign("slow.service", slow, loaded)
		},
		"stop, start, and stop while the daemon is down": func(m *machine) {
			m.hub.assign("slow.service", slow)
			m.pass(3 * time.Second)
			m.stop()
			m.hub.assign("slow.service", slow, loaded)
			m.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.start()
				m.hub.assign("slow.service", slow, loaded) // so that the unit is known
				m.pass(3 * time.Second)
				m.hub.assign("slow.service", slow)
				m.pass(time.Second)
				m.running("slow.service")
				m.hub.assign("slow.service", slow, loaded)
				then(m)
				m.pass(10 * time.Second)
				m.running()
				if s := m.status("slow.service"); s.Active != "inactive" || s.Problem != "" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestASlowStopFollowedByAStartRunsTheUnit(t *testing.T) {
	const slow = daemon + "ExecStop=/bin/sleep 20\n"
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("slow.service", slow)
		m.pass(3 * time.Second)
		before := m.fake.Processes()["slow.service"]
		m.hub.assign("slow.service", slow, loaded)
		m.pass(3 * time.Second)
		m.hub.assign("slow.service", slow)
		m.pass(time.Minute)
		if after := m.fake.Processes()["slow.service"]; after == 0 || after == before {
			t.Errorf("process %d, was %d\n%s", after, before, m.fake)
		}
	})
}

// slowEyes is a busy systemd: its first answer about a unit that is stopping
// takes ten seconds, and says what was so just before. The unit's file is read at
// the end of that.
type slowEyes struct {
	systemd.Manager
	done bool
}

func (s *slowEyes) Observe(ctx context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	units, err := s.Manager.Observe(ctx, names...)
	if err != nil || s.done || !slices.ContainsFunc(units, func(u systemd.Unit) bool { return u.Active == "deactivating" }) {
		return units, err
	}
	s.done = true
	if err := loop.Sleep(ctx, 10*time.Second); err != nil {
		return nil, err
	}
	files, err := s.Manager.Observe(ctx, names...)
	for i := range units {
		units[i].Active, units[i].Sub = "active", "running"
		units[i].FileHash, units[i].Stale = files[i].FileHash, files[i].Stale
	}
	return units, err
}

func TestWhatWasSeenBeforeAStepEndedIsNotDecidedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		eyes := &slowEyes{Manager: m.fake}
		m.manager = eyes
		m.start()
		m.hub.assign("web.service", daemon+"ExecStop=/bin/sleep 3\n")
		m.pass(5 * time.Second)
		m.running("web.service")
		m.hub.assign("web.service", daemon)
		m.pass(30 * time.Second)
		if s := m.status("web.service"); !eyes.done || s.Active != "active" || s.Hash != cluster.HashText(daemon) {
			t.Errorf("seen late: %v; the changed unit is %+v", eyes.done, s)
		}
	})
}

func TestAFailureShowsTheLastTenLines(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("bad.service", "[Service]\nType=oneshot\nExecStartPre=/bin/seq 15\nExecStart=/bin/false\n")
		m.pass(3 * time.Second)
		s := m.status("bad.service")
		if s.Active != "failed" || s.Result != "exit-code" || s.ExitCode != 1 || s.Problem == "" || s.UID != "u1" || s.Epoch != 1 {
			t.Errorf("status %+v", s)
		}
		// Fifteen lines of its own, and three of systemd: the last ten, in order.
		last := []string{
			"9", "10", "11", "12", "13", "14", "15", "Started bad.service", "Main process exited, status=1",
			"bad.service: Failed with result 'exit-code'.",
		}
		if !slices.Equal(s.Log, last) {
			t.Errorf("log %q, want %q", s.Log, last)
		}
		m.pass(time.Hour)
		if n := m.fake.Calls("start"); n != 1 {
			t.Errorf("it was started %d times", n)
		}
		if n := m.fake.Calls("tail"); n != 1 {
			t.Errorf("its lines end with systemd's verdict, and were read %d times", n)
		}
	})
}

// An update of which no answer came may arrive after a newer one.
func TestALateUpdateDoesNotUndoANewerOneForLong(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(2 * time.Second)
		m.hub.change(func() { m.hub.down = true })
		m.fake.Kill("web.service")
		m.pass(time.Second)
		m.hub.change(func() { m.hub.down = false })
		m.pass(10 * time.Second)
		if s := m.status("web.service"); !s.Failed() {
			t.Fatalf("%+v", s)
		}
		m.hub.change(func() { delete(m.hub.records, "web.service") }) // by one from when the unit was not here
		m.pass(30 * time.Second)
		if s, ok := m.hub.record("web.service"); !ok || !s.Failed() {
			t.Errorf("half a minute later: %+v", s)
		}
		updates := m.hub.updates
		m.pass(time.Hour)
		if m.hub.updates != updates {
			t.Errorf("%d more updates when nothing is in doubt", m.hub.updates-updates)
		}
	})
}

// Whoever is told of the failure first must be told its reason: a start ends
// with what it is told first.
func TestAFailureIsNotShownBeforeItsLastLines(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.JournalLag = 2 * time.Second
		m.start()
		m.hub.assign("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
		for range 50 {
			m.fake.Reconnect() // so that it is looked at again
			m.pass(100 * time.Millisecond)
			if s, ok := m.hub.record("bad.service"); ok && s.Failed() && len(s.Log) == 0 {
				t.Fatalf("%+v", s)
			}
		}
		if s := m.status("bad.service"); !s.Failed() {
			t.Errorf("after 5 s: %+v", s)
		}
	})
}

// behind is a journal to which systemd's verdict comes late.
type behind struct {
	*systemdtest.Fake
	since time.Time
}

func (b behind) Tail(ctx context.Context, name cluster.UnitName, n int) ([]string, error) {
	lines, err := b.Fake.Tail(ctx, name, n)
	if time.Since(b.since) < wordsLate {
		lines = lines[:len(lines)-1]
	}
	return lines, err
}

const wordsLate = 200 * time.Millisecond

func TestAJournalThatIsBehindIsReadOnceMore(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.journal = behind{m.fake, time.Now()}
		m.start()
		m.hub.assign("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
		m.pass(wordsLate)
		if s := m.status("bad.service"); len(s.Log) == 0 || systemd.ToldAll("bad.service", s.Log) {
			t.Errorf("at first: %q", s.Log)
		}
		m.pass(time.Second)
		if s := m.status("bad.service"); !systemd.ToldAll("bad.service", s.Log) {
			t.Errorf("in the end: %q", s.Log)
		}
	})
}

// stuck is a journal that does not answer.
type stuck struct{ *systemdtest.Fake }

func (stuck) Sync(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func (stuck) Tail(ctx context.Context, _ cluster.UnitName, _ int) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAJournalThatIsStuckHidesNoFailureForLong(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.journal = stuck{m.fake}
		m.start()
		m.many("bad%d.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", 60)
		m.pass(25 * time.Second)
		for i := range 60 {
			if s := m.status(cluster.UnitName(fmt.Sprintf("bad%d.service", i))); !s.Failed() {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestManyFailuresAreReadInTurnAfterOneSync(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.JournalLag = time.Second
		m.start()
		m.many("bad%d.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", 60)
		m.pass(30 * time.Second)
		if tails, syncs := m.fake.Calls("tail"), m.fake.Calls("sync"); tails < 25 || tails > 31 || syncs > 5 {
			t.Errorf("after 30 s: %d logs read, %d syncs; each log takes a second", tails, syncs)
		}
		m.pass(time.Minute)
		if tails := m.fake.Calls("tail"); tails != 60 {
			t.Errorf("%d logs read of 60", tails)
		}
	})
}

// systemd has no time for a start that it did not even begin with.
func TestEachStartThatIsRefusedShowsItsOwnLines(t *testing.T) {
	const text = "[Unit]\nAssertPathExists=/no\n" + daemon
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.JournalLag = 2 * time.Second
		m.start()
		for i := range 3 {
			m.hub.assign("assert.service", text, func(a *cluster.Assignment) { a.Restarts = int64(i) })
			for range 60 {
				m.fake.Reconnect() // so that it is looked at again
				m.pass(100 * time.Millisecond)
			}
			if s := m.status("assert.service"); s.Restarts != int64(i) || len(s.Log) != i+1 || s.Since.IsZero() || s.Since.Year() == 1970 {
				t.Errorf("start %d: %+v", i+1, s)
			}
		}
	})
}

func TestAFailureThatIsOverIsNotShown(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.JournalLag = 2 * time.Second
		m.start()
		m.hub.assign("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
		m.pass(time.Second)
		m.hub.assign("bad.service", daemon)
		m.pass(10 * time.Second)
		if s := m.status("bad.service"); s.Active != "active" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAUnitThatIsInactiveTellsHowItsStartEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
		m.hub.assign("assert.service", "[Unit]\nAssertPathExists=/no\n"+daemon)
		m.hub.assign("loaded.service", daemon, func(a *cluster.Assignment) { a.Desired = cluster.Loaded })
		m.pass(3 * time.Second)
		for name, job := range map[cluster.UnitName]string{"once.service": "done", "assert.service": "assert", "loaded.service": ""} {
			if s := m.status(name); s.Active != "inactive" || s.Job != job {
				t.Errorf("%s is %s, its job %q; want %q", name, s.Active, s.Job, job)
			}
		}
		s := m.status("assert.service")
		if s.Problem != `systemd could not start it: its job ended as "assert"` || !strings.Contains(strings.Join(s.Log, "\n"), "Assertion failed") {
			t.Errorf("problem %q, log %q", s.Problem, s.Log)
		}
		m.pass(time.Hour)
		if n := m.fake.Calls("start"); n != 2 {
			t.Errorf("there were %d starts", n)
		}
	})
}

func TestARestartIsProvenByANewProcess(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(time.Second)
		before := m.status("web.service")
		m.hub.assign("web.service", daemon, func(a *cluster.Assignment) { a.Restarts = 1 })
		m.pass(time.Second)
		after := m.status("web.service")
		if after.MainPID == before.MainPID || after.MainPID == 0 || after.Restarts != 1 {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
	})
}

func TestAThousandUnitsNeedNoReloadAndAThousandChangesShareOne(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(time.Second)
		put := func(text string) {
			m.hub.change(func() {
				for i := range 1000 {
					name := cluster.UnitName(fmt.Sprintf("u%04d.service", i))
					m.hub.units[name] = assignment(name, text)
				}
			})
			m.pass(10 * time.Second)
			if n := len(m.fake.Processes()); n != 1000 {
				t.Errorf("%d processes", n)
			}
		}
		updates := m.hub.updates
		put(daemon)
		if n := m.fake.Calls("reload"); n != 0 {
			t.Errorf("%d reloads for new units", n)
		}
		if n := m.hub.updates - updates; n > 60 { // some 8 start at a time, and an update takes 50 ms
			t.Errorf("%d status updates for 1000 starts", n)
		}
		observes := m.fake.Calls("observe")
		put(daemon + "Environment=X=1\n")
		if n := m.fake.Calls("reload"); n > 1 {
			t.Errorf("%d reloads for changed units", n)
		}
		m.pass(time.Minute)
		if n := m.fake.Calls("observe") - observes; n > 200 {
			t.Errorf("%d observations", n)
		}
		m.hub.change(func() { clear(m.hub.units) })
		m.pass(10 * time.Second)
		if got := m.fake.String(); got != "" || len(m.hub.records) != 0 {
			t.Errorf("left behind: %d records\n%.200s", len(m.hub.records), got)
		}
	})
}

func TestChangedLoadedUnitsShareOneReload(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		// RemainAfterExit failures keep units loaded when they are down.
		broken := "[Service]\nType=oneshot\nExecStart=/bin/false\n"
		m.start()
		m.many("u%03d.service", broken, 100)
		m.pass(5 * time.Second)
		m.hub.change(func() {
			for name := range m.hub.units {
				m.hub.units[name] = assignment(name, daemon)
			}
		})
		m.pass(5 * time.Second)
		if n := m.fake.Calls("reload"); n != 1 || len(m.fake.Processes()) != 100 {
			t.Errorf("%d reloads, %d processes", n, len(m.fake.Processes()))
		}
	})
}

func TestAfterAPowerCut(t *testing.T) {
	t.Run("with no server in reach the cached units run again", func(t *testing.T) {
		inBubble(t, func(t *testing.T, m *machine) {
			m.start()
			m.hub.assign("web.service", daemon)
			m.pass(2 * time.Second)
			m.powerCut()
			m.hub.change(func() { m.hub.down = true })
			m.start()
			m.pass(cluster.DefaultTimings().Lost - time.Second)
			m.running()
			m.pass(2 * time.Second)
			m.running("web.service")
		})
	})
	t.Run("units that moved elsewhere are not started, not even for a moment", func(t *testing.T) {
		inBubble(t, func(t *testing.T, m *machine) {
			m.start()
			m.hub.assign("web.service", daemon)
			m.hub.assign("stays.service", daemon)
			m.pass(2 * time.Second)
			m.powerCut()
			starts := m.fake.Calls("start")
			m.hub.drop("web.service")
			m.start()
			m.pass(time.Minute)
			m.running("stays.service")
			if n := m.fake.Calls("start") - starts; n != 1 {
				t.Errorf("%d starts", n)
			}
		})
	})
	t.Run("a server that answers but has no slice yet is waited for", func(t *testing.T) {
		inBubble(t, func(t *testing.T, m *machine) {
			m.start()
			m.hub.assign("web.service", daemon)
			m.pass(2 * time.Second)
			m.powerCut()
			m.hub.change(func() { m.hub.mute = true })
			m.start()
			m.pass(time.Minute)
			m.running()
			m.hub.change(func() { m.hub.mute = false })
			m.pass(10 * time.Second)
			m.running("web.service")
		})
	})
}

// systemd answers late because of what starts again and again, and late as it
// is, its own limit is never reached.
func TestAUnitThatKeepsSystemdFromOtherWorkIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 3 * time.Second
		m.start()
		m.hub.assign("web.service", daemon)
		m.hub.assign("sick.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\n")
		m.pass(time.Minute)
		if s := m.status("sick.service"); !s.Failed() || s.Job != cluster.JobGaveUp || !strings.Contains(s.Problem, "again and again") || len(s.Log) == 0 {
			t.Errorf("%+v", s)
		}
		m.running("web.service")
		before := m.fake.Calls("start")
		m.hub.assign("sick.service", m.hub.units["sick.service"].Text, func(a *cluster.Assignment) { a.Restarts++ })
		m.pass(time.Minute)
		if n := m.fake.Calls("start") - before; n != 1 {
			t.Errorf("another try came to %d starts", n)
		}
		if s := m.status("sick.service"); s.Job != cluster.JobGaveUp || s.Restarts != 1 {
			t.Errorf("after another try: %+v", s)
		}
	})
}

const sick = "[Service]\nExecStart=/bin/false\nRestart=on-failure\n"

func TestANodeThatIsDeclaredDeadStartsNothingThatWaitsForItsTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 3 * time.Second
		m.start()
		m.pass(10 * time.Second)
		m.many("bad@%03d.service", sick, 100)
		m.pass(5 * time.Second)
		m.hub.change(func() { m.hub.session.Dead, m.hub.mute = true, true })
		m.pass(2 * time.Second) // it hears of it
		before := m.fake.Calls("start")
		m.pass(time.Minute)
		if n := m.fake.Calls("start"); n != before || before == 0 || before == 100 {
			t.Errorf("%d starts after it was declared dead, %d before", n-before, before)
		}
	})
}

func TestANodeThatIsDeclaredDeadStartsNothingThatItLooksAt(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 3 * time.Second
		m.start()
		m.pass(10 * time.Second)
		m.many("web@%03d.service", daemon, 8)
		m.pass(100 * time.Millisecond)
		m.hub.change(func() { m.hub.session.Dead, m.hub.mute = true, true })
		m.pass(time.Minute)
		if n := m.fake.Calls("start"); n != 0 {
			t.Errorf("%d starts after it was declared dead", n)
		}
	})
}

func TestANodeThatIsDeclaredDeadDoesNotEndAStartThatItBegan(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		late := &lateReset{Fake: m.fake}
		m.manager = late
		m.start()
		m.hub.assign("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
		m.pass(5 * time.Second)
		m.hub.assign("bad.service", m.hub.units["bad.service"].Text, func(a *cluster.Assignment) { a.Restarts = 1 })
		m.pass(100 * time.Millisecond) // systemd is late with the step before the start
		m.hub.change(func() { m.hub.session.Dead, m.hub.mute = true, true })
		m.pass(time.Minute)
		if n := m.fake.Calls("start"); n != 1 || !late.asked {
			t.Errorf("%d starts, want that of before", n)
		}
	})
}

// What is done before the start of a unit that failed takes its failure away, which is
// the reason for the start.
func TestAUnitPlacedAnewAfterAFailureIsStartedWhateverComesBetween(t *testing.T) {
	anew := func(m *machine) {
		m.hub.assign("bad.service", m.hub.units["bad.service"].Text, func(a *cluster.Assignment) { a.Epoch = 2 })
	}
	for name, between := range map[string]func(m *machine){
		"the start meets an error that passes": func(m *machine) {
			m.fake.FailNext("start", "bad.service", 1, errDown)
			anew(m)
		},
		"the node is declared dead": func(m *machine) {
			anew(m)
			m.pass(100 * time.Millisecond)
			m.hub.change(func() { m.hub.session.Dead, m.hub.mute = true, true })
			m.pass(time.Minute)
			m.hub.change(func() { m.hub.mute = false })
		},
		"the daemon ends": func(m *machine) {
			anew(m)
			m.pass(100 * time.Millisecond)
			m.stop()
			m.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.manager = &lateReset{Fake: m.fake}
				m.start()
				m.hub.assign("bad.service", "[Service]\nExecStart=/bin/false\n")
				m.pass(5 * time.Second)
				between(m)
				m.pass(2 * time.Minute)
				if s := m.status("bad.service"); s.Active != "failed" || s.Epoch != 2 || m.fake.Calls("start") < 2 {
					t.Errorf("%d starts, %+v", m.fake.Calls("start"), s)
				}
			})
		})
	}
}

// lateReset takes long to forget a failure.
type lateReset struct {
	*systemdtest.Fake
	asked bool
}

func (l *lateReset) Run(ctx context.Context, verb systemd.Verb, name cluster.UnitName) (string, error) {
	if verb == systemd.ResetFailed {
		l.asked = true
		if err := loop.Sleep(ctx, 5*time.Second); err != nil {
			return "", err
		}
	}
	return l.Fake.Run(ctx, verb, name)
}

func TestHoweverManyFailOthersGoFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 300 * time.Millisecond
		m.start()
		m.many("bad@%03d.service", sick, 1000)
		for _, after := range []time.Duration{10 * time.Second, 50 * time.Second} {
			m.pass(after)
			name := cluster.UnitName(fmt.Sprintf("web-%d.service", after/time.Second))
			m.hub.assign(name, daemon)
			m.pass(3 * time.Second)
			if m.fake.Processes()[name] == 0 {
				t.Errorf("after %s: %s does not run", after, name)
			}
		}
	})
}

// slowDisk takes its time for a file.
type slowDisk struct{ *systemdtest.Fake }

func (d slowDisk) Write(ctx context.Context, name cluster.UnitName, text string) error {
	if err := loop.Sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	return d.Fake.Write(ctx, name, text)
}

func TestUnitsThatGoWhileTheyWaitKeepNoPlaceInTheLine(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.manager = slowDisk{m.fake}
		m.start()
		m.many("web%03d.service", daemon, 300)
		m.pass(time.Second)
		m.fake.FailNext("observe", "", 1, errDown) // then everything is looked at
		m.hub.change(func() {
			for i := range 150 {
				delete(m.hub.units, cluster.UnitName(fmt.Sprintf("web%03d.service", 150+i)))
			}
		})
		m.pass(2 * time.Minute)
		if n, records := len(m.fake.Processes()), len(m.hub.records); n != 150 || records != 150 {
			t.Errorf("%d run and %d records are left, of 150", n, records)
		}
		m.hub.assign("late.service", daemon)
		m.pass(10 * time.Second)
		if m.fake.Processes()["late.service"] == 0 {
			t.Error("one that comes later never has its turn")
		}
	})
}

func TestOfANameOfTheHostNothingIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.AddHost("cron.service", daemon)
		m.start()
		m.hub.assign("cron.service", daemon)
		m.pass(2 * time.Second)
		if s := m.status("cron.service"); s.Problem == "" {
			t.Errorf("%+v", s)
		}
		m.fake.FailNext("observe", "", 1, errDown) // then everything is looked at
		m.hub.drop("cron.service")
		m.pass(time.Minute)
		if s, ok := m.hub.record("cron.service"); ok {
			t.Errorf("%+v", s)
		}
	})
}

func TestATextThatIsMendedIsNotDoubted(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 300 * time.Millisecond
		m.start()
		m.many("web@%03d.service", sick, 100)
		m.pass(10 * time.Minute)
		m.many("web@%03d.service", daemon, 100)
		m.pass(10 * time.Second)
		if n := len(m.fake.Processes()); n != 100 {
			t.Errorf("%d of 100 run", n)
		}
	})
}

func TestStopsDoNotWaitForStarts(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 300 * time.Millisecond
		m.start()
		m.hub.assign("db.service", daemon)
		m.pass(5 * time.Second)
		m.many("a%d.service", daemon, 300) // of names of their own: each is looked at after its start
		m.pass(3 * time.Second)
		old := m.fake.Processes()["db.service"]
		m.hub.assign("db.service", daemon, func(a *cluster.Assignment) { a.UID = "u2" })
		m.pass(3 * time.Second)
		if pid := m.fake.Processes()["db.service"]; pid == old {
			t.Error("it was destroyed and submitted again, and the old process still runs")
		}
		m.hub.drop("db.service")
		m.pass(3 * time.Second)
		if _, there := m.hub.record("db.service"); there || m.fake.Processes()["db.service"] != 0 {
			t.Error("db.service is still there")
		}
	})
}

func TestWhatWaitsForItsTurnWaitsForTheClusterOnceTheNodeIsDeclaredDead(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 300 * time.Millisecond
		m.start()
		m.many("bad@%03d.service", sick, 100)
		m.pass(time.Second)
		m.hub.change(func() { m.hub.session.Dead, m.hub.mute = true, true })
		m.pass(waitLong)
		if s := m.status("bad@099.service"); !strings.HasPrefix(s.Problem, "waits for the cluster") {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatWaitsForItsTurnSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 300 * time.Millisecond
		m.start()
		m.many("bad@%03d.service", sick, 100)
		m.pass(waitLong)
		s := m.status("bad@099.service")
		if s.Active != "inactive" || s.Problem != "waits for its turn on the node: more of bad@.service fail than run" {
			t.Errorf("%+v", s)
		}
		updates := m.hub.sentUpdates()
		m.pass(10 * time.Second)
		if n := m.hub.sentUpdates() - updates; n > 60 {
			t.Errorf("%d updates in 10 s", n)
		}
		m.pass(10 * time.Minute)
		if s := m.status("bad@099.service"); !s.Failed() {
			t.Errorf("in the end: %+v", s)
		}
	})
}

const waitLong = 15 * time.Second

func TestAUnitThatWaitsForItsTurnIsStillWatched(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.Lag = 300 * time.Millisecond
		m.start()
		m.hub.assign("bad@200.service", daemon)
		m.pass(5 * time.Second)
		m.many("bad@%03d.service", sick, 100)
		m.pass(10 * time.Second)
		m.hub.assign("bad@200.service", sick) // it is stopped, and waits with the others
		m.pass(3 * time.Second)
		if s := m.status("bad@200.service"); s.Active == "active" || m.fake.Processes()["bad@200.service"] != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSiblingsOfOneThatWasGivenUpAreDoubted(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		const text = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\n"
		m.fake.Lag = 3 * time.Second
		m.start()
		m.hub.assign("sick@0.service", text)
		m.pass(time.Minute)
		if s := m.status("sick@0.service"); s.Job != cluster.JobGaveUp {
			t.Fatalf("%+v", s)
		}
		before := m.fake.Calls("start")
		m.many("sick@%d.service", text, 8)
		m.pass(5 * time.Second)
		if n := m.fake.Calls("start") - before; n != 2 {
			t.Errorf("%d of seven are tried at once", n)
		}
		m.pass(10 * time.Minute)
		if n := m.fake.Calls("start") - before; n != 7 {
			t.Errorf("%d of seven were tried in the end", n)
		}
	})
}

// It was declared dead, and all that it hears of its slice is from before its new
// session: what that names may run elsewhere.
func TestADeadNodeStartsNothingThatIsOlderThanItsSession(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(2 * time.Second)
		m.hub.change(func() { m.hub.down = true })
		m.pass(10 * time.Second)
		before := m.hub.revision
		m.hub.change(func() { m.hub.down, m.hub.mute, m.hub.session.Dead = false, true, true })
		m.pass(5 * time.Second)
		m.hub.change(func() {
			m.hub.mute, m.hub.behind = false, before
			m.hub.units["new.service"] = assignment("new.service", daemon)
		})
		m.pass(2 * time.Second)
		m.hub.change(func() { m.hub.down = true })
		m.pass(time.Minute)
		m.running()
		if n := m.fake.Calls("write"); n != 1 {
			t.Errorf("%d files written: it has not heard of the unit", n)
		}
		m.hub.change(func() { m.hub.down, m.hub.behind = false, 0 })
		m.pass(10 * time.Second)
		m.running("new.service")
	})
}

func TestANodeThatReturnsDropsOldCopiesBeforeItTakesNewWork(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("old.service", daemon+"ExecStop=/bin/sleep 3\n")
		m.pass(2 * time.Second)
		m.hub.change(func() { m.hub.down = true })
		m.pass(time.Minute)
		m.hub.change(func() {
			m.hub.down, m.hub.session.Dead = false, true
			delete(m.hub.units, "old.service")
			m.hub.units["new.service"] = assignment("new.service", daemon)
		})
		for range 200 {
			m.pass(100 * time.Millisecond)
			if running := m.fake.Processes(); running["old.service"] != 0 && running["new.service"] != 0 {
				t.Fatalf("the new work began before the old was gone\n%s", m.fake)
			}
		}
		m.running("new.service")
	})
}

// Its daemon was away for so long that its unit runs elsewhere. Back, it may be
// told so before its session is open, and may not act on that yet. Without the
// copy on disk, the first look at the node finds the unit unwanted already.
func TestADaemonThatReturnsDropsOldCopies(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("its copy of the slice is lost: %t", lost), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.start()
				m.hub.assign("old.service", daemon)
				m.hub.assign("stays.service", daemon)
				m.pass(2 * time.Second)
				m.stop()
				if lost {
					if err := os.Remove(filepath.Join(m.dir, "slice.json")); err != nil {
						t.Fatal(err)
					}
				}
				m.hub.change(func() {
					m.hub.session.Dead = true
					delete(m.hub.units, "old.service")
					m.hub.units["new.service"] = assignment("new.service", daemon)
					m.hub.delay = time.Second
				})
				m.start()
				m.pass(5 * time.Second)
				m.running("new.service", "stays.service")
			})
		})
	}
}

func TestTransientTroubleIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon+"[Unit]\nRequires=db.service\n")
		m.pass(10 * time.Second)
		m.running()
		if s := m.status("web.service"); !strings.Contains(s.Problem, "db.service not found") {
			t.Errorf("problem %q", s.Problem)
		}
		if n := m.fake.Calls("start"); n < 3 || n > 5 {
			t.Errorf("%d tries in 10 s", n)
		}
		m.hub.assign("db.service", daemon)
		m.pass(30 * time.Second)
		m.running("db.service", "web.service")
		if s := m.status("web.service"); s.Problem != "" {
			t.Errorf("problem %q stayed", s.Problem)
		}
	})
}

// A unit that is started again and again has its node report it now and then,
// not each time; what it comes to is told all the same.
func TestARestlessUnitIsReportedNowAndThen(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("calm.service", daemon)
		// Each of its states lasts for many of the agent's looks, so that none is
		// missed, and none in step with them.
		m.hub.assign("flap.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 0.37\nRestart=always\nRestartSec=230ms\n")
		m.pass(30 * time.Second)
		before := m.hub.reported()
		m.pass(time.Minute)
		if n := m.hub.reported() - before; n < 20 || n > 40 {
			t.Errorf("%d updates in a minute of a unit with 200 statuses", n)
		}
		m.hub.assign("flap.service", daemon)
		m.pass(5 * time.Second)
		if s := m.status("flap.service"); s.Active != "active" {
			t.Errorf("its last status is not told: %+v", s)
		}
		m.hub.assign("other.service", daemon)
		m.pass(time.Second)
		if s := m.status("other.service"); s.Active != "active" {
			t.Errorf("another's status is late: %+v", s)
		}
	})
}

// The last thing that a restless unit does is held back like what went before,
// and nothing that happens later brings it along.
func TestWhatIsHeldBackIsToldInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("flap.service", "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=12\n[Service]\nExecStart=/bin/sleep 0.13\nRestart=always\nRestartSec=110ms\n")
		m.pass(3 * time.Second)
		if s := m.status("flap.service"); s.Active == "failed" {
			t.Fatalf("nothing was held back: %+v", s)
		}
		m.pass(2 * time.Second)
		if s := m.status("flap.service"); s.Active != "failed" || s.Log == nil {
			t.Errorf("the failure is not told: %+v", s)
		}
	})
}

func TestLabelsThatChangeAreReported(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(3 * time.Second)
		before := len(m.hub.told())
		m.a.SetLabels(map[string]string{"disk": "ssd"})
		m.a.SetLabels(map[string]string{"disk": "ssd"})
		m.pass(time.Second)
		reports := m.hub.told()
		if n := len(reports) - before; n != 1 || reports[len(reports)-1].Labels["disk"] != "ssd" {
			t.Errorf("%d reports: %+v", n, reports)
		}
	})
}

func TestANameOfTheHostIsNeverTouched(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.AddHost("ssh.service", daemon)
		before := m.fake.String()
		m.start()
		m.hub.assign("ssh.service", daemon+"#ours\n")
		m.pass(time.Minute)
		if s := m.status("ssh.service"); !strings.Contains(s.Problem, "belongs to the host") || s.Active == "active" {
			t.Errorf("status %+v", s)
		}
		m.hub.drop("ssh.service")
		m.pass(time.Minute)
		if diff := cmp.Diff(before, m.fake.String()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
		if _, ok := m.hub.record("ssh.service"); ok {
			t.Error("its record stayed")
		}
	})
}

func TestAnAliasOfTheHostIsNeverTouched(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.AddHost("rsyslog.service", daemon)
		m.fake.AddAlias("syslog.service", "rsyslog.service")
		before := m.fake.String()
		m.start()
		m.hub.assign("syslog.service", daemon)
		m.pass(time.Minute)
		if s := m.status("syslog.service"); !strings.Contains(s.Problem, "belongs to the host") || s.Active == "active" {
			t.Errorf("status %+v", s)
		}
		if diff := cmp.Diff(before, m.fake.String()); diff != "" || m.fake.Calls("write")+m.fake.Calls("start") != 0 {
			t.Errorf("%d writes, %d starts (-before +after):\n%s", m.fake.Calls("write"), m.fake.Calls("start"), diff)
		}
	})
}

func TestAnOlderGenerationIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(2 * time.Second)
		// A server that is far behind: it does not know the unit yet.
		m.hub.change(func() { m.hub.revision = 2; clear(m.hub.units) })
		m.pass(6 * time.Second)
		m.running("web.service")
	})
}

func TestACorruptFileIsPutAside(t *testing.T) {
	for _, text := range []string{"", "{", "\x00\x00", `{"version":99}`, `{"version":1,"slice":{"node":"other"}}`, `[]`} {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *machine) {
				m.start()
				m.hub.assign("web.service", daemon)
				m.pass(2 * time.Second)
				m.stop()
				for _, name := range []string{"slice.json", "memory.json"} {
					if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				before := m.fake.Processes()
				m.hub.change(func() { m.hub.down = true })
				m.start()
				m.pass(time.Minute)
				if aside, err := os.ReadFile(filepath.Join(m.dir, "slice.json.corrupt")); err != nil || string(aside) != text {
					t.Errorf("put aside: %q, %v", aside, err)
				}
				m.hub.change(func() { m.hub.down = false })
				m.pass(time.Minute)
				if diff := cmp.Diff(before, m.fake.Processes()); diff != "" {
					t.Errorf("processes (-before +after):\n%s", diff)
				}
			})
		})
	}
}

func TestLeavingTakesEveryUnitAway(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.AddHost("ssh.service", daemon)
		before := m.fake.String()
		m.start()
		m.hub.assign("web.service", daemon)
		m.hub.assign("bad.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
		m.pass(5 * time.Second)
		m.stop()
		if err := m.a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, m.fake.String()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
		if files, _ := os.ReadDir(m.dir); len(files) != 0 {
			t.Errorf("files left: %v", files)
		}
	})
}

func TestLeavingTakesAlsoWhatWasPutAside(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		for _, name := range []string{"slice.json", "memory.json"} {
			if err := os.WriteFile(filepath.Join(m.dir, name), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m.start()
		m.pass(time.Second)
		m.stop()
		if aside, _ := filepath.Glob(filepath.Join(m.dir, "*.corrupt")); len(aside) != 2 {
			t.Fatalf("put aside: %v", aside)
		}
		if err := m.a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if files, _ := os.ReadDir(m.dir); len(files) != 0 {
			t.Errorf("files left: %v", files)
		}
	})
}

// A power cut may leave a file that was half written.
func TestLeavingTakesAlsoWhatAPowerCutLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		for _, name := range []string{"slice.json.new", "memory.json.new"} {
			if err := os.WriteFile(filepath.Join(m.dir, name), []byte(`{"ver`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(5 * time.Second)
		if left, _ := filepath.Glob(filepath.Join(m.dir, "*.json?*")); len(left) != 0 {
			t.Errorf("in use: %v", left)
		}
		if err := os.WriteFile(filepath.Join(m.dir, "slice.json.new"), []byte(`{"ver`), 0o600); err != nil {
			t.Fatal(err)
		}
		m.stop()
		if err := m.a.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if files, _ := os.ReadDir(m.dir); len(files) != 0 {
			t.Errorf("files left: %v", files)
		}
	})
}

func TestTheNodeReportsItself(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(time.Second)
		m.a.SetProblems([]string{"disk is full"})
		m.pass(time.Second)
		last := m.hub.told()[len(m.hub.told())-1]
		if last.Node != "n1" || last.Version != "test" || last.CPUs == 0 || last.Memory == 0 || len(last.Problems) != 1 {
			t.Errorf("report %+v", last)
		}
		n := len(m.hub.told())
		m.pass(time.Hour)
		if len(m.hub.told()) != n {
			t.Error("an unchanged report was sent again")
		}
	})
}

func TestWhatWasWrongBeforeTheSessionIsInTheFirstReport(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.prepare = func(a *agent.Agent) { a.SetProblems([]string{"the file differs"}) }
		m.hub.delay = time.Second
		m.start()
		m.pass(500 * time.Millisecond)
		if n := len(m.hub.told()); n != 0 {
			t.Errorf("%d reports before there is a session", n)
		}
		m.pass(5 * time.Second)
		if n := len(m.hub.told()); n != 1 || len(m.hub.told()[0].Problems) != 1 {
			t.Errorf("reports %+v", m.hub.told())
		}
	})
}

// lateLook takes its time to show anything, once it is late.
type lateLook struct {
	*systemdtest.Fake
	late atomic.Bool
}

func (l *lateLook) Observe(ctx context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	if l.late.Load() {
		if err := loop.Sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return l.Fake.Observe(ctx, names...)
}

func TestANodeThatMayStartDuringALookDoesSo(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		look := &lateLook{Fake: m.fake}
		m.manager = look
		m.start()
		m.hub.assign("web.service", daemon)
		m.pass(5 * time.Second)
		m.powerCut()
		m.hub.change(func() { m.hub.down = true })
		m.start()
		m.pass(cluster.DefaultTimings().Lost - 100*time.Millisecond)
		look.late.Store(true)
		m.fake.Reconnect() // everything is looked at
		m.pass(10 * time.Second)
		m.running("web.service")
	})
}

func TestARecordOfAFailureOutlivesTheRestartOfTheDaemon(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.fake.JournalLag = time.Second
		m.start()
		m.many("bad%d.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", 10)
		m.pass(30 * time.Second)
		m.stop()
		m.start()
		for range 100 {
			m.pass(100 * time.Millisecond)
			if n := len(m.hub.records); n != 10 {
				t.Fatalf("%d of 10 records", n)
			}
		}
		if s := m.status("bad3.service"); len(s.Log) == 0 {
			t.Errorf("without its last words: %+v", s)
		}
	})
}
