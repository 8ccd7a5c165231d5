package agent

import (
	"cmp"
	"context"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

const (
	wordsTimeout = 5 * time.Second        // for one unit
	wordsAgain   = 500 * time.Millisecond // until a second look
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
}

// fetch is what is to be read.
type fetch struct {
	failure cluster.Status
	at      time.Time
	second  bool // look: the first was before systemd's verdict was in the journal
}

func newLastWords(c *converger) *lastWords {
	l := &lastWords{c: c, unsaid: map[cluster.UnitName]cluster.Status{}, begun: map[cluster.UnitName]cluster.Status{}, due: map[cluster.UnitName]fetch{}}
	l.loop = loop.New("last words", c.a.log, l.step)
	return l
}

// publish publishes the status of a failed unit, with its last lines; until they
// are there, nothing is said of the failure.
func (l *lastWords) publish(status cluster.Status) {
	name := status.Unit
	reading, ok := l.unsaid[name]
	switch {
	case ok && sameStart(reading, status):
		l.unsaid[name] = status // what is newest goes with the lines
	case sameStart(l.begun[name], status) || l.c.a.deps.Journal == nil:
		l.c.a.statuses.set(status)
	default:
		l.begun[name], l.unsaid[name] = status, status
		l.due[name] = fetch{failure: status}
		l.loop.Wake()
	}
}

// over notes that a unit has not failed any more.
func (l *lastWords) over(name cluster.UnitName) { delete(l.unsaid, name) }

// forget forgets a unit.
func (l *lastWords) forget(name cluster.UnitName) {
	l.over(name)
	delete(l.begun, name)
	delete(l.due, name)
}

// step reads the lines of all units that are due.
func (l *lastWords) step(ctx context.Context) (time.Duration, error) {
	batch := l.take(time.Now())
	if len(batch) > 0 {
		if err := l.c.a.deps.Journal.Sync(ctx); err != nil && ctx.Err() == nil {
			l.c.a.log.Warn("journal not synced; it is read as it is", "err", err)
		}
	}
	for _, f := range batch {
		l.read(ctx, f)
	}
	return l.next(time.Now()), nil
}

// take returns what is due, the oldest failure first.
func (l *lastWords) take(now time.Time) []fetch {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	var batch []fetch
	for name, f := range l.due {
		if !f.at.After(now) {
			delete(l.due, name)
			batch = append(batch, f)
		}
	}
	slices.SortFunc(batch, func(a, b fetch) int {
		return cmp.Or(a.failure.Since.Compare(b.failure.Since), cmp.Compare(a.failure.Unit, b.failure.Unit))
	})
	return batch
}

// next returns how long until something is due.
func (l *lastWords) next(now time.Time) time.Duration {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	next := loop.Never
	for _, f := range l.due {
		if wait := max(f.at.Sub(now), 1); next == loop.Never || wait < next {
			next = wait
		}
	}
	return next
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
	if f.second && err == nil {
		l.c.a.statuses.addLog(f.failure, lines)
		return
	}
	if status, ok := l.unsaid[name]; ok && sameStart(status, f.failure) {
		delete(l.unsaid, name)
		status.Log = lines
		l.c.a.statuses.set(status)
	}
	_, newer := l.due[name]
	if err == nil && !newer && !systemd.ToldAll(name, lines) {
		l.due[name] = fetch{failure: f.failure, at: time.Now().Add(wordsAgain), second: true}
	}
}
