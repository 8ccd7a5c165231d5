package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

func randomIncarnation() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}

// session renews the node's sign of life.
type session struct {
	a    *Agent
	gate *gate
	loop *loop.Loop

	mu     sync.Mutex
	now    cluster.Session // as of the last renewal that committed
	next   cluster.Session // what is sent next
	opened bool            // next's incarnation was committed at least once
	failed string          // the last failure, so that it is logged once
}

func newSession(a *Agent, g *gate) *session {
	s := &session{a: a, gate: g}
	s.begin()
	s.loop = loop.New("session", a.log, s.step)
	return s
}

// begin makes the next renewal open a session of its own.
func (s *session) begin() {
	s.next = cluster.Session{Node: s.a.cfg.Node, BootID: s.a.cfg.BootID, Incarnation: s.a.cfg.Incarnations()}
	s.opened = false
}

func (s *session) current() cluster.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// step renews once. A failure is retried soon, not with the loop's growing
// back-off: the leader counts this silence.
func (s *session) step(ctx context.Context) (time.Duration, error) {
	timings := s.a.cfg.Timings
	var usage cluster.Usage
	if s.a.deps.Usage != nil {
		usage = s.a.deps.Usage()
	}
	s.mu.Lock()
	s.next.Seq++
	s.next.Usage = usage
	next := s.next
	s.mu.Unlock()
	sent, extend := time.Now(), s.a.deps.Permit.Sending() // before anything leaves: the permit counts from here
	// Short enough that another server is asked well before Timings.Lost.
	call, cancel := context.WithTimeout(ctx, timings.Renew)
	answer, err := s.a.deps.Uplink.Renew(call, next)
	cancel()
	switch {
	case cluster.KindOf(err) == cluster.Conflict && err != nil, err == nil && (answer.Dead || answer.Incarnation != next.Incarnation):
		s.died(answer)
		return timings.Renew / 10, nil
	case err != nil:
		s.note(err)
		return max(timings.Renew/2-time.Since(sent), timings.Renew/10), nil
	}
	s.note(nil)
	s.mu.Lock()
	s.next.Heard = answer.Seq
	s.mu.Unlock()
	if answer.Seq < next.Seq {
		// The answer to the renewal before was lost, and this one was not stored.
		return timings.Renew / 10, nil
	}
	extend(ctx)
	s.renewed(answer)
	return max(timings.Renew-time.Since(sent), timings.Renew/10), nil
}

// renewed notes a renewal that committed.
func (s *session) renewed(answer cluster.Session) {
	s.mu.Lock()
	s.now = answer
	first := !s.opened
	s.opened = true
	s.mu.Unlock()
	s.gate.met(time.Now())
	if first {
		s.a.log.Info("session opened", "incarnation", answer.Incarnation, "revision", answer.Revision)
		s.gate.sessionOpened(answer.Revision)
		// A stream from before may never say how new it is now.
		s.a.slices.reconnect()
		s.a.statuses.resend()
		s.a.report.resend()
	}
}

// died fences the node: nothing is started before the cluster has said anew what
// belongs here. Running units stay; the permit ended before.
func (s *session) died(answer cluster.Session) {
	s.a.log.Warn("session was declared dead or replaced, opening a new one", "epoch", answer.Epoch)
	s.gate.sessionDied()
	s.mu.Lock()
	s.begin()
	s.mu.Unlock()
	s.a.worker.loop.Wake()
}

func (s *session) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.failed {
		return
	}
	s.failed = text
	if err != nil {
		s.a.log.Warn("session not renewed, will retry", "err", err)
		return
	}
	s.a.log.Info("session renewed again")
	s.a.statuses.resend()
}
