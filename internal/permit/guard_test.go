package permit

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// newGuard makes a guard with a five-second watchdog around a clock and a
// listener to what systemd is told.
func newGuard(clock func() (Reading, error), notify func(string) error) (*guard, context.Context) {
	ctx, end := context.WithCancelCause(context.Background())
	return &guard{
		watchdog: 5 * second, clock: clock, notify: notify,
		log: slog.New(slog.DiscardHandler), end: end,
	}, ctx
}

// simulated is a clock that follows the bubble's time.
func simulated() func() (Reading, error) {
	start := time.Now()
	return func() (Reading, error) { return at(time.Since(start)), nil }
}

// TestTheWatchdogIsNeverFedAfterTheDeadline is the promise itself: whatever
// arrives in whatever order, and however the clocks jump, the model's deadline
// has not passed at the reading that a feed rests on.
func TestTheWatchdogIsNeverFedAfterTheDeadline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := at(1000 * second)
		var held *grant // the model: the latest renewal that was taken
		ended := false
		g, ctx := newGuard(
			func() (Reading, error) { return now, nil },
			func(state string) error {
				if state != "WATCHDOG=1" {
					return nil
				}
				if ended {
					t.Fatalf("fed after the permit had ended")
				}
				if held != nil && Age(held.sent, now) >= held.valid {
					t.Fatalf("fed %s after a renewal that was valid for %s", Age(held.sent, now), held.valid)
				}
				return nil
			})
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"pass", "suspend", "set", "extend", "step"}).Draw(t, "what") {
			case "pass":
				d := time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond
				now = Reading{now.Boot + d, now.Raw + d, now.Real + d}
			case "suspend":
				now.Boot += time.Duration(rapid.IntRange(0, 20).Draw(t, "s")) * second
			case "set":
				now.Real += time.Duration(rapid.IntRange(-20, 20).Draw(t, "wall s")) * second
			case "extend":
				ago := time.Duration(rapid.IntRange(-1000, 12000).Draw(t, "ago ms")) * time.Millisecond
				offered := grant{Reading{now.Boot - ago, now.Raw - ago, now.Real - ago}, 10 * second}
				if g.offer(offered) == nil && (held == nil || offered.sent.Boot >= held.sent.Boot) {
					held = &offered
				}
			case "step":
				if _, err := g.step(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if ended && ctx.Err() == nil {
				t.Fatal("a permit that had ended came back")
			}
			ended = ctx.Err() != nil
		}
	})
}

func TestAPermitEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, fed := time.Now(), time.Duration(0)
		g, ctx := newGuard(simulated(), func(state string) error {
			if state == "WATCHDOG=1" {
				if gap := time.Since(start) - fed; gap > 2500*time.Millisecond {
					t.Errorf("not fed for %s: systemd would be close to killing a healthy process", gap)
				}
				fed = time.Since(start)
			}
			return nil
		})
		l := loop.New("permit", g.log, g.step)
		// Renewals are sent every two seconds; the last one after a minute.
		for at := time.Duration(0); at <= time.Minute; at += 2 * second {
			sent, _ := g.clock()
			if err := g.offer(grant{sent, 10 * second}); err != nil {
				t.Fatal(err)
			}
			if at == 0 {
				go l.Run(ctx)
			}
			if at < time.Minute {
				if err := loop.Sleep(ctx, 2*second); err != nil {
					t.Fatalf("ended while it was renewed: %v", context.Cause(ctx))
				}
			}
		}
		<-ctx.Done()
		if got := time.Since(start); got != 70*second {
			t.Errorf("ended after %s, want 1m10s", got)
		}
		if fed >= 70*second {
			t.Errorf("fed at %s, after the deadline", fed)
		}
		if err := context.Cause(ctx); cluster.KindOf(err) != cluster.Unavailable || !strings.Contains(err.Error(), "sent 10s ago and was valid for 10s") {
			t.Errorf("ended because of %v", err)
		}
	})
}

func TestWithoutAPermitTheProcessIdlesAndIsFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feeds := 0
		g, all := newGuard(simulated(), func(state string) error {
			if state == "WATCHDOG=1" {
				feeds++
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(all, 24*time.Hour)
		defer cancel()
		_ = loop.New("permit", g.log, g.step).Run(ctx)
		if all.Err() != nil {
			t.Errorf("ended with nothing to protect: %v", context.Cause(all))
		}
		// The last of them falls on the end of the day, and may or may not come.
		if least := int(24 * time.Hour / (2500 * time.Millisecond)); feeds < least || feeds > least+1 {
			t.Errorf("fed %d times in a day, want one per half watchdog: %d", feeds, least)
		}
	})
}

func TestASuspendThatOutlastsThePermitEndsItAtTheNextLook(t *testing.T) {
	now, fed := at(100*second), 0
	g, ctx := newGuard(func() (Reading, error) { return now, nil }, func(state string) error {
		if state == "WATCHDOG=1" {
			fed++
		}
		return nil
	})
	if err := g.offer(grant{now, 10 * second}); err != nil {
		t.Fatal(err)
	}
	now.Boot += time.Hour
	if _, err := g.step(ctx); err != nil {
		t.Fatal(err)
	}
	if fed != 0 || ctx.Err() == nil {
		t.Errorf("after the suspend: fed %d times, ended %v; want unfed and ended", fed, ctx.Err() != nil)
	}
}

func TestAPauseBetweenCheckAndFeedIsNoticedAfterTheFeed(t *testing.T) {
	now := at(100 * second)
	g, ctx := newGuard(func() (Reading, error) { return now, nil }, func(string) error {
		now = at(200 * second) // the process was paused on its way to the feed
		return nil
	})
	if err := g.offer(grant{now, 10 * second}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.step(ctx); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() == nil {
		t.Error("the process goes on after its deadline")
	}
}

func TestAnEndedPermitTakesNoRenewal(t *testing.T) {
	now := at(100 * second)
	g, ctx := newGuard(func() (Reading, error) { return now, nil }, func(string) error { return nil })
	if err := g.offer(grant{now, 10 * second}); err != nil {
		t.Fatal(err)
	}
	now = at(111 * second)
	// The renewal itself is good. But the deadline had passed before it came.
	err := g.offer(grant{at(109 * second), 10 * second})
	if cluster.KindOf(err) != cluster.Unavailable || ctx.Err() == nil {
		t.Errorf("offer after the end: %v, ended %v", err, ctx.Err() != nil)
	}
}

func TestAPermitThatEndedByTheWallClockStaysEndedWhenThatIsSetBack(t *testing.T) {
	now := at(100 * second)
	g, ctx := newGuard(func() (Reading, error) { return now, nil }, func(state string) error {
		if state == "WATCHDOG=1" {
			t.Error("fed")
		}
		return nil
	})
	if err := g.offer(grant{now, 10 * second}); err != nil {
		t.Fatal(err)
	}
	for _, real := range []time.Duration{now.Real + time.Hour, now.Real} {
		now.Real = real
		if _, err := g.step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.offer(grant{now, 10 * second}); err == nil {
		t.Error("an ended permit was extended")
	}
}

func TestWithoutAClockTheWatchdogIsNotFed(t *testing.T) {
	broken := errors.New("no clock")
	g, ctx := newGuard(func() (Reading, error) { return Reading{}, broken }, func(state string) error {
		t.Errorf("systemd was told %q", state)
		return nil
	})
	if _, err := g.step(ctx); !errors.Is(err, broken) {
		t.Errorf("step: %v", err)
	}
	if err := g.offer(grant{at(1), second}); !errors.Is(err, broken) {
		t.Errorf("offer: %v", err)
	}
}

func TestTheMarkerStandsWhileAPermitIsHeld(t *testing.T) {
	now := at(100 * second)
	g, ctx := newGuard(func() (Reading, error) { return now, nil }, func(string) error { return nil })
	g.marker = filepath.Join(t.TempDir(), "held")
	stands := func() bool { _, err := os.Stat(g.marker); return err == nil }

	if _, _ = g.step(ctx); stands() {
		t.Error("a marker without a permit")
	}
	if err := g.offer(grant{at(50 * second), 10 * second}); err == nil || stands() {
		t.Errorf("a late renewal: error %v, marker %v", err, stands())
	}
	if err := g.offer(grant{now, 10 * second}); err != nil || !stands() {
		t.Errorf("a good renewal: error %v, marker %v", err, stands())
	}
	now = at(110 * second)
	if _, _ = g.step(ctx); stands() {
		t.Error("the marker outlived the permit")
	}
}

func TestAPermitThatCannotBeMarkedIsNotGranted(t *testing.T) {
	now := at(100 * second)
	g, _ := newGuard(func() (Reading, error) { return now, nil }, func(string) error { return nil })
	g.marker = filepath.Join(t.TempDir(), "no", "such", "folder")
	if err := g.offer(grant{now, 10 * second}); err == nil || g.grant.valid != 0 {
		t.Errorf("offer: %v, grant %+v; want an error and no grant", err, g.grant)
	}
}
