package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/agent"
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

// problems are what the node reports for an operator to act on: what is wrong with its
// configuration, and with what it should listen at.
type problems struct {
	agent  *agent.Agent
	config []string

	mu    sync.Mutex
	ports map[netip.AddrPort]string
}

func newProblems(node *agent.Agent, config []string) *problems {
	p := &problems{agent: node, config: config, ports: map[netip.AddrPort]string{}}
	node.SetProblems(config)
	return p
}

// set notes what is wrong with an address; "": nothing.
func (p *problems) set(address netip.AddrPort, wrong string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ports[address] = wrong; wrong == "" {
		delete(p.ports, address)
	}
	list := slices.Clone(p.config)
	for _, text := range p.ports {
		list = append(list, text)
	}
	slices.Sort(list[len(p.config):])
	p.agent.SetProblems(list)
}

// serveKeySpace serves the key space at each of its addresses until ctx ends. One that
// another program has is a problem of the node, and tried again.
func (d *Daemon) serveKeySpace(ctx context.Context, wrong *problems) error {
	server := api.NewHTTPServer(&d.loopback, d.deps.Log)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { <-ctx.Done(); return server.Close() })
	for _, address := range d.cfg.KeySpace {
		group.Go(func() error {
			return loop.New("key space at "+address.String(), d.deps.Log, func(context.Context) (time.Duration, error) {
				listener, err := net.Listen("tcp", address.String())
				if err != nil {
					wrong.set(address, fmt.Sprintf("the key space is not served at %s: %v; is another etcd running here? ([KeySpace] Listen= in %s)", address, err, ConfigPath))
					return 0, cluster.Errorf(cluster.Unavailable, "serve the key space: %w", err)
				}
				wrong.set(address, "")
				return 0, server.Serve(listener)
			}).Run(ctx)
		})
	}
	return group.Wait()
}
