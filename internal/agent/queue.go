package agent

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/systemd"
)

// queue decides whose turn it is to be worked on. systemd starts all that are due
// in one go and answers nothing meanwhile. If too many are due, that takes so long
// that units that fail do not reach their start limit, which counts by the clock:
// they fail on for ever, and whatever else starts waits for them. So units that
// systemd starts again by itself count as being started, and of those that wait for
// their start the doubtful ones come last and few at a time: instances of one text
// of which more fail than run. Otherwise who comes first goes first. What stops or
// only changes files is not held up by starts.
//
// A unit that waits is not busy: it is observed like others, and decided anew when
// its turn comes. The queue is guarded by the converger's mutex.
type queue struct {
	slots    int // for starts
	starts   int // slots that are taken: called, worked on, or started and not seen since
	aged     int // of them by units that were passed over for long
	chores   int // slots that are taken for other work
	line     []*turn
	unseen   map[cluster.UnitName]*turn
	again    map[cluster.UnitName]bool // systemd starts them again and again, with hardly a pause
	verdicts map[cluster.UnitName]judged
	families map[family]tally
}

const (
	// parallel is how many units are started at once, by default: a start is CPU time
	// more than waiting, much of it systemd's own, which has one thread.
	parallel = 8
	// pause is how long systemd waits before it starts a unit again, at least, for
	// that not to count as work.
	pause = time.Second
	// turnMax is how long a unit is passed over because its siblings fail. After that it
	// has its turn like others, but one of them at a time.
	turnMax = time.Minute
)

// turn is one unit's place in the line, and then its slot.
type turn struct {
	unit    cluster.UnitName
	family  family
	work    work
	heading bool // for a reload
	since   time.Time
	problem string // what is wrong with it
	told    bool   // that it waits
	aged    bool   // it was passed over for long
	called  bool   // it has a slot
	over    bool   // its slot was given back
}

// work is what a unit is worked on for.
type work int

const (
	chore work = iota
	starting
	relief // takes load off systemd: waits for nothing
)

// family is what units have in common that are made from one text. A unit that is
// no instance is a family of its own.
type family struct {
	name cluster.UnitName
	hash cluster.Hash
}

func familyOf(want cluster.Assignment) family {
	return family{cmp.Or(want.Name.Template(), want.Name), want.Hash}
}

// verdict is how a unit did when it was last seen.
type verdict int

const (
	unknown verdict = iota
	runs            // or ended well
	fails
)

type judged struct {
	family  family
	verdict verdict
}

// tally is how a family does.
type tally struct {
	runs, fails int
	tried       int // being started, or not seen since
}

func (t tally) doubtful() bool { return t.fails > t.runs }

func (t tally) trusted() bool { return t.runs > t.fails+t.tried }

func newQueue(slots int) *queue {
	return &queue{
		slots: slots, unseen: map[cluster.UnitName]*turn{}, again: map[cluster.UnitName]bool{},
		verdicts: map[cluster.UnitName]judged{}, families: map[family]tally{},
	}
}

// workOf returns what steps are for.
func (q *queue) workOf(unit cluster.UnitName, steps []converge.Step) work {
	has := func(kind converge.Kind) bool { return index(steps, kind) >= 0 }
	switch {
	case has(converge.Start):
		return starting
	case has(converge.GiveUp), has(converge.Stop) && q.again[unit]:
		return relief
	}
	return chore
}

// ask returns a slot for a unit, or its place in the line: it is called then.
func (q *queue) ask(t turn, now time.Time) (slot, waits *turn) {
	i := slices.IndexFunc(q.line, func(other *turn) bool { return other.unit == t.unit })
	switch {
	case i < 0 && q.may(&t, now) && (len(q.line) == 0 || t.work != starting):
		q.call(&t, now)
		return &t, nil
	case i < 0:
		t.since = now
		q.line = append(q.line, &t)
		return nil, &t
	case q.line[i].called:
		called := q.line[i]
		q.line = slices.Delete(q.line, i, i+1)
		if called.work == t.work && called.family == t.family {
			return called, nil
		}
		q.give(called) // it was called for something else
		return q.ask(t, now)
	}
	waits = q.line[i]
	waits.family, waits.work, waits.heading, waits.problem = t.family, t.work, t.heading, t.problem
	return nil, waits
}

// leave takes a unit out of the line, for which nothing is to be done any more.
func (q *queue) leave(unit cluster.UnitName) {
	q.line = slices.DeleteFunc(q.line, func(t *turn) bool {
		if t.unit == unit && t.called {
			q.give(t)
		}
		return t.unit == unit
	})
}

// next calls the one whose turn it is; "" if there is none. Starts may be held.
func (q *queue) next(now time.Time, hold bool) cluster.UnitName {
	var best *turn
	for _, t := range q.line {
		if t.called || hold && t.work == starting || !q.may(t, now) {
			continue
		}
		if best == nil || q.doubts(best, now) && !q.doubts(t, now) {
			best = t
		}
	}
	if best == nil {
		return ""
	}
	q.call(best, now)
	return best.unit
}

// doubts reports whether a unit is passed over, since its siblings fail.
func (q *queue) doubts(t *turn, now time.Time) bool {
	return q.doubtful(t) && (t.since.IsZero() || now.Sub(t.since) < turnMax)
}

func (q *queue) doubtful(t *turn) bool { return t.work == starting && q.families[t.family].doubtful() }

// may reports whether a unit may be worked on beside what is being done.
func (q *queue) may(t *turn, now time.Time) bool {
	few := max(q.slots/4, 1)
	switch {
	case t.work == relief:
		return true
	case t.work == chore:
		return q.chores < 4*q.slots // mostly waiting: for processes to end
	case q.doubts(t, now):
		// However many fail, the next is tried when there is nothing else to do.
		return q.starts+len(q.again) < few || q.starts == 0
	case q.doubtful(t) && q.aged > 0:
		return false
	}
	return q.starts < max(q.slots-len(q.again), few)
}

func (q *queue) call(t *turn, now time.Time) {
	t.called, t.aged = true, q.doubtful(t) && !q.doubts(t, now)
	q.count(t, 1)
}

// done ends the work on a unit. One that was started keeps its slot until it is
// seen what became of it, or its time is over, unless it is of a family that is
// trusted.
func (q *queue) done(t *turn) {
	if t.work == starting && !t.over && !q.families[t.family].trusted() {
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
	q.count(t, -1)
	if q.unseen[t.unit] == t {
		delete(q.unseen, t.unit)
	}
}

func (q *queue) count(t *turn, n int) {
	switch t.work {
	case chore:
		q.chores += n
	case starting:
		q.starts += n
		q.change(t.family, func(f *tally) { f.tried += n })
		if t.aged {
			q.aged += n
		}
	case relief:
	}
}

// seen notes what systemd shows of a unit that is not worked on.
func (q *queue) seen(want *cluster.Assignment, u systemd.Unit, known converge.Known) {
	// Until its first pause is over, systemd counts no restart.
	restarts := u.Active == "activating" && (u.AutoRestarts > 0 || u.Sub == "auto-restart")
	is := judged{}
	if s := known.Started; want != nil && s != nil && s.Hash == want.Hash { // what another text did says nothing
		is.family = familyOf(*want)
		switch {
		case restarts, known.Problem(u) != "":
			is.verdict = fails
		case u.Active == "active", known.Well(u):
			is.verdict = runs
		}
	}
	q.judge(u.Name, is)
	delete(q.again, u.Name)
	if restarts && u.RestartDelay < pause {
		q.again[u.Name] = true
	}
	if t := q.unseen[u.Name]; t != nil {
		q.give(t)
	}
}

// gone forgets a unit.
func (q *queue) gone(unit cluster.UnitName) {
	q.leave(unit)
	q.seen(nil, systemd.Unit{Name: unit}, converge.Known{})
}

// judge replaces the verdict on a unit.
func (q *queue) judge(unit cluster.UnitName, is judged) {
	count := func(j judged, n int) {
		if j.verdict != unknown {
			q.change(j.family, func(f *tally) {
				if j.verdict == runs {
					f.runs += n
				} else {
					f.fails += n
				}
			})
		}
	}
	count(q.verdicts[unit], -1)
	count(is, 1)
	if q.verdicts[unit] = is; is.verdict == unknown {
		delete(q.verdicts, unit)
	}
}

func (q *queue) change(f family, by func(*tally)) {
	t := q.families[f]
	by(&t)
	if q.families[f] = t; t == (tally{}) {
		delete(q.families, f)
	}
}

// heading reports whether one that waits is to be ready for a reload.
func (q *queue) heading() bool {
	return slices.ContainsFunc(q.line, func(t *turn) bool { return t.heading })
}

// reason says why a unit waits.
func (q *queue) reason(t *turn) string {
	if t.work == starting && q.families[t.family].doubtful() {
		return fmt.Sprintf("waits for its turn on the node: more of %s fail than run", t.family.name)
	}
	return "waits for its turn on the node"
}
