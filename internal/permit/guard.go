package permit

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// guard holds the permit and is the only place that feeds the watchdog.
type guard struct {
	marker   string // path, or ""
	watchdog time.Duration
	clock    func() (Reading, error)
	notify   func(state string) error
	log      *slog.Logger
	end      context.CancelCauseFunc // ends the process, with the reason

	mu    sync.Mutex
	grant grant
	state State // of the last decision; Expired stays
	told  State // last state shown in systemd's status text; used by step only
}

// offer takes a permit from the agent. When it returns nil, the permit is held
// and the marker stands.
func (g *guard) offer(offered grant) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, err := g.clock()
	if err != nil {
		return err
	}
	if d := g.decideLocked(now); d.state == Expired {
		return cluster.Errorf(cluster.Unavailable, "this permit process has ended: %s", d.reason).
			WithHint("its successor takes the next renewal")
	}
	next, err := accept(g.grant, offered, now)
	if err != nil {
		return err
	}
	if g.grant.valid == 0 {
		if err := g.mark(); err != nil {
			return err
		}
	}
	g.grant = next
	g.decideLocked(now)
	return nil
}

// check decides anew by the clocks.
func (g *guard) check() (decision, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, err := g.clock()
	if err != nil {
		return decision{}, err
	}
	return g.decideLocked(now), nil
}

func (g *guard) decideLocked(now Reading) decision {
	if g.state == Expired {
		return decision{state: Expired, reason: "the deadline had passed before"}
	}
	d := decide(g.grant, now, g.watchdog)
	if g.state = d.state; d.state == Expired {
		g.unmark()
		g.end(cluster.Errorf(cluster.Unavailable, "permit expired: %s; systemd now stops the exclusive units of this node", d.reason).
			WithHint("the node cannot reach the cluster: argosy status"))
	}
	return d
}

// step is one round of the loop. Only here, and only where the deadline has just
// been found not passed, is the watchdog fed.
func (g *guard) step(context.Context) (time.Duration, error) {
	d, err := g.check()
	if err != nil {
		return loop.Never, err // unfed: systemd ends the process if this lasts
	}
	if d.state != Expired {
		if err := g.notify("WATCHDOG=1"); err != nil {
			return loop.Never, err
		}
		// Once more, because a pause may have come between check and feed.
		if d, err = g.check(); err != nil {
			return loop.Never, err
		}
	}
	g.tell(d)
	return d.again, nil
}

// tell shows a new state in the journal and in "systemctl status".
func (g *guard) tell(d decision) {
	if g.told == d.state {
		return
	}
	g.told = d.state
	g.log.Info("permit "+string(d.state), "why", d.reason)
	if err := g.notify("STATUS=permit " + string(d.state) + ": " + d.reason); err != nil {
		g.log.Warn("status text not taken by systemd", "err", err)
	}
}

// mark makes the marker. It holds nothing: that it is there is what it says.
func (g *guard) mark() error {
	if g.marker == "" {
		return nil
	}
	return os.WriteFile(g.marker, nil, 0o644)
}

// unmark removes the marker. A marker that stays must not keep the process from
// ending: the next process removes it before it is ready.
func (g *guard) unmark() {
	if err := removeIfThere(g.marker); err != nil {
		g.log.Warn("marker not removed", "err", err)
	}
}

// removeIfThere removes a file that may not be there; "" is no file.
func removeIfThere(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
