package loop_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/loop"
)

// advance moves the bubble's clock.
func advance(t *testing.T, d time.Duration) {
	t.Helper()
	if err := loop.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// run starts a loop in the bubble and returns a function that stops it.
func run(t *testing.T, l *loop.Loop) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want context.Canceled", err)
		}
	}
}

func TestStepIsCalledAtOnceAndThenWhenItAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		l := loop.New("test", slog.New(slog.DiscardHandler), func(context.Context) (time.Duration, error) {
			at = append(at, time.Since(start))
			return time.Minute, nil
		})
		stop := run(t, l)
		advance(t, 150*time.Second)
		stop()
		if len(at) != 3 || at[0] != 0 || at[1] != time.Minute || at[2] != 2*time.Minute {
			t.Errorf("rounds at %v, want 0, 1m, 2m", at)
		}
	})
}

func TestWakesDuringARoundLeadToOneMoreRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds, hold := 0, make(chan struct{})
		l := loop.New("test", slog.New(slog.DiscardHandler), func(context.Context) (time.Duration, error) {
			rounds++
			<-hold
			return loop.Never, nil
		})
		stop := run(t, l)
		synctest.Wait()
		for range 5 {
			l.Wake()
		}
		close(hold)
		synctest.Wait()
		stop()
		if rounds != 2 {
			t.Errorf("%d rounds, want 2", rounds)
		}
	})
}

func TestFailureIsRetriedWithGrowingBackoffThatAWakeDoesNotDefeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var at []time.Duration
		rounds := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(at)
		}
		l := loop.New("test", slog.New(slog.DiscardHandler), func(context.Context) (time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start))
			if len(at) <= 8 {
				return 0, errors.New("broken")
			}
			return loop.Never, nil
		})
		stop := run(t, l)
		l.Wake()
		synctest.Wait()
		if n := rounds(); n != 1 {
			t.Errorf("%d rounds right after a failure and a wake, want 1", n)
		}
		advance(t, time.Second)
		if h := l.Health(); h.Err == nil || h.Failures < 3 {
			t.Errorf("health while failing: %+v", h)
		}
		advance(t, time.Minute)
		if h := l.Health(); h.Err != nil || h.Failures != 0 {
			t.Errorf("health after recovery: %+v", h)
		}
		stop()
		for i := 2; i < 8; i++ {
			gap, before := at[i]-at[i-1], at[i-1]-at[i-2]
			if want := min(2*before, 5*time.Second); gap != want {
				t.Errorf("gap %d is %v, want %v", i, gap, want)
			}
		}
	})
}

func TestPaceLetsTheFirstThroughAndSpacesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		pace := loop.Pace{Every: time.Second}
		for i := range 3 {
			if err := pace.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != time.Duration(i)*time.Second {
				t.Errorf("turn %d at %v", i, got)
			}
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := loop.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep returned %v", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Sleep took %v", got)
		}
	})
}
