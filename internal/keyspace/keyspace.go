// Package keyspace is the port to the key space of applications: what they keep in
// the cluster's store, under keys of their own, and nothing else that is there.
//
// A key of the space is that of an application, any bytes but none, behind one of the
// two prefixes below. Errors are *cluster.Error: Unavailable (no quorum,
// nothing happened), Unknown (a write whose outcome is not known), Invalid (too
// large, a lease that does not exist), Denied (the key space is full), and
// ErrCompacted.
package keyspace

import (
	"context"
	"errors"
	"time"

	"argosy/internal/cluster"
)

// Limits of what one request may ask, whoever asks and by whatever API.
const (
	RequestBytesMax = 1 << 20 // keys and values that a request writes
	OpsMax          = 128     // comparisons and operations of a transaction, those of nested ones too; etcd's own default
	RangesMax       = 4       // of these, reads of more than a key
)

// ErrCompacted says that what happened at a revision is not kept any more.
var ErrCompacted = errors.New("the history of the key space before this revision is not kept any more")

// The two halves of the space. Applications see the keys; the folders are records of
// what version 2 of etcd's API calls directories, which version 3 does not know.
const (
	Keys    = "keys/"
	Folders = "folders/"
)

// Lease is the number of a lease: what keys are written under that are to go with it.
type Lease int64

// own marks the leases that Argosy makes for a key that is to last for a time; nobody
// else renews or ends them.
const own Lease = 0x76326b73 << 32

// NewLease makes the number of such a lease from 32 random bits.
func NewLease(random uint32) Lease { return own | Lease(random) }

// Own reports whether a lease is such a one.
func (l Lease) Own() bool { return l>>32 == own>>32 }

// Item is a key with its value, as of some revision.
type Item struct {
	Key     string
	Value   []byte
	Created cluster.Revision
	Changed cluster.Revision
	Version int64 // how often it was written since it was created
	Lease   Lease
}

// Span is a key (End is empty), or all from a key up to an end that is not one of
// them ("\x00": without an end), as etcd has it.
type Span struct{ Key, End string }

// One is the span of a key.
func One(key string) Span { return Span{Key: key} }

// Prefix is the span of what begins with something; of "", of everything.
func Prefix(prefix string) Span {
	if prefix == "" {
		return Span{"\x00", "\x00"}
	}
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return Span{prefix, "\x00"}
	}
	end[len(end)-1]++
	return Span{prefix, string(end)}
}

// Holds reports whether a key is of a span.
func (s Span) Holds(key string) bool {
	switch s.End {
	case "":
		return key == s.Key
	case "\x00":
		return key >= s.Key
	}
	return key >= s.Key && key < s.End
}

// Query asks for the items of a span, sorted by key.
type Query struct {
	Span
	Limit    int64 // 0: all
	KeysOnly bool
}

// Answer is what a query found. Count is of the whole span, whatever the limit.
type Answer struct {
	Items []Item
	Count int64
}

// Test is what a guard compares of an item. Of a span, each item that there is must
// pass; of one without items, only Absent and an UnchangedSince do.
type Test int

// The tests.
const (
	Absent         Test = iota + 1 // there is none
	ChangedAt                      // it was last written at the revision
	UnchangedSince                 // it was not written after the revision
	ValueIs                        // it has the value
)

// Cond is a guard of a transaction.
type Cond struct {
	Span
	Test     Test
	Revision cluster.Revision
	Value    []byte
}

// Op is a write: of a key, or the removal of a span.
type Op struct {
	Span
	Value  []byte
	Lease  Lease
	Delete bool
}

// Txn is a set of writes that happen all or not at all. A key is written once in it.
type Txn struct {
	If   []Cond
	Then []Op
}

// Event is a change of a key. Before is the item as it was, nil if there was none.
type Event struct {
	Item
	Deleted bool
	Before  *Item
}

// Batch is what a watch tells at once: what happened up to a revision, or, without
// events, that nothing did.
type Batch struct {
	Revision cluster.Revision
	Events   []Event
}

// LeaseState is how a lease is doing.
type LeaseState struct {
	Left, Granted time.Duration
	Keys          []string
}

// Space is the port.
type Space interface {
	// Read answers queries, all as of the same moment.
	Read(ctx context.Context, queries ...Query) ([]Answer, cluster.Revision, error)
	// Commit writes a transaction. If a guard does not hold, nothing happens and ok is
	// false.
	Commit(ctx context.Context, txn Txn) (rev cluster.Revision, ok bool, err error)
	// Watch tells what happens in a span after a revision, 0: from now on, until each
	// returns an error, which it returns, or ctx ends. The first batch says, without
	// events, that it listens; ErrCompacted comes before it.
	Watch(ctx context.Context, span Span, after cluster.Revision, each func(Batch) error) error
	// Grant makes a lease of whole seconds. An id of 0 is chosen by the store.
	Grant(ctx context.Context, id Lease, ttl time.Duration) (Lease, error)
	// Renew begins a lease's time anew.
	Renew(ctx context.Context, id Lease) error
	// Revoke ends a lease and what is under it.
	Revoke(ctx context.Context, id Lease) error
	// Lease tells how a lease is doing; NotFound if there is none.
	Lease(ctx context.Context, id Lease) (LeaseState, error)
}

// Member is a server as etcd knows it.
type Member struct {
	ID              uint64
	Name            string
	PeerURLs        []string
	Healthy, Leader bool // if that was asked for
}

// End ends leases that Argosy made and that nothing is under any more: who writes a
// key with a time again and again would have very many. One that is missed ends by
// itself.
func End(ctx context.Context, space Space, leases ...Lease) {
	for _, id := range leases {
		if !id.Own() {
			continue
		}
		if state, err := space.Lease(ctx, id); err == nil && len(state.Keys) == 0 {
			_ = space.Revoke(ctx, id) // or it ends by itself
		}
	}
}
