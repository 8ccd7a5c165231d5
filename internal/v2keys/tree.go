package v2keys

import (
	"path"
	"slices"
	"strings"

	"argosy/internal/keyspace"
)

// tree builds what a directory holds from the keys below it.
type tree struct {
	view      View
	root      *Node
	recursive bool
	dirs      map[string]*Node
}

// shown reports whether a key below the root is one of version 2's, and none that is
// hidden: a part that begins with an underscore hides what it names.
func (t *tree) shown(key string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(key, below(t.root.Key)), "/") {
		if part == "" || part[0] == '_' {
			return false
		}
	}
	return true
}

// in reports whether something is listed: only what lies in the root itself, if the
// listing is not recursive.
func (t *tree) in(key string) bool { return t.recursive || path.Dir(key) == t.root.Key }

// dir adds a directory, and those over it that are only known by what is below.
func (t *tree) dir(key string, record *keyspace.Item) *Node {
	if n, known := t.dirs[key]; known {
		return n
	}
	if !t.shown(key) {
		return nil
	}
	parent := t.dir(path.Dir(key), nil)
	n := t.view.dirNode(key, record)
	t.dirs[key] = n
	if t.in(key) {
		parent.Nodes = append(parent.Nodes, n)
	}
	return n
}

// file adds a key.
func (t *tree) file(item keyspace.Item) {
	key := strings.TrimPrefix(item.Key, keyspace.Keys)
	if !t.shown(key) {
		return
	}
	parent := t.dir(path.Dir(key), nil)
	if t.in(key) {
		parent.Nodes = append(parent.Nodes, t.view.fileNode(item))
	}
}

// sort sorts what each directory holds. A key with a value that is a directory, too,
// is shown as that.
func (t *tree) sort(n *Node) {
	slices.SortFunc(n.Nodes, func(a, b *Node) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 || a.Dir == b.Dir {
			return c
		}
		if a.Dir {
			return -1
		}
		return 1
	})
	n.Nodes = slices.CompactFunc(n.Nodes, func(a, b *Node) bool { return a.Key == b.Key })
	for _, child := range n.Nodes {
		t.sort(child)
	}
}
