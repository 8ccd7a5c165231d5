// Package store is the port to the replicated store: linearizable reads at a
// revision, guarded transactions, and a watch that can be resumed. It is
// exactly as much of etcd as the rest of Argosy may use.
//
// Two implementations pass the conformance suite in storetest: etcdstore, the
// real one, and memstore, its deterministic twin for tests and the simulator.
//
// All methods may be called concurrently. Errors are *cluster.Error: Unavailable
// (no quorum, not connected: nothing happened), Unknown (a transaction whose
// outcome is not known: it may have been committed), Invalid (too large).
package store

import (
	"context"
	"errors"

	"argosy/internal/cluster"
)

// Limits of one transaction, which our etcd is told of (by default it takes 128
// operations and 1.5 MiB). What goes to the disk is one write for each
// transaction: a thousand nodes that renew their sessions need two, not nine.
const (
	TxnOpsMax   = 500
	TxnBytesMax = 1 << 20
)

// ErrCompacted is returned by Watch when the events after the given revision
// are no longer kept. The reader must read the state anew.
var ErrCompacted = errors.New("store: revision was compacted")

// ErrMoved is returned by Watch when other servers are asked from now on: the
// reader goes on from where it is, with another watch.
var ErrMoved = errors.New("store: other servers are asked from now on")

// Item is a key with its value, as of some revision.
type Item struct {
	Key     string
	Value   []byte
	Created cluster.Revision // when the key came into being; survives overwriting
	Changed cluster.Revision // when it was last written
}

// Cond is one guard of a transaction. Exactly one kind of comparison is meant
// by each constructor.
type Cond struct {
	Key string
	// Created or Changed must equal the key's; 0 means the key must not exist.
	// Which of the two is compared is said by OnCreated.
	Revision  cluster.Revision
	OnCreated bool
}

// ChangedAt guards that a key was last written at rev (0: does not exist).
func ChangedAt(key string, rev cluster.Revision) Cond { return Cond{Key: key, Revision: rev} }

// CreatedAt guards that a key came into being at rev and was not deleted since.
func CreatedAt(key string, rev cluster.Revision) Cond {
	return Cond{Key: key, Revision: rev, OnCreated: true}
}

// Absent guards that a key does not exist.
func Absent(key string) Cond { return Cond{Key: key, OnCreated: true} }

// Op is one write of a transaction.
type Op struct {
	Key    string
	Value  []byte
	Delete bool
}

// Put writes a value.
func Put(key string, value []byte) Op { return Op{Key: key, Value: value} }

// Delete removes a key; removing one that does not exist is no error.
func Delete(key string) Op { return Op{Key: key, Delete: true} }

// Txn is a set of writes that happen all or not at all. A key may be written
// only once in it.
type Txn struct {
	If   []Cond
	Then []Op
}

// Event is one change of one key. Deleted events carry no value.
type Event struct {
	Item
	Deleted bool
}

// Batch is what a watch delivers: all events of one or more whole revisions,
// in order, or none (a sign of progress). Everything up to and including
// Revision was delivered when a Batch was.
type Batch struct {
	Revision cluster.Revision
	Events   []Event
}

// Watch is a stream of batches. C is closed when the watch ends; Err then says
// why: ErrCompacted, ErrMoved, Unavailable, or the context's error.
type Watch interface {
	C() <-chan Batch
	Err() error
}

// Store is the port.
type Store interface {
	// List returns every item whose key begins with prefix, sorted by key, and
	// the revision at which this is true. The read is linearizable: it sees
	// every transaction that was acknowledged before it began.
	List(ctx context.Context, prefix string) ([]Item, cluster.Revision, error)
	// Commit applies a transaction. If a guard does not hold, nothing happens
	// and ok is false; rev is then the revision at which it did not hold.
	Commit(ctx context.Context, txn Txn) (rev cluster.Revision, ok bool, err error)
	// Watch delivers every change under prefix after the given revision, and a
	// sign of progress when there are none (etcdstore: every 5 s at most). It
	// never skips an event. The watch ends with ctx.
	Watch(ctx context.Context, prefix string, after cluster.Revision) Watch
	// Compact forgets the history before rev; what happened at rev is kept.
	// ErrCompacted says that it was forgotten already.
	Compact(ctx context.Context, rev cluster.Revision) error
}

// CheckTxn returns an Invalid error if a transaction is larger than the limits,
// writes a key twice or names none. Every implementation refuses the same transactions.
func CheckTxn(txn Txn) error {
	if n := max(len(txn.If), len(txn.Then)); n > TxnOpsMax {
		return cluster.Errorf(cluster.Invalid, "store: a transaction of %d operations; the limit is %d", n, TxnOpsMax)
	}
	size := 0
	written := make(map[string]bool, len(txn.Then))
	for _, cond := range txn.If {
		if cond.Key == "" {
			return cluster.Errorf(cluster.Invalid, "store: a guard without a key")
		}
	}
	for _, op := range txn.Then {
		if op.Key == "" {
			return cluster.Errorf(cluster.Invalid, "store: a write without a key")
		}
		if written[op.Key] {
			return cluster.Errorf(cluster.Invalid, "store: a transaction writes %s twice", op.Key)
		}
		written[op.Key] = true
		size += len(op.Key) + len(op.Value)
	}
	if size > TxnBytesMax {
		return cluster.Errorf(cluster.Invalid, "store: a transaction of %d bytes; the limit is %d", size, TxnBytesMax)
	}
	return nil
}
