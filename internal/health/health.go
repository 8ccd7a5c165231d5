// Package health judges one run of a unit by the answers that it gives: from what the
// unit's file says and one answer after the other to whether it may be used, why not,
// and when to ask again.
//
// It is pure.
package health

import (
	"time"

	"argosy/internal/unitfile"
)

// Until the first good answer a unit is asked soon after the last time, then ever more
// rarely: who is up at once is to be found at once.
const (
	eagerMin = 50 * time.Millisecond
	eagerMax = time.Second
)

// State is what is known of one run of a unit. It is a value: After returns the next.
type State struct {
	began    time.Time
	asked    int
	failures int // in a row, that count
	well     bool
	reason   string
	// Next is when the unit is to be asked.
	Next time.Time
}

// Begin returns the state of a unit that has just become active: nothing is known of
// it, so it cannot be used, and it is to be asked at once.
func Begin(now time.Time) State {
	return State{began: now, reason: "it was not asked yet", Next: now}
}

// Resume returns the state of a unit that was last known to be healthy by one who does
// not ask any more: it can be used until it fails too often, and is asked at once.
func Resume(now time.Time) State { return State{began: now, well: true, Next: now} }

// After returns the state after an answer; failure says what was wrong with it, "" if it
// was good.
func (s State) After(h unitfile.Health, failure string, now time.Time) State {
	s.asked++
	switch {
	case failure == "":
		s.well, s.reason, s.failures = true, "", 0
	case s.starting(h, now):
		s.reason = failure
	default:
		s.failures++
		if s.failures >= h.Retries {
			s.well = false
		}
		if !s.well {
			s.reason = failure
		}
	}
	wait := h.Interval
	if s.failures == 0 && !s.well {
		wait = min(wait, eagerMin<<min(s.asked-1, 10), eagerMax)
	}
	s.Next = now.Add(wait)
	return s
}

// starting reports whether failures do not count yet.
func (s State) starting(h unitfile.Health, now time.Time) bool {
	return !s.well && s.failures == 0 && now.Sub(s.began) < h.Grace
}

// WhyNot says why the unit cannot be used, "" if it can.
func (s State) WhyNot() string { return s.reason }

// Sick says what is wrong with a unit that had its chances: so many failures in a row
// that something should be done about it. "" if there is nothing.
func (s State) Sick(h unitfile.Health) string {
	if s.failures < h.Retries {
		return ""
	}
	return s.reason
}
