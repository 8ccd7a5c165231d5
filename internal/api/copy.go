package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// Copy is a node's own copy of the catalog, as servers told it. It is served as a
// server serves the original; while no server answers it grows old and says so. Its
// methods may be called concurrently.
type Copy struct {
	feed *feed

	mu     sync.Mutex
	cursor string
	heard  time.Time     // when it was known to be true
	behind time.Duration // how old what is told was when the teller last said so
	told   bool          // by a server, to this daemon
	ended  chan struct{}
}

// NewCopy makes a copy in which there is nothing yet.
func NewCopy(self cluster.NodeID) *Copy {
	return &Copy{feed: newFeed(feedID(self)), ended: make(chan struct{})}
}

// feedID names the feed of this run of a node's daemon.
func feedID(self cluster.NodeID) string {
	return fmt.Sprintf("%s-%x", self.Short(), time.Now().UnixNano())
}

// Saved is a copy as it is kept on disk.
type Saved struct {
	catalog.Catalog
	Revision cluster.Revision `json:"revision"`
	Heard    time.Time        `json:"heard"`
}

// Saved returns what is to be kept.
func (c *Copy) Saved() Saved {
	c.mu.Lock()
	defer c.mu.Unlock()
	whole := c.feed.message()
	return Saved{catalog.Catalog{}.Told(whole), whole.Revision, c.heard}
}

// Restore begins with what was kept. It passes for old until a server tells the same.
func (c *Copy) Restore(s Saved) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = s.Heard
	return c.feed.put(s.Revision, s.Catalog)
}

// Cursor is where to go on with the stream of the server that was followed last.
func (c *Copy) Cursor() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursor
}

// Take takes in a message of a server's stream, and reports whether the catalog
// changed.
func (c *Copy) Take(m wire.Services, now time.Time) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor, c.told = m.Cursor, true
	changed = !m.Alive()
	switch {
	case !changed: // a sign of life; only these say how old it all is
		c.behind = time.Duration(m.Age * float64(time.Second))
		c.feed.confirm(m.Revision)
	default:
		err = c.feed.put(m.Revision, catalog.Catalog{}.Told(c.feed.message()).Told(m))
	}
	c.heard = now.Add(-c.behind)
	return changed, err
}

// End ends all streams of the copy: nobody keeps it up to date any more.
func (c *Copy) End() { close(c.ended) }

// ServeHTTP serves the catalog to who is on the node.
func (c *Copy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.Saved().Heard.IsZero() {
		writeProblem(w, cluster.Errorf(cluster.Unavailable, "this node has not heard of any service yet").WithHint("argosy status shows whether servers answer"))
		return
	}
	serveServices(w, r, c, c.feed)
}

func (c *Copy) look(bool) error { return nil }

func (c *Copy) wait(ctx context.Context, number int64, pace *loop.Pace) error {
	quiet, cancel := context.WithTimeout(ctx, streamAlive)
	defer cancel()
	select {
	case <-c.ended:
		return cluster.Errorf(cluster.Unavailable, "this node's copy is kept no longer")
	case <-c.feed.past(number):
	case <-quiet.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return pace.Wait(ctx)
}

// age is more than that of what is fresh as long as only an earlier daemon was told, by
// a clock that may have been another.
func (c *Copy) age() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := time.Since(c.heard)
	if !c.told {
		age = max(age, staleAfter+time.Second)
	}
	return age
}

func (c *Copy) quorum(context.Context) bool { return true } // who has none tells nothing, and then the copy is old

func (c *Copy) cutOff() error {
	if age := c.age(); age > staleAfter {
		return cluster.Errorf(cluster.Unavailable, "this node has heard nothing of services for %s", age.Round(time.Second))
	}
	return nil
}
