package agent

import (
	"cmp"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// queue decides which units are worked on, some at a time. systemd starts all that
// are due in one go and answers nothing meanwhile. If too many are due, that takes
// so long that units that fail do not reach their start limit, which counts by the
// clock: they fail on for ever, and whatever else starts waits for them. So units
// that systemd starts again by itself count as worked on, and of those that wait
// for their start the doubtful ones come last and few at a time: instances of a
// template of which more fail than run. Otherwise who comes first goes first.
//
// It is guarded by the converger's mutex.
type queue struct {
	slots    int
	taken    int // by units that are worked on, or were and have not been seen since
	waiting  []*turn
	unseen   map[cluster.UnitName]*turn
	again    map[cluster.UnitName]bool // systemd starts them again and again, with hardly a pause
	verdicts map[cluster.UnitName]verdict
	families map[cluster.UnitName]family
}

const (
	// parallel is how many units are worked on at once, by default: a start is CPU
	// time more than waiting, most of it systemd's own, which has one thread.
	parallel = 8
	// pause is how long systemd waits before it starts a unit again, at least, for
	// that not to count as work.
	pause = time.Second
)

// turn is one unit's place in a queue, and then its slot.
type turn struct {
	unit cluster.UnitName
	work work
	come chan struct{} // closed when the unit has a slot
	over bool          // the slot was given back
}

// work is what a slot is wanted for.
type work int

const (
	chores work = iota
	starting
	relief // takes load off systemd: waits for nothing
)

// verdict is how a unit did when it was last seen.
type verdict int

const (
	unknown verdict = iota
	runs
	fails
)

// family counts the verdicts on the instances of a template. A unit that is none
// is a family of its own.
type family [fails + 1]int

func (f family) doubtful() bool { return f[fails] > f[runs] }

func (f family) trusted() bool { return f[runs] > f[fails] }

func newQueue(slots int) *queue {
	return &queue{
		slots: slots, unseen: map[cluster.UnitName]*turn{}, again: map[cluster.UnitName]bool{},
		verdicts: map[cluster.UnitName]verdict{}, families: map[cluster.UnitName]family{},
	}
}

// join asks for a slot.
func (q *queue) join(unit cluster.UnitName, work work) *turn {
	t := &turn{unit: unit, work: work, come: make(chan struct{})}
	q.waiting = append(q.waiting, t)
	q.serve()
	return t
}

// leave gives up a turn, or the slot that has come with it.
func (q *queue) leave(t *turn) {
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		return
	}
	q.give(t)
}

// done ends the work on a unit. One that was started keeps its slot until it is
// seen what became of it, unless it is of a family that is trusted.
func (q *queue) done(t *turn) {
	if t.work == starting && !t.over && !q.family(t.unit).trusted() {
		q.unseen[t.unit] = t
		return
	}
	q.give(t)
}

// give gives a slot back, once.
func (q *queue) give(t *turn) {
	if t.over {
		return
	}
	t.over = true
	q.taken--
	q.serve()
}

// serve hands out the slots that are free.
func (q *queue) serve() {
	for i := q.next(); i >= 0; i = q.next() {
		t := q.waiting[i]
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.taken++
		close(t.come)
	}
}

// next returns which of those that wait has a slot now, -1 if none has.
func (q *queue) next() int {
	few := max(q.slots/4, 1)
	free := q.taken < max(q.slots-len(q.again), few)
	// However many fail, the next is tried when there is nothing else to do.
	freeForDoubt := q.taken+len(q.again) < few || q.taken == 0
	doubted := -1
	for i, t := range q.waiting {
		switch {
		case t.work == relief:
			return i
		case t.work == starting && q.family(t.unit).doubtful():
			if freeForDoubt && doubted < 0 {
				doubted = i
			}
		case free:
			return i
		}
	}
	return doubted
}

// seen notes what systemd shows of a unit that is not worked on, and whether its
// last start came to nothing.
func (q *queue) seen(u systemd.Unit, failed bool) {
	// Until its first pause is over, systemd counts no restart.
	restarts := u.Active == "activating" && (u.AutoRestarts > 0 || u.Sub == "auto-restart")
	switch {
	case failed, restarts:
		q.judge(u.Name, fails)
	case u.Active == "active":
		q.judge(u.Name, runs)
	default:
		q.judge(u.Name, unknown)
	}
	delete(q.again, u.Name)
	if restarts && u.RestartDelay < pause {
		q.again[u.Name] = true
	}
	if t := q.unseen[u.Name]; t != nil {
		delete(q.unseen, u.Name)
		q.give(t)
	}
	q.serve()
}

// gone forgets a unit.
func (q *queue) gone(unit cluster.UnitName) { q.seen(systemd.Unit{Name: unit}, false) }

// judge replaces the verdict on a unit.
func (q *queue) judge(unit cluster.UnitName, v verdict) {
	f := q.family(unit)
	f[q.verdicts[unit]]--
	f[v]++
	q.verdicts[unit], q.families[familyName(unit)] = v, f
	if v == unknown {
		delete(q.verdicts, unit)
	}
	if f[runs] == 0 && f[fails] == 0 {
		delete(q.families, familyName(unit))
	}
}

func (q *queue) family(unit cluster.UnitName) family { return q.families[familyName(unit)] }

func familyName(unit cluster.UnitName) cluster.UnitName { return cmp.Or(unit.Template(), unit) }
