package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/wholefile"
	"argosy/internal/zone"
)

// Times of the copy.
const (
	saveEvery  = 5 * time.Second  // at least between two writes to the disk
	staleAfter = 30 * time.Second // answers say that they are old; the daemon shows life every 5 s
)

// source is who tells the catalog: the node's daemon.
type source interface {
	FollowServices(ctx context.Context, q client.ServicesQuery, each func(wire.Services) error) error
}

// follower keeps a copy of the catalog, as the daemon tells it, and the server's zone
// made of it. The copy is on the disk, too, so that the process answers as soon as it
// runs, whoever is away. Its methods may be called concurrently.
type follower struct {
	server *Server
	source source
	domain string
	path   string
	log    *slog.Logger
	save   *loop.Loop
	pace   loop.Pace
	now    func() time.Time

	mu     sync.Mutex
	copy   savedCopy
	zone   *zone.Zone
	cursor string
	behind time.Duration // how old what is told was when the teller last said so
}

// savedCopy is the copy as it is kept on disk.
type savedCopy struct {
	catalog.Catalog
	Revision cluster.Revision `json:"revision"`
	Heard    time.Time        `json:"heard"` // when it was known to be true
}

func newFollower(server *Server, source source, domain, path string, log *slog.Logger) *follower {
	f := &follower{server: server, source: source, domain: domain, path: path, log: log, pace: loop.Pace{Every: saveEvery}, now: time.Now}
	f.save = loop.New("save the catalog", log, func(ctx context.Context) (time.Duration, error) {
		if err := f.pace.Wait(ctx); err != nil {
			return 0, err
		}
		return loop.Never, f.write()
	})
	return f
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return loop.New("catalog", f.log, f.listen).Run(ctx) })
	group.Go(func() error { return f.save.Run(ctx) })
	err := group.Wait()
	if err := f.write(); err != nil {
		f.log.Warn("what is known of names was not kept", "err", err)
	}
	return err
}

// listen follows the daemon until its stream ends; the loop then asks it again.
func (f *follower) listen(ctx context.Context) (time.Duration, error) {
	f.mu.Lock()
	after := f.cursor
	f.mu.Unlock()
	err := f.source.FollowServices(ctx, client.ServicesQuery{After: after}, f.take)
	if err == nil {
		err = cluster.Errorf(cluster.Unavailable, "the daemon ended the stream of services")
	}
	return loop.Never, err
}

// take takes in one message.
func (f *follower) take(m wire.Services) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursor = m.Cursor
	if m.Alive() { // only these say how old it all is
		f.behind = time.Duration(m.Age * float64(time.Second))
	}
	f.copy.Heard = f.now().Add(-f.behind)
	f.server.SetStale(f.behind > staleAfter)
	if m.Alive() {
		return nil
	}
	f.set(savedCopy{f.copy.Told(m), m.Revision, f.copy.Heard})
	f.save.Wake()
	return nil
}

func (f *follower) set(c savedCopy) {
	f.copy = c
	f.zone = zone.New(f.domain, c.Catalog, c.Revision, f.zone)
	f.server.SetZone(f.zone)
}

// age is how long ago the copy was known to be true; ok is false if nothing was ever
// heard. Once it is too much, answers say so.
func (f *follower) age() (age time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.copy.Heard.IsZero() {
		return 0, false
	}
	age = f.now().Sub(f.copy.Heard)
	f.server.SetStale(age > staleAfter)
	return age, true
}

// restore begins with what was kept.
func (f *follower) restore() error {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var c savedCopy
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s is damaged: %w", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(c)
	return nil
}

func (f *follower) write() error {
	f.mu.Lock()
	c := f.copy
	f.mu.Unlock()
	if c.Heard.IsZero() {
		return nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return wholefile.WriteSoon(f.path, text, 0o600)
}

// removeState removes a file that says how things are, when they are so no more.
func removeState(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
