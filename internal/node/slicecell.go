package node

import (
	"slices"
	"sync"

	"argosy/internal/cluster"
)

// sliceCell holds what the newest slice says beyond the units: whether this
// node is to be a server, and who the servers are.
type sliceCell struct {
	mu      sync.Mutex
	slice   cluster.Slice
	changed func()
}

// set takes in a new slice.
func (c *sliceCell) set(slice cluster.Slice) {
	c.mu.Lock()
	changed := c.changed
	c.slice = slice
	c.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// onChange has f called after each new slice.
func (c *sliceCell) onChange(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = f
}

func (c *sliceCell) member() *cluster.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slice.Member
}

func (c *sliceCell) isServer(id cluster.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.slice.ServerIDs, id)
}
