// Package specs keeps what units ask of placing read. To read a text costs more
// than to place its unit, and texts change seldom.
package specs

import (
	"sync"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

// Cache is what units ask of placing, by name and text. The zero Cache is ready
// for use; its methods may be called concurrently.
type Cache struct {
	mu    sync.Mutex
	known map[cluster.UnitName]entry
}

type entry struct {
	hash cluster.Hash
	spec *place.Spec
	err  error
}

// Of returns what place.ParseSpec says of a unit. Nobody may change it.
func (c *Cache) Of(u cluster.Unit) (*place.Spec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, found := c.known[u.Name]; found && e.hash == u.Hash && u.Hash != "" {
		return e.spec, e.err
	}
	spec, err := place.ParseSpec(u)
	if c.known == nil {
		c.known = map[cluster.UnitName]entry{}
	}
	c.known[u.Name] = entry{u.Hash, spec, err}
	return spec, err
}

// Prune forgets units that are gone, now and then; units is how many there are.
func (c *Cache) Prune(units int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) > 2*units+100 {
		clear(c.known)
	}
}
