// Package specs keeps what units ask of placing read. To read a text costs more
// than to place its unit, and texts change seldom.
package specs

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

// Cache is what units ask of placing, by name and text. The zero Cache is ready
// for use; its methods may be called concurrently.
type Cache struct {
	mu    sync.Mutex
	known map[cluster.UnitName]*entry
	last  *entry // that was asked for
	// equal are the specs by what they say: units that ask for the same, which
	// most do, share one.
	equal map[[sha256.Size]byte]*place.Spec
}

type entry struct {
	name cluster.UnitName
	hash cluster.Hash
	spec *place.Spec
	err  error
	// next is what was asked for after it when it was last asked for. All units
	// are asked for again and again in the same order, and to follow a pointer
	// is several times as fast as to look up a name.
	next *entry
}

func (e *entry) is(u *cluster.Unit) bool { return e.name == u.Name && e.hash == u.Hash && u.Hash != "" }

// Of returns what place.ParseSpec says of a unit. Nobody may change it.
func (c *Cache) Of(u cluster.Unit) (*place.Spec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || c.last.next == nil || !c.last.next.is(&u) {
		found := c.find(&u)
		if c.last != nil {
			c.last.next = found
		}
		c.last = found
	} else {
		c.last = c.last.next
	}
	return c.last.spec, c.last.err
}

// find looks a unit up, or reads it.
func (c *Cache) find(u *cluster.Unit) *entry {
	if e := c.known[u.Name]; e != nil && e.is(u) {
		return e
	}
	spec, err := place.ParseSpec(*u)
	if c.known == nil {
		c.known, c.equal = map[cluster.UnitName]*entry{}, map[[sha256.Size]byte]*place.Spec{}
	}
	if err == nil {
		spec = c.share(spec)
	}
	e := &entry{name: u.Name, hash: u.Hash, spec: spec, err: err}
	c.known[u.Name] = e
	return e
}

// share returns the one of all equal specs that is kept.
func (c *Cache) share(spec *place.Spec) *place.Spec {
	key := sha256.Sum256(fmt.Appendf(nil, "%#v", *spec))
	if have := c.equal[key]; have != nil {
		return have
	}
	c.equal[key] = spec
	return spec
}

// Prune forgets units that are gone, now and then; units is how many there are.
func (c *Cache) Prune(units int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := 2*units + 100; len(c.known) > most || len(c.equal) > most {
		clear(c.known)
		clear(c.equal)
		c.last = nil
	}
}
