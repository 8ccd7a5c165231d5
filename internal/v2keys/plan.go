package v2keys

import (
	"fmt"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// Plan is how a request that writes is carried out.
type Plan struct {
	Txn keyspace.Txn
	// Renew, if it is not 0, is a lease whose time begins anew; then nothing is written.
	Renew keyspace.Lease
	// Ends are leases that may be of no use once the plan is carried out.
	Ends []keyspace.Lease

	view   View
	action string
	prev   *Node
	node   Node // but for what the commit says
	lease  keyspace.Lease
	ttl    bool
}

// Plan decides how a request that writes is carried out, or why it is not. lease is a
// new one, for a request with a time.
func (v View) Plan(r Request, lease keyspace.Lease) (Plan, *Error) {
	p, err := v.plan(r, lease)
	if err != nil {
		return p, err.at(v.Revision)
	}
	return p, nil
}

func (v View) plan(r Request, lease keyspace.Lease) (Plan, *Error) {
	if r.Key == "/" && r.Verb != Append {
		return Plan{}, fail(RootReadOnly, "/")
	}
	if len(v.files) > 0 && r.Verb != Delete { // a directory is needed where a key is
		return Plan{}, fail(NotDir, strings.TrimPrefix(v.files[0].Key, keyspace.Keys))
	}
	p := Plan{view: v, lease: lease, ttl: r.TTL != nil, node: Node{Key: r.Key, Dir: r.Dir}}
	switch r.Verb {
	case Append:
		return p.appended(r)
	case Delete:
		return p.deleted(r)
	case Set:
		if r.Dir {
			return p.setDir(r)
		}
		return p.setFile(r)
	case Get:
	}
	return p, fail(InvalidForm, string(r.Verb))
}

// setFile writes a key.
func (p Plan) setFile(r Request) (Plan, *Error) {
	v := p.view
	action, err := v.maySet(r)
	if p.action = action; err != nil {
		return p, err
	}
	value := []byte(r.Value)
	if r.Refresh {
		if v.self == nil {
			return p, v.missing(r.Key)
		}
		if state, lasts := v.Leases[v.self.Lease]; lasts && v.self.Lease.Own() && state.Granted == *r.TTL && len(state.Keys) == 1 {
			return p.renewed(r), nil
		}
		value = v.self.Value
	}
	p.replace(v.self)
	p.put(leaf(r.Key), value, v.self)
	p.Txn.If = append(p.Txn.If, // neither it nor what is over it has become a directory, or a key
		keyspace.Cond{Span: keyspace.Prefix(leaf(below(r.Key))), Test: keyspace.Absent},
		keyspace.Cond{Span: keyspace.Prefix(folder(below(r.Key))), Test: keyspace.Absent},
		keyspace.Cond{Span: keyspace.One(folder(r.Key)), Test: keyspace.Absent})
	p.over(r.Key)
	text := string(value)
	p.node.Value = &text
	return p, nil
}

// maySet says what the writing of a key is called, or why it is refused.
func (v View) maySet(r Request) (action string, err *Error) {
	dir := v.isDir(r.Key)
	action = "set"
	switch exist := r.PrevExist; {
	case exist != nil && !*exist:
		if action = "create"; v.self != nil || dir {
			err = fail(NodeExist, r.Key)
		}
	case r.PrevValue != "" || r.PrevIndex != 0:
		action, err = "compareAndSwap", v.compare(r)
	case exist != nil:
		if action = "update"; v.self == nil && !dir {
			err = v.missing(r.Key)
		}
	}
	if err == nil && dir {
		err = fail(NotFile, r.Key)
	}
	return action, err
}

// renewed lets a key last longer, and writes nothing: nobody who watches is told.
func (p Plan) renewed(r Request) Plan {
	prev := p.view.fileNode(*p.view.self)
	p.Renew, p.action, p.prev, p.node = p.view.self.Lease, "set", prev, *prev
	if r.PrevExist != nil {
		p.action = "update"
	}
	return p
}

// setDir makes a directory, or sets how long it lasts.
func (p Plan) setDir(r Request) (Plan, *Error) {
	v, dir := p.view, p.view.isDir(r.Key)
	p.action = "set"
	switch exist := r.PrevExist; {
	case exist != nil && !*exist:
		if p.action = "create"; v.self != nil || dir {
			return p, fail(NodeExist, r.Key)
		}
	case exist != nil:
		if p.action = "update"; !dir && v.self == nil {
			return p, v.missing(r.Key)
		} else if !dir {
			return p, fail(NotDir, r.Key)
		}
		return p.timeDir(r)
	case dir:
		return p, fail(NotFile, r.Key)
	}
	if p.replace(v.self); v.self != nil {
		p.Txn.Then = append(p.Txn.Then, keyspace.Op{Span: keyspace.One(leaf(r.Key)), Delete: true})
		p.Txn.If = append(p.Txn.If, unchanged(leaf(r.Key), v.self))
	} else {
		p.Txn.If = append(p.Txn.If, unchanged(leaf(r.Key), nil))
	}
	p.put(folder(r.Key), nil, nil)
	p.over(r.Key)
	return p, nil
}

// boundMax is how much may be in a directory whose time is set: all of it is written
// anew, in one transaction.
const boundMax = keyspace.OpsMax / 3

// timeDir sets how long a directory lasts, with all in it that has no time of its own.
func (p Plan) timeDir(r Request) (Plan, *Error) {
	v := p.view
	p.prev = v.dirNode(r.Key, v.folder)
	old := keyspace.Lease(0)
	if v.folder != nil {
		old = v.folder.Lease
	}
	if state, lasts := v.Leases[old]; lasts && old.Own() {
		if r.TTL != nil && state.Granted == *r.TTL {
			p.Renew, p.node = old, *p.prev // and all in it lasts longer, without a write
			return p, nil
		}
		p.Ends = append(p.Ends, old)
	}
	p.put(folder(r.Key), nil, v.folder)
	bound := 0
	for _, items := range [][]keyspace.Item{v.keys, v.dirs} {
		for _, item := range items {
			if item.Lease == old {
				p.put(item.Key, item.Value, &item)
				bound++
			}
		}
	}
	if bound > boundMax {
		return p, fail(InvalidField, fmt.Sprintf("the directory holds %d keys without a time of their own; it may have one with %d at most", bound, boundMax))
	}
	p.Txn.If = append(p.Txn.If, // nothing came that would have to be bound, too
		keyspace.Cond{Span: keyspace.Prefix(leaf(below(r.Key))), Test: keyspace.UnchangedSince, Revision: v.Revision},
		keyspace.Cond{Span: keyspace.Prefix(folder(below(r.Key))), Test: keyspace.UnchangedSince, Revision: v.Revision})
	p.over(r.Key)
	return p, nil
}

// appended makes a key whose name sorts after all that are in its directory.
func (p Plan) appended(r Request) (Plan, *Error) {
	v := p.view
	if v.self != nil && !v.isDir(r.Key) {
		return p, fail(NotDir, r.Key)
	}
	p.action = "create"
	p.node.Key = fmt.Sprintf("%s%020d", below(r.Key), v.Revision+1)
	if v.folder != nil && v.folder.Lease != 0 && !p.ttl {
		p.lease = v.folder.Lease
	}
	if r.Dir {
		p.put(folder(p.node.Key), nil, nil)
	} else {
		p.node.Value = &r.Value
		p.put(leaf(p.node.Key), []byte(r.Value), nil)
	}
	p.Txn.If = append(p.Txn.If, // nothing came into the directory that sorts later
		keyspace.Cond{Span: keyspace.Prefix(leaf(below(r.Key))), Test: keyspace.UnchangedSince, Revision: v.Revision},
		keyspace.Cond{Span: keyspace.Prefix(folder(below(r.Key))), Test: keyspace.UnchangedSince, Revision: v.Revision},
		unchanged(leaf(r.Key), v.self))
	if r.Key != "/" {
		p.Txn.If = append(p.Txn.If, unchanged(folder(r.Key), v.folder))
	}
	if r.Key != "/" && v.folder == nil {
		p.Txn.Then = append(p.Txn.Then, keyspace.Op{Span: keyspace.One(folder(r.Key)), Lease: v.inherited()})
	}
	p.over(r.Key)
	return p, nil
}

// deleted removes a key or a directory.
func (p Plan) deleted(r Request) (Plan, *Error) {
	v, dir := p.view, p.view.isDir(r.Key)
	p.action, p.node.Dir, p.lease, p.ttl = "delete", dir, 0, false
	if v.self == nil && !dir {
		return p, v.missing(r.Key)
	}
	if r.PrevValue != "" || r.PrevIndex != 0 {
		p.action = "compareAndDelete"
		if err := v.compare(r); err != nil {
			return p, err
		}
	}
	if !dir {
		p.prev = v.fileNode(*v.self)
		p.Txn.If = append(p.Txn.If, unchanged(leaf(r.Key), v.self))
		p.Txn.Then = append(p.Txn.Then, keyspace.Op{Span: keyspace.One(leaf(r.Key)), Delete: true})
		return p, nil
	}
	switch p.prev = v.dirNode(r.Key, v.folder); {
	case !r.Dir && !r.Recursive:
		return p, fail(NotFile, r.Key)
	case !r.Recursive && len(v.keys)+len(v.dirs) > 0:
		return p, fail(DirNotEmpty, r.Key)
	case !r.Recursive:
		p.Txn.If = append(p.Txn.If,
			keyspace.Cond{Span: keyspace.Prefix(leaf(below(r.Key))), Test: keyspace.Absent},
			keyspace.Cond{Span: keyspace.Prefix(folder(below(r.Key))), Test: keyspace.Absent})
	}
	for _, span := range []keyspace.Span{
		keyspace.One(leaf(r.Key)), keyspace.One(folder(r.Key)), keyspace.Prefix(leaf(below(r.Key))), keyspace.Prefix(folder(below(r.Key))),
	} {
		p.Txn.Then = append(p.Txn.Then, keyspace.Op{Span: span, Delete: true})
	}
	return p, nil
}

// compare says why a key is not as the request demands.
func (v View) compare(r Request) *Error {
	switch {
	case v.isDir(r.Key):
		return fail(NotFile, r.Key)
	case v.self == nil:
		return v.missing(r.Key)
	}
	value := r.PrevValue == "" || r.PrevValue == string(v.self.Value)
	index := r.PrevIndex == 0 || r.PrevIndex == uint64(v.self.Changed) //nolint:gosec // revisions are not negative
	byValue, byIndex := fmt.Sprintf("[%s != %s]", r.PrevValue, v.self.Value), fmt.Sprintf("[%d != %d]", r.PrevIndex, v.self.Changed)
	switch {
	case !value && !index:
		return fail(TestFailed, byValue+" "+byIndex)
	case !value:
		return fail(TestFailed, byValue)
	case !index:
		return fail(TestFailed, byIndex)
	}
	return nil
}

// replace notes what a write replaces. The time of that, if it was version 2's, ends.
func (p *Plan) replace(self *keyspace.Item) {
	if self == nil {
		return
	}
	p.prev = p.view.fileNode(*self)
	p.node.Created = self.Created
	if self.Lease.Own() {
		p.Ends = append(p.Ends, self.Lease)
	}
}

// put writes something in place of what there was, under the request's lease, or that
// of the directory that it lies in.
func (p *Plan) put(key string, value []byte, was *keyspace.Item) {
	if !p.ttl && p.lease == 0 {
		p.lease = p.view.inherited()
	}
	p.Txn.If = append(p.Txn.If, unchanged(key, was))
	p.Txn.Then = append(p.Txn.Then, keyspace.Op{Span: keyspace.One(key), Value: value, Lease: p.lease})
}

// over makes the directories over a key, as far as they have no record, and guards that
// none of them is a key, and that those with a record keep it, and its time, until then.
func (p *Plan) over(key string) {
	known := map[string]keyspace.Item{}
	for _, f := range p.view.folders {
		known[f.Key] = f
	}
	for _, dir := range above(key) {
		p.Txn.If = append(p.Txn.If, keyspace.Cond{Span: keyspace.One(leaf(dir)), Test: keyspace.Absent})
		if f, there := known[folder(dir)]; there {
			p.Txn.If = append(p.Txn.If, unchanged(f.Key, &f))
			continue
		}
		p.Txn.If = append(p.Txn.If, unchanged(folder(dir), nil))
		p.Txn.Then = append(p.Txn.Then, keyspace.Op{Span: keyspace.One(folder(dir)), Lease: p.view.inherited()})
	}
}

// unchanged guards that a key is as it was.
func unchanged(key string, was *keyspace.Item) keyspace.Cond {
	if was == nil {
		return keyspace.Cond{Span: keyspace.One(key), Test: keyspace.Absent}
	}
	return keyspace.Cond{Span: keyspace.One(key), Test: keyspace.ChangedAt, Revision: was.Changed}
}

// Answer is the answer to a plan that was carried out at a revision. left is how long
// what was written lasts; 0: for good.
func (p Plan) Answer(rev cluster.Revision, left keyspace.LeaseState) Answer {
	node := p.node
	if p.Renew == 0 {
		node.Modified = rev
		if node.Created == 0 || p.action == "create" {
			node.Created = rev
		}
		if p.prev != nil && (p.action == "delete" || p.action == "compareAndDelete" || node.Dir && p.prev.Dir) {
			node.Created = p.prev.Created
		}
	}
	if left.Left > 0 {
		p.view.lasting(&node, left.Left)
	}
	return Answer{Action: p.action, Node: &node, Prev: p.prev}
}

// Lease is what the plan writes under; 0: nothing.
func (p Plan) Lease() keyspace.Lease {
	if p.Renew != 0 {
		return p.Renew
	}
	return p.lease
}
