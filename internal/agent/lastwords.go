package agent

import (
	"cmp"
	"context"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

const (
	wordsTimeout = 5 * time.Second        // for a sync, and for one unit's lines
	wordsAgain   = 500 * time.Millisecond // until a second look
	// A failure is not kept back for longer than wordsPatience: its lines are added.
	wordsPatience = 5 * time.Second
)

// lastWords publishes failures, each with the last lines of its unit. One is read
// after the other: when many units fail, reading their logs must not take the time
// of those that start. Its fields are guarded by the converger's mutex, which its
// methods expect to be held, except for those of the loop.
type lastWords struct {
	c    *converger
	loop *loop.Loop

	unsaid map[cluster.UnitName]cluster.Status // failures of which nothing is said yet
	begun  map[cluster.UnitName]cluster.Status // the last failure of each unit that lines were fetched for
	due    map[cluster.UnitName]fetch
	synced time.Time // when the last sync began; only the loop uses it
}

// fetch is what is to be read.
type fetch struct {
	failure cluster.Status
	asked   time.Time
	at      time.Time // not before
	second  bool      // look: the first was before systemd's verdict was in the journal
}

// before orders fetches by when they were asked for.
func (f fetch) before(g fetch) bool {
	return cmp.Or(f.asked.Compare(g.asked), cmp.Compare(f.failure.Unit, g.failure.Unit)) < 0
}

func newLastWords(c *converger) *lastWords {
	l := &lastWords{c: c, unsaid: map[cluster.UnitName]cluster.Status{}, begun: map[cluster.UnitName]cluster.Status{}, due: map[cluster.UnitName]fetch{}}
	l.loop = loop.New("last words", c.a.log, l.step)
	return l
}

// publish publishes the status of a failed unit, with its last lines; until they
// are there, nothing is said of the failure. What had failed before this daemon came is
// said at once: its record is there, and would be gone for as long as the lines take.
func (l *lastWords) publish(status cluster.Status) {
	name := status.Unit
	reading, ok := l.unsaid[name]
	switch {
	case ok && sameStart(reading, status):
		l.unsaid[name] = status // what is newest goes with the lines
	case sameStart(l.begun[name], status) || l.c.a.deps.Journal == nil:
		l.c.a.statuses.set(status)
	default:
		l.begun[name] = status
		if l.c.looked {
			l.unsaid[name] = status
		} else {
			l.c.a.statuses.set(status)
		}
		l.due[name] = fetch{failure: status, asked: time.Now()}
		l.loop.Wake()
	}
}

// over notes that a unit has not failed any more.
func (l *lastWords) over(name cluster.UnitName) {
	delete(l.unsaid, name)
	delete(l.due, name)
}

// forget forgets a unit.
func (l *lastWords) forget(name cluster.UnitName) {
	l.over(name)
	delete(l.begun, name)
}

// step reads the lines of all units that are due.
func (l *lastWords) step(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		f, due, next := l.take(time.Now())
		if !due {
			return next, nil
		}
		if !l.synced.After(f.asked) {
			l.sync(ctx)
		}
		l.read(ctx, f)
	}
	return loop.Never, nil
}

// take returns what is due and was asked for first, or how long until something is.
// Failures that were kept back for long are published.
func (l *lastWords) take(now time.Time) (first fetch, due bool, next time.Duration) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	next = loop.Never
	for name, f := range l.due {
		if status, unsaid := l.unsaid[name]; unsaid && now.Sub(f.asked) >= wordsPatience {
			delete(l.unsaid, name)
			l.c.a.statuses.set(status)
		}
		switch left := f.at.Sub(now); {
		case left > 0 && (next == loop.Never || left < next):
			next = left
		case left <= 0 && (!due || f.before(first)):
			first, due = f, true
		}
	}
	if due {
		delete(l.due, first.failure.Unit)
	}
	return first, due, next
}

// sync has the journal take in what was written so far.
func (l *lastWords) sync(ctx context.Context) {
	timely, cancel := context.WithTimeout(ctx, wordsTimeout)
	defer cancel()
	l.synced = time.Now()
	if err := l.c.a.deps.Journal.Sync(timely); err != nil && ctx.Err() == nil {
		l.c.a.log.Warn("journal not synced; it is read as it is", "err", err)
	}
}

// read reads one unit's lines and publishes them. If they do not end with systemd's
// verdict, they are read once more a little later: the journal may be behind systemd.
func (l *lastWords) read(ctx context.Context, f fetch) {
	name := f.failure.Unit
	timely, cancel := context.WithTimeout(ctx, wordsTimeout)
	defer cancel()
	lines, err := l.c.a.deps.Journal.Tail(timely, name, cluster.LogLinesMax)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		l.c.a.log.Warn("log of a failed unit not read", "unit", name, "err", err)
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if status, unsaid := l.unsaid[name]; unsaid && sameStart(status, f.failure) {
		delete(l.unsaid, name)
		status.Log = lines
		l.c.a.statuses.set(status)
	} else if err == nil {
		l.c.a.statuses.addLog(f.failure, lines)
	}
	_, newer := l.due[name]
	if err == nil && !newer && !f.second && !systemd.ToldAll(name, lines) {
		now := time.Now()
		l.due[name] = fetch{failure: f.failure, asked: now, at: now.Add(wordsAgain), second: true}
	}
}
