package events

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"argosy/internal/cluster"
)

// Bounds of what one subject and one kind may tell. A unit that starts and
// fails for ever must not push out what happened to the others, nor may one
// request for ten thousand units push out the whole day.
const (
	subjectMax = 5    // events of one kind about one subject in one window
	kindMax    = 2000 // events of one kind in one window
	windowMin  = time.Minute
	windowMax  = time.Hour
)

// Limiter bounds events: what goes beyond the bounds is counted, and the count
// is told when the window ends. The window of a subject that goes on and on
// doubles, from a minute up to an hour. The zero Limiter is ready for use; it is
// pure but for what it counts.
type Limiter struct {
	windows map[key]*window
	expired time.Time // when windows were last looked through
}

// key is what is counted together; without a subject, a kind as a whole.
type key struct {
	kind cluster.EventKind
	unit cluster.UnitName
	node cluster.NodeID
}

type window struct {
	begun   time.Time
	length  time.Duration
	passed  int
	dropped int
	last    cluster.Event // that was dropped
}

// Pass returns the events that may be kept, preceded by the counts of what was
// left out of windows that have ended by now. It is called with no events too,
// so that a count does not wait for the next event; revision is that of the
// snapshot at hand.
func (l *Limiter) Pass(events []cluster.Event, revision cluster.Revision, now time.Time) []cluster.Event {
	out := l.expire(revision, now)
	for _, e := range events {
		kind, subject := key{kind: e.Kind}, key{e.Kind, e.Unit, e.Node}
		// The subject first: what it is refused must not use up its kind.
		if !l.take(subject, subjectMax, e, now) {
			continue
		}
		if subject == kind || l.take(kind, kindMax, e, now) {
			out = append(out, e)
		}
	}
	return out
}

// take counts an event against one bound and reports whether it is within it.
func (l *Limiter) take(k key, limit int, e cluster.Event, now time.Time) bool {
	if l.windows == nil {
		l.windows = map[key]*window{}
	}
	w := l.windows[k]
	if w == nil {
		w = &window{begun: now, length: windowMin}
		l.windows[k] = w
	}
	if w.passed < limit {
		w.passed++
		return true
	}
	w.dropped++
	w.last = e
	return false
}

// expireEvery is how often windows are looked through: there may be many.
const expireEvery = time.Second

// expire ends the windows whose time is over.
func (l *Limiter) expire(revision cluster.Revision, now time.Time) []cluster.Event {
	if now.Sub(l.expired) < expireEvery {
		return nil
	}
	l.expired = now
	var over []key
	for k, w := range l.windows {
		switch {
		case now.Sub(w.begun) < w.length:
		case w.dropped == 0:
			delete(l.windows, k)
		default:
			over = append(over, k)
		}
	}
	slices.SortFunc(over, key.compare)
	var out []cluster.Event
	for _, k := range over {
		w := l.windows[k]
		e := k.leftOut(w, now)
		e.Revision = revision // readers go on by revision, and this is news
		out = append(out, e)
		*w = window{begun: now, length: min(2*w.length, windowMax)}
	}
	return out
}

// leftOut tells what a window has dropped.
func (k key) leftOut(w *window, now time.Time) cluster.Event {
	e := cluster.Event{
		ID: w.last.ID + ".left-out", Time: now, Since: w.begun,
		Kind: cluster.EventLogLeftOut, Unit: k.unit, Node: k.node,
	}
	if k.node != "" {
		e.NodeName = w.last.NodeName
	}
	about := "of all units and nodes"
	switch {
	case k.unit != "" && k.node != "":
		about = "of " + string(k.unit) + " on " + e.NodeName
	case k.unit != "":
		about = "of " + string(k.unit)
	case k.node != "":
		about = "of " + e.NodeName
	}
	e.Text = fmt.Sprintf("%d more events %s %s were left out within %s", w.dropped, k.kind, about, now.Sub(w.begun).Round(time.Second))
	return e
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.unit, o.unit), cmp.Compare(k.node, o.node))
}
