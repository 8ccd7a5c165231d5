package v2keys

import (
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// View is what there is, as far as a request asks.
type View struct {
	Revision cluster.Revision
	Now      time.Time
	// Leases are those that are seen in the view; one that is missing has ended.
	Leases map[keyspace.Lease]keyspace.LeaseState

	files   []keyspace.Item // keys where directories over the key would be
	folders []keyspace.Item // records of these directories
	self    *keyspace.Item  // the key itself
	folder  *keyspace.Item  // its record as a directory
	keys    []keyspace.Item // all keys below
	dirs    []keyspace.Item // all records of directories below
}

// Queries are what must be read to answer a request.
func (r Request) Queries() []keyspace.Query {
	var list []keyspace.Query
	one := func(key string) { list = append(list, keyspace.Query{Span: keyspace.One(key)}) }
	for _, dir := range above(r.Key) {
		one(leaf(dir))
	}
	for _, dir := range above(r.Key) {
		one(folder(dir))
	}
	one(leaf(r.Key))
	one(folder(r.Key))
	// What is below is told by reads, and bound to a lease anew by updates of a
	// directory's time; else it is enough to know whether there is any.
	limit := int64(1)
	if r.Verb == Get || r.Verb == Set && r.Dir && r.PrevExist != nil && *r.PrevExist {
		limit = 0
	}
	list = append(list, keyspace.Query{Span: keyspace.Prefix(leaf(below(r.Key))), Limit: limit})
	return append(list, keyspace.Query{Span: keyspace.Prefix(folder(below(r.Key))), Limit: limit})
}

// NewView takes the answers to a request's queries.
func (r Request) NewView(answers []keyspace.Answer, rev cluster.Revision, now time.Time) View {
	n := len(above(r.Key))
	v := View{Revision: rev, Now: now, Leases: map[keyspace.Lease]keyspace.LeaseState{}}
	for _, a := range answers[:n] {
		v.files = append(v.files, a.Items...)
	}
	for _, a := range answers[n : 2*n] {
		v.folders = append(v.folders, a.Items...)
	}
	if items := answers[2*n].Items; len(items) > 0 {
		v.self = &items[0]
	}
	if items := answers[2*n+1].Items; len(items) > 0 {
		v.folder = &items[0]
	}
	v.keys, v.dirs = answers[2*n+2].Items, answers[2*n+3].Items
	return v
}

// Under are the leases that something in the view is under.
func (v View) Under() []keyspace.Lease {
	seen := map[keyspace.Lease]bool{0: true}
	var list []keyspace.Lease
	note := func(items ...keyspace.Item) {
		for _, item := range items {
			if !seen[item.Lease] {
				seen[item.Lease] = true
				list = append(list, item.Lease)
			}
		}
	}
	note(v.folders...)
	note(v.keys...)
	note(v.dirs...)
	for _, item := range []*keyspace.Item{v.self, v.folder} {
		if item != nil {
			note(*item)
		}
	}
	return list
}

// missing says that there is no such key: what is named is the first directory on the
// way that there is not, or that is a key.
func (v View) missing(key string) *Error {
	if len(v.files) > 0 {
		return fail(NotDir, strings.TrimPrefix(v.files[0].Key, keyspace.Keys))
	}
	known := map[string]bool{}
	for _, f := range v.folders {
		known[f.Key] = true
	}
	for _, dir := range above(key) {
		if !known[folder(dir)] {
			return fail(KeyNotFound, dir)
		}
	}
	return fail(KeyNotFound, key)
}

// isDir reports whether the key is a directory. The root always is.
func (v View) isDir(key string) bool {
	return key == "/" || v.folder != nil || len(v.keys) > 0 || len(v.dirs) > 0
}

// inherited is the lease of the nearest directory over the key that has one: what is
// written below it without a time of its own ends with it.
func (v View) inherited() keyspace.Lease {
	for i := len(v.folders) - 1; i >= 0; i-- {
		if lease := v.folders[i].Lease; lease != 0 {
			return lease
		}
	}
	return 0
}

// Node is a key or a directory, in the form that it has on the wire.
type Node struct {
	Key        string           `json:"key,omitempty"`
	Value      *string          `json:"value,omitempty"`
	Dir        bool             `json:"dir,omitempty"`
	Expiration *time.Time       `json:"expiration,omitempty"`
	TTL        int64            `json:"ttl,omitempty"`
	Nodes      []*Node          `json:"nodes,omitempty"`
	Modified   cluster.Revision `json:"modifiedIndex,omitempty"`
	Created    cluster.Revision `json:"createdIndex,omitempty"`
}

// Answer is the answer to a request, in the form that it has on the wire.
type Answer struct {
	Action string `json:"action"`
	Node   *Node  `json:"node,omitempty"`
	Prev   *Node  `json:"prevNode,omitempty"`
}

// Created reports whether something is there now that was not.
func (a Answer) Created() bool {
	return a.Action == "create" || a.Action == "set" && a.Prev == nil
}

// fileNode is a key.
func (v View) fileNode(item keyspace.Item) *Node {
	value := string(item.Value)
	n := &Node{Key: strings.TrimPrefix(item.Key, keyspace.Keys), Value: &value, Created: item.Created, Modified: item.Changed}
	return v.timed(n, item.Lease)
}

// dirNode is a directory, by its record if it has one.
func (v View) dirNode(key string, record *keyspace.Item) *Node {
	n := &Node{Key: key, Dir: true}
	if record == nil {
		return n
	}
	n.Created, n.Modified = record.Created, record.Changed
	return v.timed(n, record.Lease)
}

// timed says how long a node lasts.
func (v View) timed(n *Node, lease keyspace.Lease) *Node {
	state, lasts := v.Leases[lease]
	if !lasts {
		return n
	}
	return v.lasting(n, state.Left)
}

func (v View) lasting(n *Node, left time.Duration) *Node {
	at := v.Now.Add(left).UTC()
	n.Expiration, n.TTL = &at, int64((left+time.Second-1)/time.Second)
	return n
}

// Show answers a read.
func (v View) Show(r Request) (Answer, *Error) {
	if r.Key != "/" && !v.isDir(r.Key) {
		if v.self == nil {
			return Answer{}, v.missing(r.Key).at(v.Revision)
		}
		return Answer{Action: "get", Node: v.fileNode(*v.self)}, nil
	}
	root := v.dirNode(r.Key, v.folder)
	t := tree{view: v, root: root, recursive: r.Recursive, dirs: map[string]*Node{r.Key: root}}
	for i, item := range v.dirs {
		t.dir(strings.TrimPrefix(item.Key, keyspace.Folders), &v.dirs[i])
	}
	for _, item := range v.keys {
		t.file(item)
	}
	t.sort(root)
	if r.Key == "/" {
		root.Key = ""
	}
	return Answer{Action: "get", Node: root}, nil
}
