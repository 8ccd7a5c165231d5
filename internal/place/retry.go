package place

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// When a unit is tried again that failed after its own Restart= was spent. The
// wait doubles with each failure, so that a unit that is sick everywhere costs
// the cluster a write now and then, and begins anew once the unit has run well
// for a while.
const (
	retryFirst = 10 * time.Second
	retryMax   = 10 * time.Minute
	retryCalm  = 10 * time.Minute
	// At most retriesAtOnce units for each node that is ready are on trial: they were
	// tried again, and have neither failed anew nor run until trialRuns after that;
	// trialMax is when that is no longer waited for. However many units are sick,
	// most of what nodes can do is left to the others.
	retriesAtOnce = 2
	trialRuns     = 3 * time.Second
	trialMax      = 30 * time.Second
	trialLook     = time.Second
	// retryFailed bounds how many nodes are remembered as those where a unit
	// failed.
	retryFailed = 16
)

// backoff is how long a unit waits that was tried again streak times already.
func backoff(streak int) time.Duration {
	return min(retryFirst<<min(streak, 10), retryMax)
}

// failedOn begins the reason of a unit that waits to be tried again.
const failedOn = "failed on "

// findFailures notes the units that failed where they are placed, and of which of
// those that were tried again it is known how that ended.
func (p *pass) findFailures() {
	for i := range p.in.State.Statuses {
		s := &p.in.State.Statuses[i]
		runs := s.Active == "active" && len(p.trials) > 0
		if !runs && !s.Spent() {
			continue
		}
		u, n := p.find(s.Unit), p.byID[s.Node]
		if u == nil || n == nil {
			continue
		}
		if u.onTrial && u.told(s) {
			u.onTrial = runs && p.in.Now.Sub(u.old.Retry.Last) < trialRuns
		}
		if !runs && n.health == cluster.Ready && !n.bootedSince(s) && u.mayRetry(s) {
			u.jot().failed = s
			p.failed = append(p.failed, u)
		}
	}
}

// bootedSince reports whether a node has booted since it reported a status.
func (n *node) bootedSince(s *cluster.Status) bool {
	return s.BootID != "" && s.BootID != n.state.Session.BootID
}

// chooseRetries chooses the units that are tried again now: those that wait for
// longest, and no more than may be on trial at once. One that no node may take
// whatever is not.
func (p *pass) chooseRetries() {
	p.trials = slices.DeleteFunc(p.trials, func(u *unit) bool { return !u.onTrial })
	room := -len(p.trials)
	for _, n := range p.nodes {
		if n.health == cluster.Ready {
			room += retriesAtOnce
		}
	}
	var due []*unit
	for _, u := range p.failed {
		if r := u.old.Retry; u.obstacle == "" && r != nil && !r.Due.IsZero() && !p.in.Now.Before(r.Due) {
			due = append(due, u)
		}
	}
	slices.SortFunc(due, func(a, b *unit) int {
		return cmp.Or(a.old.Retry.Due.Compare(b.old.Retry.Due), cmp.Compare(a.index, b.index))
	})
	for _, u := range due[:max(0, min(room, len(due)))] {
		u.jot().due = true
	}
}

// justTried reports whether a record is of a unit that was tried again not long ago.
func (p *pass) justTried(record *cluster.Placement) bool {
	r := record.Retry
	return r != nil && r.Count > 0 && r.Due.IsZero() && p.in.Now.Sub(r.Last) < trialMax
}

// mayRetry reports whether a failure is one of what was last asked of the unit,
// after which its own policy would have it run.
func (u *unit) mayRetry(s *cluster.Status) bool {
	return u.spec.Restarts && !u.spec.Global && u.Desired == cluster.Launched &&
		u.old != nil && u.told(s) && s.Hash == u.Hash && !slices.Contains(u.spec.FinalExits, s.ExitCode)
}

// told reports whether a status is of what was last asked of the unit.
func (u *unit) told(s *cluster.Status) bool {
	return u.old.On(s.Node) && s.UID == u.UID && s.Epoch == u.old.Epoch && s.Restarts == u.Restarts+u.old.Tries()
}

// giveUp takes a unit that is tried again off its node. Others that may take it
// come first, and of those where it failed the one where that is longest ago.
func (p *pass) giveUp(u *unit, n *node) {
	note := u.jot()
	note.tried = n
	note.avoid = p.failedNodes(u)
	slices.Reverse(note.avoid)
	note.left = append(note.left, fmt.Sprintf("%s, where it failed (%s)", n.name, u.failed.Failure()))
}

// avoids reports whether the unit failed on a node not long ago.
func (u *unit) avoids(n *node) bool { return slices.Contains(u.avoid, n.id) }

// waits reports whether a unit stays where it failed until it is tried again.
func (u *unit) waits() bool {
	return u.failed != nil && u.tried == nil && len(u.at) == 1 && u.old.On(u.at[0].id)
}

// retry returns what the record of a unit is to say of its being tried again.
func (p *pass) retry(u *unit) *cluster.Retry {
	if u.failed == nil && (u.old == nil || u.old.Retry == nil) {
		return nil
	}
	var was cluster.Retry
	if u.old.Retry != nil {
		was = *u.old.Retry
	}
	next := was
	switch {
	case u.tried != nil:
		next.Count++
		next.Streak++
		next.Last, next.Due = p.in.Now, time.Time{}
		next.Failed = p.failedNodes(u)
	case u.waits() && was.Due.IsZero():
		if p.in.Now.Sub(was.Last) > retryCalm+backoff(was.Streak) {
			next.Streak, next.Failed = 0, nil
		}
		next.Due = p.in.Now.Add(backoff(next.Streak))
	case !u.waits() && !was.Due.IsZero():
		// Somebody has started it, given it another text, or its node is gone.
		next.Due, next.Streak, next.Failed = time.Time{}, 0, nil
	}
	if next.Count == 0 && next.Due.IsZero() {
		return nil
	}
	return &next
}

// failedNodes returns where a unit failed in its streak, the node that it leaves
// now at the end.
func (p *pass) failedNodes(u *unit) []cluster.NodeID {
	all := slices.DeleteFunc(slices.Clone(u.old.Retry.Failed), func(id cluster.NodeID) bool { return id == u.tried.id })
	all = append(all, u.tried.id)
	return all[max(0, len(all)-retryFailed):]
}

// next returns when the next unit is to be tried again, zero if none is. Whether
// there is room for one that is due already is looked at again and again.
func (p *pass) next() (first time.Time) {
	for _, u := range p.failed {
		if !u.waits() {
			continue
		}
		due := p.retry(u).Due
		if !due.After(p.in.Now) {
			due = p.in.Now.Add(trialLook)
		}
		if first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first
}

// waiting says that a unit has failed and is to be tried again.
func waiting(u *unit, n *node) string {
	return fmt.Sprintf("%s%s (%s); the cluster tries it again, elsewhere if it can", failedOn, n.name, u.failed.Failure())
}

// stale reports whether the reason of a record speaks of what is over.
func (u *unit) stale() bool {
	return strings.HasPrefix(u.old.Reason, stays) || !u.waits() && strings.HasPrefix(u.old.Reason, failedOn)
}
