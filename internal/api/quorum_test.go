package api

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store/memstore"
)

// slowStore is one that takes a while to answer, as the outcome has it.
func slowStore(takes time.Duration, outcome memstore.Outcome) (*quorumProbe, *atomic.Int64) {
	asked := &atomic.Int64{}
	return &quorumProbe{store: memstore.New().ClientWith(func(ctx context.Context, _ string) memstore.Outcome {
		asked.Add(1)
		if loop.Sleep(ctx, takes) != nil {
			return memstore.Refuse
		}
		return outcome
	})}, asked
}

func TestCallersShareOneProbeOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe, asked := slowStore(time.Second, memstore.Pass)
		answers := make(chan error, 10)
		for range cap(answers) {
			go func() { answers <- probe.check(t.Context()) }()
		}
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Errorf("the store answers, and the verdict is %v", err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the store was asked %d times", n)
		}
		_ = loop.Sleep(t.Context(), 2*verdictAge)
		if err := probe.check(t.Context()); err != nil || asked.Load() != 2 {
			t.Errorf("later: %v, asked %d times", err, asked.Load())
		}
	})
}

func TestACallerThatGivesUpSpoilsTheProbeForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe, asked := slowStore(time.Second, memstore.Pass)
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := probe.check(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the one that gave up got %v", err)
		}
		if err := probe.check(t.Context()); err != nil || asked.Load() != 1 {
			t.Errorf("the next got %v; the store was asked %d times", err, asked.Load())
		}
	})
}

func TestASilentStoreIsNoQuorumWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe, _ := slowStore(time.Hour, memstore.Pass)
		began := time.Now()
		err := probe.check(t.Context())
		if cluster.KindOf(err) != cluster.Unavailable || time.Since(began) != probeMax {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if err := probe.check(t.Context()); err == nil || time.Since(began) != probeMax {
			t.Errorf("the next had to wait: %s, %v", time.Since(began), err)
		}
	})
}
