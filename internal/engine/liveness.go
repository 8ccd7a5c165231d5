package engine

import (
	"cmp"
	"slices"
	"time"

	"argosy/internal/cluster"
)

// liveness times the sessions of all nodes on this server's monotonic clock.
//
// The mirror is the only witness. While it does not advance, nothing can be
// said of the nodes: their silence may be the store's. So silence is judged
// only while the mirror is fresh, and after a gap everybody is given as long
// as the gap lasted, up to the limit in question, to be heard again: an outage
// of the store must not look like the death of all nodes.
type liveness struct {
	timings  cluster.Timings
	progress time.Time // when the mirror last gave a sign of life
	fresh    bool
	gapEnd   time.Time
	gap      time.Duration
	beats    map[cluster.NodeID]*beat
}

// beat is what is known of one node's session.
type beat struct {
	session cluster.Session
	// seen is when this seq was first seen, or when the node was, if it has no
	// session.
	seen time.Time
	lost bool
}

func newLiveness() liveness { return liveness{beats: map[cluster.NodeID]*beat{}} }

// quietMax is how long the mirror of a healthy cluster may stand still: every
// node renews, this server's included, and a batch takes a moment.
func (l *liveness) quietMax() time.Duration { return l.timings.Renew + time.Second }

// observe takes in a snapshot that is age old at now.
func (l *liveness) observe(state *cluster.State, timings cluster.Timings, now time.Time, age time.Duration) {
	l.timings = timings
	progress := now.Add(-age)
	if gap := progress.Sub(l.progress); !l.progress.IsZero() && gap > l.quietMax() {
		// A short gap must not cut short what a long one has granted.
		if l.pardon(l.timings.Dead).Before(progress.Add(min(gap, l.timings.Dead))) {
			l.gapEnd, l.gap = progress, gap
		}
	}
	if progress.After(l.progress) {
		l.progress = progress
	}
	l.fresh = age <= l.quietMax()
	present := make(map[cluster.NodeID]bool, len(state.Nodes))
	for _, n := range state.Nodes {
		present[n.Node.ID] = true
		l.hear(n, now)
	}
	for id := range l.beats {
		if !present[id] {
			delete(l.beats, id)
		}
	}
}

// hear compares a node's session with the one seen before.
func (l *liveness) hear(n cluster.NodeState, now time.Time) {
	b, known := l.beats[n.Node.ID]
	if !known {
		l.beats[n.Node.ID] = &beat{session: n.Session, seen: now}
		return
	}
	if b.session.Incarnation != n.Session.Incarnation || b.session.Seq != n.Session.Seq {
		b.seen, b.lost = now, false
	}
	b.session = n.Session
	if l.fresh && l.passed(now, b.seen, l.timings.Lost) {
		b.lost = true
	}
}

// pardon returns until when nobody is judged by a limit, because of the last gap.
func (l *liveness) pardon(limit time.Duration) time.Time { return l.gapEnd.Add(min(l.gap, limit)) }

// passed reports whether something last seen at an instant was silent for
// limit.
func (l *liveness) passed(now, seen time.Time, limit time.Duration) bool {
	return now.Sub(seen) >= limit && !now.Before(l.pardon(limit))
}

// health returns how a node is: "" if it is unknown or has not spoken yet.
func (l *liveness) health(id cluster.NodeID) cluster.Health {
	b, known := l.beats[id]
	switch {
	case !known:
		return ""
	case b.session.Dead:
		return cluster.Dead
	case b.lost:
		return cluster.Lost
	case b.session.Node == "":
		return ""
	}
	return cluster.Ready
}

// all returns the health of all nodes.
func (l *liveness) all() map[cluster.NodeID]cluster.Health {
	out := make(map[cluster.NodeID]cluster.Health, len(l.beats))
	for id := range l.beats {
		out[id] = l.health(id)
	}
	return out
}

// silent returns for how long a node was not heard of.
func (l *liveness) silent(id cluster.NodeID, now time.Time) time.Duration {
	b, known := l.beats[id]
	if !known {
		return 0
	}
	return now.Sub(b.seen)
}

// silentFor reports whether a node is known to have been silent for a limit.
func (l *liveness) silentFor(id cluster.NodeID, now time.Time, limit time.Duration) bool {
	b, known := l.beats[id]
	return known && l.fresh && l.passed(now, b.seen, limit)
}

// dying returns the sessions to be declared dead. A leader counts from when
// it began to lead at the earliest: it must not rely on what it saw before,
// because only from then on can no other leader have judged differently.
func (l *liveness) dying(now, leadingSince time.Time) []cluster.Session {
	var out []cluster.Session
	for _, b := range l.beats {
		seen := b.seen
		if leadingSince.After(seen) {
			seen = leadingSince
		}
		if l.fresh && b.session.Node != "" && !b.session.Dead && l.passed(now, seen, l.timings.Dead) {
			out = append(out, b.session)
		}
	}
	slices.SortFunc(out, func(a, b cluster.Session) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// due returns how long it is until the next judgement could be passed.
func (l *liveness) due(now, leadingSince time.Time) time.Duration {
	next := now.Add(idlePoll)
	look := func(seen time.Time, limit time.Duration) {
		at := seen.Add(limit)
		if p := l.pardon(limit); p.After(at) {
			at = p
		}
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	for _, b := range l.beats {
		look(b.seen, l.timings.Lost)
		if !leadingSince.IsZero() {
			look(b.seen, l.timings.Dead)
			look(leadingSince, l.timings.Dead)
		}
	}
	return next.Sub(now)
}
