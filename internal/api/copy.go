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

	mu       sync.Mutex
	cursor   string
	revision cluster.Revision
	services []cluster.Service
	heard    time.Time // when it was known to be true
}

// NewCopy makes a copy in which there is nothing yet.
func NewCopy(self cluster.NodeID) *Copy {
	return &Copy{feed: newFeed(feedID(self))}
}

// feedID names the feed of this run of a node's daemon.
func feedID(self cluster.NodeID) string {
	return fmt.Sprintf("%s-%x", self.Short(), time.Now().UnixNano())
}

// Saved is a copy as it is kept on disk.
type Saved struct {
	Services []cluster.Service `json:"services"`
	Revision cluster.Revision  `json:"revision"`
	Heard    time.Time         `json:"heard"`
}

// Saved returns what is to be kept.
func (c *Copy) Saved() Saved {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Saved{c.services, c.revision, c.heard}
}

// Restore begins with what was kept.
func (c *Copy) Restore(s Saved) error { return c.set(s.Revision, s.Services, s.Heard) }

// Cursor is where to go on with the stream of the server that was followed last.
func (c *Copy) Cursor() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursor
}

// Take takes in a message of a server's stream, and reports whether the catalog
// changed.
func (c *Copy) Take(m wire.Services, now time.Time) (changed bool, err error) {
	if m.Stale {
		now = now.Add(-time.Duration(m.Age * float64(time.Second)))
	}
	services := m.Services
	if !m.Full {
		services = catalog.Apply(c.Saved().Services, m.Services, m.Gone)
	}
	if err := c.set(m.Revision, services, now); err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor = m.Cursor
	return m.Full || len(m.Services)+len(m.Gone) > 0, nil
}

func (c *Copy) set(revision cluster.Revision, services []cluster.Service, heard time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision, c.services, c.heard = revision, services, heard
	return c.feed.put(revision, services)
}

// ServeHTTP serves the catalog to who is on the node.
func (c *Copy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.Saved().Heard.IsZero() {
		writeProblem(w, cluster.Errorf(cluster.Unavailable, "this node has not heard of any service yet").WithHint("argosy status shows whether servers answer"))
		return
	}
	serveServices(w, r, c, c.feed)
}

func (c *Copy) look() error { return nil }

func (c *Copy) wait(ctx context.Context, number int64, pace *loop.Pace) error {
	if !await(ctx, c.feed.past(number)) {
		return ctx.Err()
	}
	return pace.Wait(ctx)
}

func (c *Copy) freshness(context.Context) (stale bool, age time.Duration) {
	age = time.Since(c.Saved().Heard)
	return age > staleAfter, age
}

func (c *Copy) cutOff() error {
	if stale, age := c.freshness(context.Background()); stale {
		return cluster.Errorf(cluster.Unavailable, "this node has heard nothing of services for %s", age.Round(time.Second))
	}
	return nil
}
