package metrics

import (
	"context"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/store"
)

// counting is a store whose operations are counted.
type counting struct {
	next store.Store
	operations
}

var _ store.Store = counting{}

// List implements store.Store.
func (c counting) List(ctx context.Context, prefix string) ([]store.Item, cluster.Revision, error) {
	began := time.Now()
	items, rev, err := c.next.List(ctx, prefix)
	c.note(ctx, opGetAll, began, err)
	return items, rev, err
}

// Commit implements store.Store. A transaction whose guard did not hold was done:
// the store answered.
func (c counting) Commit(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	began := time.Now()
	rev, ok, err := c.next.Commit(ctx, txn)
	c.note(ctx, opSet, began, err)
	return rev, ok, err
}

// Watch implements store.Store. What is counted is that it began.
func (c counting) Watch(ctx context.Context, prefix string, after cluster.Revision) store.Watch {
	c.done.WithLabelValues(opWatch).Inc()
	return c.next.Watch(ctx, prefix, after)
}

// Compact implements store.Store.
func (c counting) Compact(ctx context.Context, rev cluster.Revision) error {
	began := time.Now()
	err := c.next.Compact(ctx, rev)
	c.note(ctx, opCompact, began, err)
	return err
}
