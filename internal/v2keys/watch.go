package v2keys

import (
	"path"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// Watched is what a request that waits listens to: the key, and what is below it if
// that is wanted. What happens to directories themselves is not told, but what happens
// to the keys in them is.
func (r Request) Watched() keyspace.Span {
	if !r.Recursive {
		return keyspace.One(leaf(r.Key))
	}
	if r.Key == "/" {
		return keyspace.Prefix(leaf("/"))
	}
	return keyspace.Span{Key: leaf(r.Key), End: keyspace.Prefix(leaf(below(r.Key))).End}
}

// After is the revision after which a request that waits is told; 0: now.
func (r Request) After() cluster.Revision {
	if r.WaitIndex == 0 {
		return 0
	}
	return cluster.Revision(min(r.WaitIndex, 1<<62)) - 1 //nolint:gosec // bounded
}

// tells reports whether a request that waits is told of a key.
func (r Request) tells(key string) bool {
	key, ok := strings.CutPrefix(key, keyspace.Keys)
	if !ok || key == r.Key {
		return ok
	}
	rest, ok := strings.CutPrefix(key, below(r.Key))
	if !ok {
		return false // "/a-b" lies between "/a" and what is below it
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part[0] == '_' {
			return false
		}
	}
	return true
}

// Told is what a request that waits is told of a batch, one answer for each revision.
// gone reports whether a lease has ended: what was under it has expired.
//
// A revision in which several keys went is that in which a directory did: version 2
// gives each of its events an index, so a reader goes on behind this one and would
// never hear of the others. Of several keys that a transaction of version 3 wrote it
// is told the last, for the same reason.
func (r Request) Told(batch keyspace.Batch, gone func(keyspace.Lease) bool) []Answer {
	var told []Answer
	var last cluster.Revision
	for _, e := range batch.Events {
		if !r.tells(e.Key) {
			continue
		}
		answer := answerTo(e, gone)
		if e.Changed == last {
			told[len(told)-1] = merged(r, told[len(told)-1], answer)
			continue
		}
		last = e.Changed
		told = append(told, answer)
	}
	return told
}

func answerTo(e keyspace.Event, gone func(keyspace.Lease) bool) Answer {
	answer := Answer{Action: "set", Node: (View{}).fileNode(e.Item)}
	if e.Before != nil {
		answer.Prev = (View{}).fileNode(*e.Before)
	}
	if !e.Deleted {
		return answer
	}
	answer.Action, answer.Node.Value = "delete", nil
	if e.Before != nil {
		answer.Node.Created = e.Before.Created
		if e.Before.Lease != 0 && gone(e.Before.Lease) {
			answer.Action = "expire"
		}
	}
	return answer
}

// merged makes one answer of two of the same revision.
func merged(r Request, a, b Answer) Answer {
	if a.Action == "set" || b.Action == "set" {
		return b
	}
	dir := a.Node.Key
	for dir != r.Key && dir != "/" && !strings.HasPrefix(b.Node.Key, below(dir)) {
		dir = path.Dir(dir)
	}
	return Answer{
		Action: a.Action,
		Node:   &Node{Key: dir, Dir: true, Modified: a.Node.Modified, Created: a.Node.Created},
		Prev:   &Node{Key: dir, Dir: true, Modified: a.Node.Created, Created: a.Node.Created},
	}
}
