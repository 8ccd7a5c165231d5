package permit

import (
	"fmt"
	"time"

	"argosy/internal/cluster"
)

// State is what a permit process holds.
type State string

// The states. They only move forward, from none over held to expired.
const (
	None    State = "none"    // no permit since the process started: nothing to protect
	Held    State = "held"    // the deadline has not passed
	Expired State = "expired" // the deadline has passed: the process exits
)

// validMax bounds what an agent may ask for. The widest timings want 30 s; more
// than ten minutes can only be a mistake, and a permit cannot be taken back.
const validMax = 10 * time.Minute

// grant is a permit: it ends when valid has passed since sent. The zero grant
// is no permit.
type grant struct {
	sent  Reading
	valid time.Duration
}

// accept returns the grant that holds after another was offered: the one whose
// renewal was sent last, whichever came last, since messages may overtake each
// other. It refuses those that cannot be true or are over already.
func accept(held, offered grant, now Reading) (grant, error) {
	age := Age(offered.sent, now)
	switch {
	case offered.valid <= 0 || offered.valid > validMax:
		return held, cluster.Errorf(cluster.Invalid, "a permit valid for %s: it must be more than zero and at most %s", offered.valid, validMax)
	case offered.sent.Boot > now.Boot || offered.sent.Raw > now.Raw:
		// Real is left out: it may be set back between two honest readings.
		return held, cluster.Errorf(cluster.Invalid, "the renewal was sent in the future: its clocks are not those of this boot")
	case age >= offered.valid:
		return held, cluster.Errorf(cluster.Conflict, "the permit came too late: the renewal was sent %s ago and was valid for %s", round(age), offered.valid)
	case held.valid != 0 && offered.sent.Boot < held.sent.Boot:
		return held, nil
	}
	return offered, nil
}

// decision says what the process does now.
type decision struct {
	state  State
	again  time.Duration // when to decide anew; not used once expired
	reason string        // for a person
}

// checksPerWatchdog is how often a held permit is looked at within a watchdog
// interval: often enough that an expiry which the timer cannot foresee (a
// suspend, a jump of the clock) is noticed long before systemd would.
const checksPerWatchdog = 5

// decide tells whether the grant still holds. Only a decision that is not
// Expired allows the watchdog to be fed.
func decide(g grant, now Reading, watchdog time.Duration) decision {
	if g.valid == 0 {
		return decision{None, watchdog / 2, "no permit granted yet, nothing to protect"}
	}
	age := Age(g.sent, now)
	if age < 0 {
		return decision{state: Expired, reason: "the clocks ran backwards"}
	}
	left := g.valid - age
	if left <= 0 {
		return decision{state: Expired, reason: fmt.Sprintf("the last renewal was sent %s ago and was valid for %s", round(age), g.valid)}
	}
	// The timer counts by yet another clock; the floor keeps the last instants
	// before the deadline from becoming a busy loop.
	again := max(min(left, watchdog/checksPerWatchdog), time.Millisecond)
	return decision{Held, again, "the node may run exclusive units"}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
