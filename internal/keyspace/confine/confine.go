// Package confine keeps requests of etcd's API to one prefix: what is asked is put
// under it, what is answered is taken from under it. It is pure, and the only place
// that knows how; whatever gets through here cannot name a key outside.
package confine

import (
	"bytes"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"argosy/internal/keyspace"
)

// Prefix is what every key of a confined request begins with. It ends in a byte
// below 0xff.
type Prefix string

// key puts a key under the prefix.
func (p Prefix) key(key []byte) []byte { return append([]byte(p), key...) }

// span puts a key and the end of a range under the prefix. A range without an end
// ends where the prefix does.
func (p Prefix) span(key, end []byte) (k, e []byte) {
	switch {
	case len(end) == 0:
		return p.key(key), nil
	case len(end) == 1 && end[0] == 0:
		return p.key(key), p.end()
	}
	return p.key(key), p.key(end)
}

// end is the first key after all that have the prefix.
func (p Prefix) end() []byte {
	end := []byte(p)
	end[len(end)-1]++
	return end
}

// Range confines a read.
func (p Prefix) Range(r *etcdserverpb.RangeRequest) error {
	if len(r.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey // under the prefix it would be one
	}
	r.Key, r.RangeEnd = p.span(r.Key, r.RangeEnd)
	return nil
}

// Put confines a write.
func (p Prefix) Put(r *etcdserverpb.PutRequest) error {
	if len(r.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	r.Key = p.key(r.Key)
	return nil
}

// Delete confines the removal of a key or a range.
func (p Prefix) Delete(r *etcdserverpb.DeleteRangeRequest) error {
	if len(r.Key) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	r.Key, r.RangeEnd = p.span(r.Key, r.RangeEnd)
	return nil
}

// Txn confines a transaction with all that is nested in it.
func (p Prefix) Txn(r *etcdserverpb.TxnRequest) error {
	for _, c := range r.Compare {
		if c == nil || len(c.Key) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
		c.Key, c.RangeEnd = p.span(c.Key, c.RangeEnd)
	}
	for _, ops := range [][]*etcdserverpb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if err := p.op(op); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p Prefix) op(op *etcdserverpb.RequestOp) error {
	switch {
	case op.GetRequestRange() != nil:
		return p.Range(op.GetRequestRange())
	case op.GetRequestPut() != nil:
		return p.Put(op.GetRequestPut())
	case op.GetRequestDeleteRange() != nil:
		return p.Delete(op.GetRequestDeleteRange())
	case op.GetRequestTxn() != nil:
		return p.Txn(op.GetRequestTxn())
	}
	return rpctypes.ErrGRPCKeyNotFound // an operation that is none, or one that we do not know
}

// Watch confines what is to be watched. Etcd takes no key for the smallest there is.
func (p Prefix) Watch(r *etcdserverpb.WatchCreateRequest) {
	if len(r.Key) == 0 {
		r.Key = []byte{0}
	}
	r.Key, r.RangeEnd = p.span(r.Key, r.RangeEnd)
}

// Items takes items from under the prefix, and leaves out any that are not there.
func (p Prefix) Items(items []*mvccpb.KeyValue) []*mvccpb.KeyValue {
	kept := items[:0]
	for _, item := range items {
		if item = p.Item(item); item != nil {
			kept = append(kept, item)
		}
	}
	return kept
}

// Item takes an item from under the prefix; nil if it is not there.
func (p Prefix) Item(item *mvccpb.KeyValue) *mvccpb.KeyValue {
	if item == nil {
		return nil
	}
	key, inside := bytes.CutPrefix(item.Key, []byte(p))
	if !inside {
		return nil
	}
	item.Key = key
	return item
}

// Events takes events from under the prefix.
func (p Prefix) Events(events []*mvccpb.Event) []*mvccpb.Event {
	kept := events[:0]
	for _, e := range events {
		if e.Kv = p.Item(e.Kv); e.Kv != nil {
			e.PrevKv = p.Item(e.PrevKv)
			kept = append(kept, e)
		}
	}
	return kept
}

// Keys takes keys from under the prefix.
func (p Prefix) Keys(keys [][]byte) [][]byte {
	kept := keys[:0]
	for _, key := range keys {
		if key, inside := bytes.CutPrefix(key, []byte(p)); inside {
			kept = append(kept, key)
		}
	}
	return kept
}

// TxnAnswer takes the answer to a transaction from under the prefix.
func (p Prefix) TxnAnswer(r *etcdserverpb.TxnResponse) {
	for _, op := range r.Responses {
		switch {
		case op.GetResponseRange() != nil:
			op.GetResponseRange().Kvs = p.Items(op.GetResponseRange().Kvs)
		case op.GetResponsePut() != nil:
			op.GetResponsePut().PrevKv = p.Item(op.GetResponsePut().PrevKv)
		case op.GetResponseDeleteRange() != nil:
			op.GetResponseDeleteRange().PrevKvs = p.Items(op.GetResponseDeleteRange().PrevKvs)
		case op.GetResponseTxn() != nil:
			p.TxnAnswer(op.GetResponseTxn())
		}
	}
}

// Cost is what a request asks of the store.
type Cost struct {
	Bytes  int64 // that it writes: keys and values, whichever way it goes
	Puts   int64
	Ops    int // comparisons and operations, those of nested transactions too
	Ranges int // of these, those that look at more than a key
}

// Check returns etcd's own error for a request that is too large.
func (c Cost) Check() error {
	switch {
	case c.Ops > keyspace.OpsMax || c.Ranges > keyspace.RangesMax:
		return rpctypes.ErrGRPCTooManyOps
	case c.Bytes > keyspace.RequestBytesMax:
		return rpctypes.ErrGRPCRequestTooLarge
	}
	return nil
}

// CostOfPut is the cost of a write.
func CostOfPut(r *etcdserverpb.PutRequest) Cost {
	return Cost{Bytes: int64(len(r.Key) + len(r.Value)), Puts: 1, Ops: 1}
}

// CostOfDelete is the cost of a removal. One that tells what it removed reads that.
func CostOfDelete(r *etcdserverpb.DeleteRangeRequest) Cost {
	c := Cost{Ops: 1}
	if r.PrevKv && len(r.RangeEnd) > 0 {
		c.Ranges = 1
	}
	return c
}

// CostOfTxn is the cost of a transaction with all that is nested in it.
func CostOfTxn(r *etcdserverpb.TxnRequest) (c Cost) {
	c.Ops = len(r.Compare)
	for _, compare := range r.Compare {
		c.Bytes += int64(len(compare.GetKey()) + len(compare.GetRangeEnd()) + len(compare.GetValue()))
		if len(compare.GetRangeEnd()) > 0 {
			c.Ranges++
		}
	}
	for _, ops := range [][]*etcdserverpb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			c.add(costOfOp(op))
		}
	}
	return c
}

func costOfOp(op *etcdserverpb.RequestOp) Cost {
	c := Cost{Ops: 1}
	switch {
	case op.GetRequestPut() != nil:
		c = CostOfPut(op.GetRequestPut())
	case op.GetRequestTxn() != nil:
		c.add(CostOfTxn(op.GetRequestTxn()))
	case op.GetRequestDeleteRange() != nil:
		c = CostOfDelete(op.GetRequestDeleteRange())
	case len(op.GetRequestRange().GetRangeEnd()) > 0:
		c.Ranges = 1
	}
	return c
}

func (c *Cost) add(other Cost) {
	c.Bytes += other.Bytes
	c.Puts += other.Puts
	c.Ops += other.Ops
	c.Ranges += other.Ranges
}
