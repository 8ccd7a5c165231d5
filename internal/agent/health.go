package agent

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
	"unicode"

	"argosy/internal/cluster"
	"argosy/internal/health"
	"argosy/internal/loop"
	"argosy/internal/unitfile"
)

// probesMax is how many units are asked at once. One that has not answered after
// probeSlow does not count any more: those that do not answer must not keep the node
// from asking the others.
const (
	probesMax = 32
	probeSlow = time.Second
)

// Ask asks a unit on this node whether it works and returns what is wrong with the
// answer. The host and the port are filled in; the environment is that of a command.
type Ask func(ctx context.Context, p unitfile.Probe, environment []string) error

// prober asks those units for their health whose file says how. Its fields are guarded
// by the converger's mutex, which its methods expect to be held, except for those of
// the loop.
type prober struct {
	c    *converger
	loop *loop.Loop
	runs map[cluster.UnitName]*run
	// before are the runs that an earlier daemon found healthy and that were not seen
	// since.
	before map[cluster.UnitName]string
	asking int
}

// run is one run of a unit, from its start to its end.
type run struct {
	invocation string // systemd's name of it
	hash       cluster.Hash
	health     unitfile.Health
	state      health.State
	asking     bool
	cancel     context.CancelFunc // of the question that is asked
}

func newProber(c *converger) *prober {
	p := &prober{c: c, runs: map[cluster.UnitName]*run{}, before: map[cluster.UnitName]string{}}
	p.loop = loop.New("health", c.a.log, p.step)
	return p
}

// see notes whether a unit is to be asked, by what is shown of it: only one that works is,
// and each run of it, which systemd names, anew. What an earlier daemon found healthy is
// that until its own answers say otherwise: the end of a daemon says nothing of the unit.
func (p *prober) see(s cluster.Status, invocation string, h unitfile.Health, now time.Time) {
	known := p.runs[s.Unit]
	switch {
	case p.c.a.deps.Ask == nil || h.Probe.Kind == "" || !cluster.Works(s.Active):
		p.forget(s.Unit)
	case known == nil || known.invocation != invocation || known.hash != s.Hash:
		before := p.before[s.Unit]
		p.forget(s.Unit)
		r := &run{invocation: invocation, hash: s.Hash, health: h, state: health.Begin(now)}
		if before == invocation {
			r.state = health.Resume(now)
		}
		p.runs[s.Unit] = r
		p.loop.Wake()
	}
	delete(p.before, s.Unit)
}

// healthy returns the runs of units that were last found healthy, for the disk.
func (p *prober) healthy() map[cluster.UnitName]string {
	all := maps.Clone(p.before)
	for name, r := range p.runs {
		if r.state.WhyNot() == "" {
			all[name] = r.invocation
		}
	}
	return all
}

// forget forgets a unit.
func (p *prober) forget(name cluster.UnitName) {
	if r := p.runs[name]; r != nil && r.asking {
		r.cancel()
	}
	delete(p.runs, name)
	delete(p.before, name)
}

// whyNot says why a unit that runs cannot be used, "" if it can.
func (p *prober) whyNot(name cluster.UnitName) string {
	r := p.runs[name]
	if r == nil || r.state.WhyNot() == "" {
		return ""
	}
	return "it is not healthy: " + r.state.WhyNot()
}

// problem is what its operator should know of a unit's health, "" if that is nothing.
func (p *prober) problem(name cluster.UnitName) string {
	if r := p.runs[name]; r != nil && r.state.Sick(r.health) != "" {
		return p.whyNot(name)
	}
	return ""
}

// sick returns those of some units that are to be started again for their health.
func (p *prober) sick(names []cluster.UnitName) map[cluster.UnitName]string {
	all := map[cluster.UnitName]string{}
	for _, name := range names {
		r := p.runs[name]
		if r == nil || !r.health.Restart || r.invocation != p.c.seen[name].Invocation {
			continue // what is seen now may be a run that was not asked yet
		}
		if reason := r.state.Sick(r.health); reason != "" {
			all[name] = reason
		}
	}
	return all
}

// step asks those whose time has come.
func (p *prober) step(ctx context.Context) (time.Duration, error) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	now, again := time.Now(), loop.Never
	for name, r := range p.runs {
		switch left := r.state.Next.Sub(now); {
		case r.asking || p.asking >= probesMax: // the end of one wakes the loop
		case left > 0:
			if again == loop.Never || left < again {
				again = left
			}
		default:
			p.ask(ctx, name, r)
		}
	}
	return again, nil
}

// ask asks one unit, on a goroutine of its own.
func (p *prober) ask(ctx context.Context, name cluster.UnitName, r *run) {
	question, environment, err := p.question(name, r)
	timely, cancel := context.WithTimeout(ctx, r.health.Timeout)
	r.asking, r.cancel = true, cancel
	p.asking++
	give := sync.OnceFunc(func() { p.asking--; p.loop.Wake() })
	slow := loop.NewDeadline(probeSlow, func() {
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		give()
	})
	p.c.work.spawn(func() {
		if err == nil {
			err = p.c.a.deps.Ask(timely, question, environment)
		}
		cancel()
		slow.Stop()
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		give()
		p.answered(ctx, name, r, err)
	})
}

// question returns what a unit is asked, with what the node knows of it.
func (p *prober) question(name cluster.UnitName, r *run) (unitfile.Probe, []string, error) {
	q := r.health.Probe
	if q.Host == "" {
		q.Host = p.c.a.cfg.Address.String()
	}
	if q.Port == 0 {
		q.Port = portOf(withPorts(p.c.published(name, r.hash).Offers, p.c.ports[name]), q.Service)
	}
	if q.Port == 0 && q.Kind != unitfile.ProbeExec {
		return q, nil, fmt.Errorf("the port of %s is not known", q.Service)
	}
	environment := append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"ARGOSY_UNIT=" + string(name), fmt.Sprintf("MAINPID=%d", p.c.seen[name].MainPID),
	}, p.c.ports[name].variables()...)
	return q, environment, nil
}

// answered takes an answer.
func (p *prober) answered(ctx context.Context, name cluster.UnitName, r *run, err error) {
	r.asking = false
	p.loop.Wake()
	if ctx.Err() != nil || p.runs[name] != r {
		return // of a run that is over
	}
	failure, now := "", time.Now()
	if err != nil {
		failure = clipped(err.Error())
	}
	before := r.state
	r.state = r.state.After(r.health, failure, now)
	if before.WhyNot() != r.state.WhyNot() {
		p.c.a.log.Info("health", "unit", name, "problem", r.state.WhyNot())
	}
	if before.WhyNot() != r.state.WhyNot() || before.Sick(r.health) != r.state.Sick(r.health) {
		p.c.dirty[name] = true
		p.c.loop.Wake()
		p.c.a.disk.loop.Wake()
	}
}

// failureMax is how much of what is wrong with an answer is told, in bytes.
const failureMax = 300

// clipped makes one short line of what is wrong with an answer.
func clipped(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > failureMax {
		text = text[:failureMax]
	}
	return strings.ToValidUTF8(text, "")
}
