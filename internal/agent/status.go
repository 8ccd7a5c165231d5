package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

// callTimeout bounds one call to a server.
const callTimeout = 10 * time.Second

// Gathering of statuses: at least gatherMin between two calls, and as long as
// the last call took when the servers are busy.
const (
	gatherMin = 50 * time.Millisecond
	gatherMax = 2 * time.Second
)

// lateMax is how long an update of which no answer came may still be under way
// to a server. Arriving after a newer one, it would undo it.
const lateMax = 30 * time.Second

// publisher tells the servers what systemd shows: changes in batches, and
// everything after a connection was lost.
type publisher struct {
	a    *Agent
	loop *loop.Loop
	pace loop.Pace

	mu      sync.Mutex
	ready   bool // systemd was observed once; before, "everything" would be nothing
	full    bool
	doubt   time.Time // when everything is sent once more; zero: no update is in doubt
	now     map[cluster.UnitName]cluster.Status
	changed map[cluster.UnitName]bool
	often   restless
	offered map[cluster.UnitName]cluster.Status // as last sent, of units with offers
	calls   int                                 // updates that were begun
	stored  int                                 // the last of them of which a server says that it is stored
	news    chan struct{}                       // closed when another one is
}

func newPublisher(a *Agent) *publisher {
	p := &publisher{
		a: a, pace: loop.Pace{Every: gatherMin}, full: true,
		now: map[cluster.UnitName]cluster.Status{}, changed: map[cluster.UnitName]bool{},
		often: restless{}, offered: map[cluster.UnitName]cluster.Status{}, news: make(chan struct{}),
	}
	p.loop = loop.New("status", a.log, p.step)
	return p
}

// set takes a status; one that says nothing new is dropped.
func (p *publisher) set(s cluster.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(s)
}

// put is set for those who hold the mutex.
func (p *publisher) put(s cluster.Status) {
	old, known := p.now[s.Unit]
	if s.Failed() && s.Log == nil && old.Failed() && sameStart(old, s) {
		s.Log = old.Log
	}
	if known && old.Equal(s) {
		return
	}
	p.now[s.Unit] = s
	p.changed[s.Unit] = true
	p.loop.Wake()
}

// withdraw tells at once that what a unit offered cannot be used any more, when its
// status has to wait for its log.
func (p *publisher) withdraw(s cluster.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, known := p.now[s.Unit]; known && s.Withdraws(old) {
		old.Offers = s.Offers
		p.put(old)
	}
}

// addLog adds the last lines of a failed unit, if it is still as it was.
func (p *publisher) addLog(failed cluster.Status, lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.now[failed.Unit]; ok && s.Failed() && sameStart(s, failed) {
		s.Log = lines
		p.put(s)
	}
}

// sameStart reports whether two statuses of a unit come from one start of it. The
// time alone does not tell: it is that of the last change, and a start that
// systemd does not even begin with changes nothing.
func sameStart(a, b cluster.Status) bool {
	return a.Since.Equal(b.Since) && a.UID == b.UID && a.Hash == b.Hash && a.Restarts == b.Restarts && a.Epoch == b.Epoch
}

// gone drops a unit of which nothing is left on this node.
func (p *publisher) gone(name cluster.UnitName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.now[name]; known {
		delete(p.now, name)
		p.changed[name] = true
		p.loop.Wake()
	}
}

// observed says that everything was observed, so that a full update is true.
func (p *publisher) observed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		p.ready = true
		p.loop.Wake()
	}
}

// resend has everything sent once more, so that records of units that are not
// here vanish.
func (p *publisher) resend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = true
	p.loop.Wake()
}

// lost has everything sent again after an update without an answer: now, since
// what arrived of it is not known, and once more when it cannot arrive any more.
func (p *publisher) lost(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full, p.doubt = true, now.Add(lateMax)
	p.loop.Wake()
}

func (p *publisher) step(ctx context.Context) (time.Duration, error) {
	if err := p.pace.Wait(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	update, due, again := p.take(began)
	if !due {
		return again, nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := p.a.deps.Uplink.Statuses(call, update)
	p.pace.Every = min(max(gatherMin, time.Since(began)), gatherMax)
	if err != nil {
		p.lost(time.Now())
	} else {
		p.store()
	}
	return again, err
}

// store notes that the last update is stored.
func (p *publisher) store() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = p.calls
	close(p.news)
	p.news = make(chan struct{})
}

// flush returns when everything that was to be told when it was called is stored, or
// when ctx ends.
func (p *publisher) flush(ctx context.Context) {
	p.mu.Lock()
	last := p.calls
	if p.full || len(p.changed) > 0 {
		last++
	}
	for p.stored < last {
		news := p.news
		p.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
	}
	p.mu.Unlock()
}

// dispel has everything sent once more when no late update can come any more,
// and returns how long until then.
func (p *publisher) dispel(now time.Time) time.Duration {
	switch {
	case p.doubt.IsZero():
	case now.Before(p.doubt):
		return p.doubt.Sub(now)
	default:
		p.full, p.doubt = true, time.Time{}
	}
	return loop.Never
}

// take returns what is due and notes it as sent, and says when more is.
func (p *publisher) take(now time.Time) (update wire.StatusUpdate, due bool, again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	again = p.dispel(now)
	if !p.ready || !p.full && len(p.changed) == 0 {
		return update, false, again
	}
	update.Full = p.full
	names := slices.Sorted(maps.Keys(p.changed))
	if p.full {
		names = slices.Sorted(maps.Keys(p.now))
	}
	for _, name := range names {
		s, here := p.now[name]
		if wait := p.wait(name, now); wait > 0 {
			if again == loop.Never || wait < again {
				again = wait
			}
			continue
		}
		delete(p.changed, name)
		delete(p.offered, name)
		if len(s.Offers) > 0 {
			p.offered[name] = s
		}
		if here {
			p.often.published(name, now)
			update.Put = append(update.Put, s)
		} else {
			update.Gone = append(update.Gone, name)
		}
	}
	if p.full {
		clear(p.changed)
		maps.DeleteFunc(p.offered, func(name cluster.UnitName, _ cluster.Status) bool { _, here := p.now[name]; return !here })
	}
	p.full = false
	due = update.Full || len(update.Put)+len(update.Gone) > 0
	if due {
		p.calls++
	}
	return update, due, again
}

// wait returns how long a unit's status must wait for its turn: nothing that it
// withdraws does, nor what is told with everything else.
func (p *publisher) wait(name cluster.UnitName, now time.Time) time.Duration {
	s, here := p.now[name]
	if !here || p.full || s.Withdraws(p.offered[name]) {
		return 0
	}
	return p.often.wait(name, now)
}

// statusOf says what is true of a unit: systemd's words, and the assignment
// that was carried out. want is nil for a unit that is being taken away.
func statusOf(node cluster.NodeID, boot string, want *cluster.Assignment, seen systemd.Unit, known converge.Known, problem string) cluster.Status {
	s := cluster.Status{
		Unit: seen.Name, Node: node, BootID: boot, UID: known.UID, Hash: seen.FileHash, Epoch: known.Epoch, Restarts: known.Restarts,
		Load: seen.Load, Active: seen.Active, Sub: seen.Sub, Since: seen.Since, Problem: problem,
		Result: seen.Result, ExitCode: seen.ExitCode, MainPID: seen.MainPID,
	}
	if !seen.Ours {
		// Whatever the host runs by this name is not the cluster's unit.
		s.Load, s.Active, s.Sub = "not-found", "inactive", "dead"
		s.Result, s.ExitCode, s.MainPID = "", 0, 0
	}
	if s.Active == "inactive" && seen.Ours && known.Started != nil {
		s.Job = known.Started.Result
	}
	if s.Result == "success" {
		s.Result = ""
	}
	if want != nil && s.UID == "" {
		s.UID = want.UID
	}
	if want != nil && s.UID == want.UID && s.Hash == want.Hash {
		s.Epoch = want.Epoch
	}
	return s
}
