package agent_test

import (
	"testing"
	"time"

	"argosy/internal/cluster"
)

func TestThePermitCountsFromBeforeTheRenewalWasSent(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.hub.delay = 900 * time.Millisecond
		m.start()
		m.pass(time.Second)
		if want := m.hub.sent.Add(cluster.DefaultTimings().Valid); !m.deadline.Equal(want) {
			t.Errorf("deadline %s, want %s", m.deadline, want)
		}
		m.hub.change(func() { m.hub.down = true })
		m.pass(5 * time.Second)
		if want := m.hub.sent.Add(cluster.DefaultTimings().Valid); !m.deadline.Equal(want) {
			t.Errorf("without renewals the deadline moved to %s", m.deadline)
		}
	})
}

// A server takes a renewal that has heard of another for one of a session that
// it does not know any more, and refuses it.
func TestASessionIsOpenedHoweverOftenThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.hub.down = true
		m.start()
		m.pass(10 * time.Second)
		m.hub.change(func() { m.hub.down = false })
		m.pass(3 * time.Second)
		if len(m.hub.openings) != 1 || m.hub.openings[0] != 0 {
			t.Errorf("sessions were opened having heard of %v", m.hub.openings)
		}
		if m.hub.session.Seq < 2 {
			t.Errorf("renewals do not count: %+v", m.hub.session)
		}
	})
}

// To be alive is to be heard and to hear: the leader must not take a node for
// alive that cannot learn what it is to do.
func TestANodeThatDoesNotHearRenewsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(5 * time.Second)
		heard, permitted := m.a.Session().Seq, m.deadline
		m.hub.change(func() { m.hub.deaf = true })
		m.pass(4 * time.Second)
		if seq := m.hub.session.Seq; seq != heard+1 {
			t.Errorf("renewed up to %d, heard up to %d", seq, heard)
		}
		if m.deadline != permitted {
			t.Errorf("the permit moved by %s", m.deadline.Sub(permitted))
		}
		m.hub.change(func() { m.hub.deaf = false })
		for range 30 {
			m.pass(100 * time.Millisecond)
			if m.deadline.After(m.hub.sent.Add(cluster.DefaultTimings().Valid)) {
				t.Fatal("the permit counts from a renewal that was not stored")
			}
		}
		if m.hub.session.Seq <= heard+1 || !m.deadline.After(permitted) || len(m.hub.openings) != 1 {
			t.Errorf("not renewed after it hears again: %+v, opened %d times", m.hub.session, len(m.hub.openings))
		}
	})
}

func TestASessionIsRenewedInTimeAndOpenedAnewWhenItIsDead(t *testing.T) {
	inBubble(t, func(t *testing.T, m *machine) {
		m.start()
		m.pass(20*time.Second + 500*time.Millisecond)
		if n := len(m.hub.sessions); n != 11 {
			t.Errorf("%d renewals in 20 s", n)
		}
		first := m.hub.sessions[0]
		m.hub.change(func() { m.hub.session.Dead = true })
		m.pass(5 * time.Second)
		last := m.hub.sessions[len(m.hub.sessions)-1]
		if last == first || m.a.Session().Incarnation != last {
			t.Errorf("incarnations %s, then %s", first, last)
		}
		m.stop()
		m.start()
		m.pass(time.Second)
		if next := m.hub.sessions[len(m.hub.sessions)-1]; next == last {
			t.Error("a restart of the daemon kept the incarnation")
		}
	})
}
