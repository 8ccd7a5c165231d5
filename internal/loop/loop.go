// Package loop owns tickers, wake-ups and back-off. Nothing else in Argosy
// sleeps or ticks, so that one place decides how a part that fails is retried,
// and one list says how every part is doing.
//
// A step is called once at the start, then whenever its loop is woken, when
// the time that the step asked for has passed, and after a failure with
// growing back-off. Steps never run concurrently with themselves.
package loop

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Never is what a step returns that wants to be called again only when woken.
const Never time.Duration = 0

// Back-off after failed steps: doubled from backoffMin up to backoffMax.
const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 5 * time.Second
)

// Step does one round of work and says when it wants to be called again
// without being woken (Never: not at all). After an error the loop calls it
// again by itself, with back-off.
type Step func(ctx context.Context) (again time.Duration, err error)

// Health is how a loop is doing, for status pages.
type Health struct {
	Name string
	// Rounds counts the calls of the step, Failures those that returned an
	// error since the last one that did not.
	Rounds, Failures int
	// Err is the last failure, nil if the last round went well.
	Err error
	// Since is when Err appeared or went away.
	Since time.Time
}

// Loop calls one step again and again. Make it with New; Run it once.
type Loop struct {
	name string
	step Step
	log  *slog.Logger
	wake chan struct{}

	mu     sync.Mutex
	health Health
}

// New makes a loop. The name stands in logs and in status.
func New(name string, log *slog.Logger, step Step) *Loop {
	return &Loop{
		name: name, step: step, log: log.With("loop", name),
		wake:   make(chan struct{}, 1),
		health: Health{Name: name},
	}
}

// Wake asks for a round soon. It never blocks; wakes that come while a round
// runs lead to one more round, however many they are.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Health returns how the loop is doing.
func (l *Loop) Health() Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.health
}

// Run calls the step until ctx ends, and returns ctx's error.
func (l *Loop) Run(ctx context.Context) error {
	backoff := backoffMin
	for {
		again, err := l.step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.record(err)
		wake := l.wake
		if err != nil {
			again, backoff = backoff, min(2*backoff, backoffMax)
			wake = nil // a wake must not defeat the back-off
		} else {
			backoff = backoffMin
		}
		if err := l.wait(ctx, again, wake); err != nil {
			return err
		}
	}
}

// wait returns after d, at a wake, or when ctx ends.
func (l *Loop) wait(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-elapsed:
	case <-wake:
	}
	return nil
}

// record notes the outcome of a round and logs it when it differs from that of
// the round before: a failing loop says so once, not at every retry.
func (l *Loop) record(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := (err == nil) != (l.health.Err == nil) ||
		err != nil && err.Error() != l.health.Err.Error()
	l.health.Rounds++
	l.health.Err = err
	if err != nil {
		l.health.Failures++
	}
	if !changed {
		return
	}
	l.health.Since = time.Now()
	if err != nil {
		l.log.Warn("round failed, will retry", "err", err)
	} else {
		l.log.Info("recovered", "failures", l.health.Failures)
		l.health.Failures = 0
	}
}

// Pace limits how often something happens: the first call to Wait returns at
// once, later ones at least Every after the one before. It is for work that
// gathers what arrives meanwhile. The zero Every does not limit.
type Pace struct {
	Every time.Duration
	last  time.Time
}

// Wait returns when the next turn has come, or ctx's error.
func (p *Pace) Wait(ctx context.Context) error {
	if err := Sleep(ctx, time.Until(p.last.Add(p.Every))); err != nil {
		return err
	}
	p.last = time.Now()
	return nil
}

// Sleep returns after d, or earlier with ctx's error. It is for retries that
// live outside a loop, in the client of a command; a service uses Loop.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Deadline calls a function once when it was not extended for long enough: a
// time limit for what has none of its own, such as reads of a stream.
type Deadline struct {
	after time.Duration
	timer *time.Timer
}

// NewDeadline starts a deadline that calls expired, on a goroutine of its own,
// after a time without Extend.
func NewDeadline(after time.Duration, expired func()) *Deadline {
	return &Deadline{after, time.AfterFunc(after, expired)}
}

// Extend starts the time anew.
func (d *Deadline) Extend() { d.timer.Reset(d.after) }

// Stop ends the deadline; expired is not called any more.
func (d *Deadline) Stop() { d.timer.Stop() }
