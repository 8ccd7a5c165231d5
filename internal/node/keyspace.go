package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/api"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// The key space of applications, as the programs of this machine find it: etcd's API
// at etcd's ports, of today and of old. A server answers itself, a worker asks servers.

func defaultKeySpace() []netip.AddrPort {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return []netip.AddrPort{netip.AddrPortFrom(local, 2379), netip.AddrPortFrom(local, 4001)}
}

func setKeySpace(cfg *Config, value string) error {
	cfg.KeySpace = nil
	words := strings.Fields(value)
	if len(words) == 1 && (words[0] == "no" || words[0] == "false" || words[0] == "off") {
		return nil
	}
	for _, word := range words {
		address, err := netip.ParseAddrPort(word)
		switch {
		case err != nil || address.Port() == 0:
			return fmt.Errorf("%.80q is no address with a port, and not \"no\"", word)
		case !address.Addr().IsLoopback():
			return fmt.Errorf("%s is not an address of this machine alone; whoever reaches the key space may write there", address)
		case slices.Contains(cfg.KeySpace, address):
			return fmt.Errorf("%s stands in the list twice", address)
		}
		cfg.KeySpace = append(cfg.KeySpace, address)
	}
	if len(cfg.KeySpace) == 0 {
		return fmt.Errorf("an address with a port is needed, or \"no\"")
	}
	return nil
}

// serveKeySpace serves the key space at each of its addresses until ctx ends. One that
// another program has is a problem of the node, and tried again.
func (d *Daemon) serveKeySpace(ctx context.Context, wrong *problems) error {
	server := api.NewHTTPServer(&d.loopback, d.deps.Log)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { <-ctx.Done(); return server.Close() })
	for _, address := range d.cfg.KeySpace {
		name := "key space at " + address.String()
		group.Go(func() error {
			return loop.New(name, d.deps.Log, func(context.Context) (time.Duration, error) {
				listener, err := net.Listen("tcp", address.String())
				if err != nil {
					wrong.set(name, fmt.Sprintf("the key space is not served at %s: %v; is another etcd running here? ([KeySpace] Listen= in %s)", address, err, ConfigPath))
					return 0, cluster.Errorf(cluster.Unavailable, "serve the key space: %w", err)
				}
				wrong.set(name)
				return 0, server.Serve(listener)
			}).Run(ctx)
		})
	}
	return group.Wait()
}
