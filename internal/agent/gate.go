package agent

import (
	"sync"
	"time"

	"argosy/internal/cluster"
)

// gate decides whether units that do not run yet may be started: only from a
// slice that is as new as the session, or, when no server answers, from the
// copy on disk (see the package comment).
type gate struct {
	mu       sync.Mutex
	patience time.Duration
	contact  time.Time        // when a server last answered, or when we began
	opened   cluster.Revision // of the session that was opened; 0 before
	fresh    bool
	dead     bool // declared dead: the copy on disk is no choice any more
}

func newGate(patience time.Duration) *gate { return &gate{patience: patience} }

// begin starts the wait; it is called once, when the agent begins to run.
func (g *gate) begin(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.contact = now
}

// met notes that a server answered.
func (g *gate) met(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.contact = now
}

// sessionOpened notes the revision that a new session was committed at.
func (g *gate) sessionOpened(revision cluster.Revision) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = max(revision, 1)
}

// sessionDied closes the gate until a fresh slice has come.
func (g *gate) sessionDied() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fresh, g.dead, g.opened = false, true, 0
}

// slice notes the generation of an answer of a server. An older one than least
// may still come, on a stream from before the session was opened.
func (g *gate) slice(generation cluster.Revision) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != 0 && generation >= g.opened {
		g.fresh, g.dead = true, false
	}
}

// least returns the generation that a slice must have to count as fresh; 0 if
// that is not known, or if there was one.
func (g *gate) least() cluster.Revision {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fresh {
		return 0
	}
	return g.opened
}

// open reports whether units may be started, and if not, when to ask again
// (zero: when something else changes).
func (g *gate) open(now time.Time) (bool, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fresh || g.dead {
		return g.fresh, time.Time{}
	}
	until := g.contact.Add(g.patience)
	return !now.Before(until), until
}
