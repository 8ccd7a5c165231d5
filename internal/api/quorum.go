package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// Limits of asking the store; see decision 0005.
const (
	probeMax   = 2 * time.Second
	verdictAge = time.Second
)

// quorumProbe finds out whether the store acknowledges anything, by a read
// that needs a quorum. Its verdict is good for a second, so that a server
// without quorum refuses writes at once.
type quorumProbe struct {
	store  store.Store
	asking singleflight.Group

	mu      sync.Mutex
	err     error
	checked time.Time
}

// check returns nil if a write can be acknowledged now, or why not. Callers
// that come while the store is being asked share the answer; one that gives up
// waiting spoils it for nobody.
func (q *quorumProbe) check(ctx context.Context) error {
	q.mu.Lock()
	err, recent := q.err, !q.checked.IsZero() && time.Since(q.checked) < verdictAge
	q.mu.Unlock()
	if recent {
		return err
	}
	answer := q.asking.DoChan("", func() (any, error) { return nil, q.ask(context.WithoutCancel(ctx)) })
	select {
	case verdict := <-answer:
		return verdict.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask reads from the store in a way that takes a majority.
func (q *quorumProbe) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	_, _, err := q.store.List(ctx, store.KeyCluster)
	if err != nil {
		err = cluster.Errorf(cluster.Unavailable, "the store has no quorum: %w", err).
			WithHint("units keep running; argosy status shows which servers are missing")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.checked, q.err = time.Now(), err
	return err
}
