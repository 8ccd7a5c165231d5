package engine

import (
	"argosy/internal/store"
)

// write is a group of operations that happen together, with what they were
// computed from.
type write struct {
	conds []store.Cond
	ops   []store.Op
	task  string // what the engine counts it as; "": it does not
	comes bool   // it puts a unit on nodes and takes it off none
}

// batch is a transaction and the indexes of the writes that are in it.
type batch struct {
	txn    store.Txn
	writes []int
	bytes  int
}

// pack fills as few transactions as the store's limits allow. Each begins with
// the guards given, and no write is split.
func pack(guards []store.Cond, writes []write) []batch {
	var out []batch
	var open *batch
	for i, w := range writes {
		size := 0
		for _, op := range w.ops {
			size += len(op.Key) + len(op.Value)
		}
		if open == nil || len(open.txn.If)+len(w.conds) > store.TxnOpsMax ||
			len(open.txn.Then)+len(w.ops) > store.TxnOpsMax || open.bytes+size > store.TxnBytesMax {
			out = append(out, batch{txn: store.Txn{If: append([]store.Cond(nil), guards...)}})
			open = &out[len(out)-1]
		}
		open.txn.If = append(open.txn.If, w.conds...)
		open.txn.Then = append(open.txn.Then, w.ops...)
		open.writes = append(open.writes, i)
		open.bytes += size
	}
	return out
}
