package place

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// shelf holds the nodes of a tier in such an order that the best one for a unit
// is found without a look at each. Nodes that are in the same failure domains
// stand in one cell, and in a cell those of equal stock in one bin: the pooled
// filters and the rating say the same of all nodes of a bin. In a cluster of
// thousands of nodes there are dozens of bins.
type shelf struct {
	axes  []*axis // the labels whose domains make the cells
	nodes []*node
	cells []*cell
	binOf []*bin // by index of the node; nil if it is not on this shelf
	seen  int    // how many of the moves of the pass it has followed
}

// cell is the nodes that are in the same domain of every axis.
type cell struct {
	bins   []*bin // none is empty
	byWhat map[stock]*bin
}

// bin is the nodes of a cell that have equal stock.
type bin struct {
	stock
	cell  *cell
	at    int     // in the cell's bins
	nodes []*node // by turn
}

// shelf returns the shelf of a tier for units that are spread over some axes,
// as things are now.
func (p *pass) shelf(t *tier, axes []*axis) *shelf {
	at := slices.IndexFunc(t.shelves, func(s *shelf) bool { return slices.Equal(s.axes, axes) })
	if at < 0 {
		at, p.shelved = len(t.shelves), true
		t.shelves = append(t.shelves, newShelf(t.nodes, axes, len(p.nodes)))
		t.shelves[at].seen = len(p.moved)
	}
	t.shelves[at].follow(p.moved)
	return t.shelves[at]
}

func newShelf(nodes []*node, axes []*axis, all int) *shelf {
	s := &shelf{axes: axes, nodes: nodes, binOf: make([]*bin, all)}
	cells := map[string]*cell{}
	var key []byte
	for _, n := range slices.SortedFunc(slices.Values(nodes), func(a, b *node) int { return cmp.Compare(a.turn, b.turn) }) {
		key = key[:0]
		for _, a := range axes {
			key = binary.AppendVarint(key, int64(a.domainOf[n.index]))
		}
		c := cells[string(key)]
		if c == nil {
			c = &cell{byWhat: map[stock]*bin{}}
			cells[string(key)] = c
			s.cells = append(s.cells, c)
		}
		s.file(n, c)
	}
	return s
}

// follow puts the nodes that have changed since the shelf was last used where
// they belong now.
func (s *shelf) follow(moved []*node) {
	changed := moved[s.seen:]
	if len(changed) > len(s.nodes) {
		changed = s.nodes
	}
	for _, n := range changed {
		if b := s.binOf[n.index]; b != nil && b.stock != n.stock {
			b.remove(n)
			s.file(n, b.cell)
		}
	}
	s.seen = len(moved)
}

// file puts a node into the bin of a cell that it belongs to.
func (s *shelf) file(n *node, c *cell) {
	b := c.byWhat[n.stock]
	if b == nil {
		b = &bin{stock: n.stock, cell: c, at: len(c.bins)}
		c.byWhat[n.stock] = b
		c.bins = append(c.bins, b)
	}
	// The best node of a bin is taken first, so most come to the end.
	at := len(b.nodes)
	if at > 0 && b.nodes[at-1].turn > n.turn {
		at = b.find(n)
	}
	b.nodes = slices.Insert(b.nodes, at, n)
	s.binOf[n.index] = b
}

func (b *bin) find(n *node) int {
	at, _ := slices.BinarySearchFunc(b.nodes, n.turn, func(have *node, turn int) int { return cmp.Compare(have.turn, turn) })
	return at
}

// remove takes a node out of a bin, and the bin out of its cell if it was the
// last.
func (b *bin) remove(n *node) {
	if at := b.find(n); at == 0 {
		b.nodes = b.nodes[1:]
	} else {
		b.nodes = slices.Delete(b.nodes, at, at+1)
	}
	if len(b.nodes) > 0 {
		return
	}
	c := b.cell
	last := c.bins[len(c.bins)-1]
	c.bins[b.at], last.at = last, b.at
	c.bins = c.bins[:len(c.bins)-1]
	delete(c.byWhat, b.stock)
}
