package engine

import (
	"context"
	"sync"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// queueMax bounds how many requests wait for one batch.
const queueMax = 10_000

// batcher gathers requests and hands them to one function in batches: the
// first after a quiet time at once, the others at least the pace apart.
type batcher[T any] struct {
	loop   *loop.Loop
	pace   loop.Pace
	commit func(ctx context.Context, batch []*request[T])

	mu     sync.Mutex
	queue  []*request[T]
	closed bool
}

// request is one caller's. Whoever commits it calls answer exactly once.
type request[T any] struct {
	value T
	done  chan answer[T] // holds one
}

type answer[T any] struct {
	value T
	err   error
}

func (r *request[T]) answer(value T, err error) { r.done <- answer[T]{value, err} }

// run commits batches until ctx ends. Requests that are left then fail.
func (b *batcher[T]) run(ctx context.Context) error {
	err := b.loop.Run(ctx)
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	for _, r := range b.take() {
		var none T
		r.answer(none, stopping())
	}
	return err
}

func stopping() error {
	return cluster.Errorf(cluster.Unavailable, "this server is stopping").WithHint("ask another server")
}

func (b *batcher[T]) step(ctx context.Context) (time.Duration, error) {
	if !b.waiting() {
		return loop.Never, nil
	}
	if err := b.pace.Wait(ctx); err != nil {
		return 0, err
	}
	b.commit(ctx, b.take())
	return loop.Never, nil
}

func (b *batcher[T]) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) > 0
}

func (b *batcher[T]) take() []*request[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.queue
	b.queue = nil
	return taken
}

// do hands in a request and waits for its answer.
func (b *batcher[T]) do(ctx context.Context, value T) (T, error) {
	r := &request[T]{value: value, done: make(chan answer[T], 1)}
	var none T
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return none, stopping()
	case len(b.queue) >= queueMax:
		b.mu.Unlock()
		return none, cluster.Errorf(cluster.Unavailable, "%d requests are waiting for the store", queueMax)
	}
	b.queue = append(b.queue, r)
	b.mu.Unlock()
	b.loop.Wake()
	select {
	case a := <-r.done:
		return a.value, a.err
	case <-ctx.Done():
		// It may still be committed: the caller must not count on either.
		return none, cluster.Errorf(cluster.Unknown, "the store did not answer in time: %w", ctx.Err())
	}
}

// waves splits a batch so that each wave holds one request of a node at most,
// those of one node in their order.
func waves[T any](batch []*request[T], nodeOf func(T) cluster.NodeID) [][]*request[T] {
	var out [][]*request[T]
	before := map[cluster.NodeID]int{} // requests of the node so far
	for _, r := range batch {
		n := before[nodeOf(r.value)]
		before[nodeOf(r.value)]++
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], r)
	}
	return out
}
