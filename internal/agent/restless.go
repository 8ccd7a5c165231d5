package agent

import (
	"time"

	"argosy/internal/cluster"
)

// A unit that systemd starts again and again would have its node write to the
// store many times a second. Each may change statusBurst times in a row, and
// after that once each statusEvery; what is shown last is always true.
const (
	statusBurst = 10
	statusEvery = 2 * time.Second
)

// restless counts how often the statuses of units were published of late. Units
// that are quiet take no room.
type restless map[cluster.UnitName]allowance

// allowance is how much of its burst a unit has used up, as of a time.
type allowance struct {
	used int
	at   time.Time
}

// wait returns how long a unit's status must wait to be published; 0 if it need
// not.
func (r restless) wait(name cluster.UnitName, now time.Time) time.Duration {
	if a := r.refilled(name, now); a.used >= statusBurst {
		return a.at.Add(statusEvery).Sub(now)
	}
	return 0
}

// published notes that a unit's status was. What is sent although it should
// have waited, in a full update, does not make it wait for longer.
func (r restless) published(name cluster.UnitName, now time.Time) {
	a := r.refilled(name, now)
	if a.used == 0 {
		a.at = now
	}
	a.used = min(a.used+1, statusBurst)
	r[name] = a
}

// refilled gives back one publication for each statusEvery that has passed.
func (r restless) refilled(name cluster.UnitName, now time.Time) allowance {
	a := r[name]
	if back := int(now.Sub(a.at) / statusEvery); back > 0 && a.used > 0 {
		a.used, a.at = a.used-back, a.at.Add(time.Duration(back)*statusEvery)
	}
	if a.used <= 0 {
		delete(r, name)
		return allowance{}
	}
	r[name] = a
	return a
}
