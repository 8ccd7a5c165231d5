package node

import (
	"context"
	"errors"
	"time"

	"argosy/internal/agent"
	"argosy/internal/api/client"
	"argosy/internal/cluster"
	"argosy/internal/pki"
)

// Parting from a cluster: because this node leaves it, because it was removed,
// or because an administrator makes it forget. In all three its units stop and
// its state goes; what differs is who is told.

// errParted ends the work of a node whose parting was asked for.
var errParted = errors.New("this node parts from its cluster")

// partMax is how long leaving waits for the cluster to do its part.
const partMax = 30 * time.Second

// uplink is the agent's way to the servers; by it a node that was removed learns
// of it.
type uplink struct {
	*client.NodeClient
	removed chan struct{} // holds a value when the cluster has removed this node
}

func (d *Daemon) uplink(servers *client.Client) *uplink {
	return &uplink{servers.WithNode(d.id), make(chan struct{}, 1)}
}

// Renew renews the session.
func (u *uplink) Renew(ctx context.Context, session cluster.Session) (cluster.Session, error) {
	answer, err := u.NodeClient.Renew(ctx, session)
	if cluster.KindOf(err) == cluster.NotFound {
		select {
		case u.removed <- struct{}{}:
		default:
		}
	}
	return answer, err
}

// waitForParting ends with errParted when the node is to part.
func (d *Daemon) waitForParting(ctx context.Context, u *uplink) error {
	select {
	case <-u.removed:
		d.deps.Log.Warn("this node was removed from the cluster: stopping its units and forgetting the cluster")
		return errParted
	case <-d.parting:
		return errParted
	case <-ctx.Done():
		return ctx.Err()
	}
}

// part stops every unit and forgets the cluster.
func (d *Daemon) part(ctx context.Context, node *agent.Agent) error {
	if err := node.Leave(ctx); err != nil {
		return err // the loop comes back here: units must be gone before the identity is
	}
	if err := d.forget(ctx); err != nil {
		return err
	}
	d.signalParted()
	return nil
}

// forget stops etcd and removes everything that makes the node a node.
func (d *Daemon) forget(ctx context.Context) error {
	if err := errors.Join(d.services.stop(ctx, EtcdService), d.endNames(ctx)); err != nil {
		return err
	}
	d.deps.Log.Info("the cluster is forgotten")
	return d.disk.drop()
}

// Leave takes this node out of its cluster: the others take over its units and
// its vote first.
func (d *Daemon) Leave(ctx context.Context) error {
	keeper, err := pki.Load(d.disk.identity())
	if err != nil {
		return err
	}
	servers := client.New(client.Config{Addresses: d.serverAddresses(), TLS: keeper.ClientTLS()})
	defer servers.Close()
	if err := servers.RemoveNode(ctx, d.id); err != nil && cluster.KindOf(err) != cluster.NotFound {
		return err
	}
	return d.Reset(ctx)
}

// Reset makes this node forget its cluster without asking it. Its units stop.
// On a node without a cluster it clears what a half-done attempt left.
func (d *Daemon) Reset(ctx context.Context) error {
	if !pki.Exists(d.disk.identity()) {
		d.forming.Lock()
		defer d.forming.Unlock()
		return d.forget(ctx)
	}
	parted := d.nextParting()
	select {
	case d.parting <- struct{}{}:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, partMax)
	defer cancel()
	select {
	case <-parted:
		return nil
	case <-ctx.Done():
		return cluster.Errorf(cluster.Unavailable, "the node is still stopping its units").WithHint("see: journalctl -u argosy")
	}
}

// nextParting returns a channel that is closed when the node has parted.
func (d *Daemon) nextParting() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parted == nil {
		d.parted = make(chan struct{})
	}
	return d.parted
}

func (d *Daemon) signalParted() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parted != nil {
		close(d.parted)
		d.parted = nil
	}
}
