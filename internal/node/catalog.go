package node

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api"
	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// catalogEvery is the least time between two writes of the catalog to the disk.
const catalogEvery = 5 * time.Second

// catalogCopy is a worker's copy of what services there are. It is on the disk, too, so
// that the node can say after a boot what it knew, even if no server answers.
type catalogCopy struct {
	disk    disk
	servers *client.Client
	copy    *api.Copy
	follow  *loop.Loop
	save    *loop.Loop
	pace    loop.Pace
}

func (d *Daemon) newCatalog(servers *client.Client) *catalogCopy {
	c := &catalogCopy{disk: d.disk, servers: servers, copy: api.NewCopy(d.id), pace: loop.Pace{Every: catalogEvery}}
	c.follow = loop.New("catalog", d.deps.Log, c.listen)
	c.save = loop.New("save catalog", d.deps.Log, c.keep)
	var saved api.Saved
	_, err := c.disk.load(catalogFile, &saved)
	if err == nil {
		err = c.copy.Restore(saved)
	}
	if err != nil {
		d.deps.Log.Warn("what was known of services is lost", "err", err)
	}
	return c
}

const catalogFile = "catalog.json"

// run follows the servers until ctx ends.
func (c *catalogCopy) run(ctx context.Context) error {
	defer c.copy.End()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.follow.Run(ctx) })
	group.Go(func() error { return c.save.Run(ctx) })
	err := group.Wait()
	_ = c.write() // the next daemon hears of it anew
	return err
}

// listen follows one server until its stream ends; the loop then asks the next one
// that answers.
func (c *catalogCopy) listen(ctx context.Context) (time.Duration, error) {
	err := c.servers.FollowServices(ctx, client.ServicesQuery{After: c.copy.Cursor(), Fresh: true}, func(m wire.Services) error {
		changed, err := c.copy.Take(m, time.Now())
		if changed {
			c.save.Wake()
		}
		return err
	})
	if err == nil {
		err = cluster.Errorf(cluster.Unavailable, "the server ended the stream of services")
	}
	return loop.Never, err
}

// keep writes what is known to the disk.
func (c *catalogCopy) keep(ctx context.Context) (time.Duration, error) {
	if err := c.pace.Wait(ctx); err != nil {
		return 0, err
	}
	return loop.Never, c.write()
}

func (c *catalogCopy) write() error {
	known := c.copy.Saved()
	if known.Heard.IsZero() {
		return nil
	}
	return c.disk.save(catalogFile, known)
}
