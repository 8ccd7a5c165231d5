// Package node assembles the daemon of a node: it gets the node into a
// cluster, runs the agent on every node and the control plane on servers, and
// changes between the two when the cluster asks for it.
//
// It decides nothing about units. Its order of starting and stopping, with the
// reasons, stands in run.go; how a cluster comes into being in forming.go.
package node

import (
	"log/slog"
	"net/http"
	"os/user"
	"sync"
	"sync/atomic"

	"argosy/internal/agent"
	"argosy/internal/api"
	"argosy/internal/cluster"
	"argosy/internal/systemd"
	"argosy/internal/terminal"
)

// Deps are what a daemon works with.
type Deps struct {
	Manager systemd.Manager
	Journal systemd.Journal
	Log     *slog.Logger
	// Ready is called once the API answers on the unix socket.
	Ready func()
	// Version is the program's, for listings.
	Version string
	// Group finds a group of this machine: user.LookupGroup.
	Group func(name string) (*user.Group, error)
}

// Daemon is the daemon of one node. Make it with New; Run it once.
type Daemon struct {
	cfg      Config
	deps     Deps
	disk     disk
	services services
	id       cluster.NodeID
	// terminals stay through a change of role, and so does their limit.
	terminals *api.Terminals

	// local answers on the unix sockets, remote on TCP. What they answer with
	// changes when the node joins, leaves, or becomes a server; the listeners
	// stay.
	local, remote handlerSwitch
	// loopback answers at the addresses of the key space.
	loopback handlerSwitch

	// forming is held while a cluster is formed, joined or left, so that two
	// requests at once cannot both succeed.
	forming sync.Mutex
	// changed is signalled when the node has got an identity, parting when it
	// is to give it up.
	changed, parting chan struct{}

	mu      sync.Mutex    // guards cfg.Labels, too: the rest of cfg stays
	waiting string        // what an unformed node waits for
	parted  chan struct{} // closed when the parting that somebody waits for is done
	agent   *agent.Agent  // the last that worked here
}

// New makes a daemon from a configuration that was checked.
func New(cfg Config, deps Deps) (*Daemon, error) {
	id, err := machineID()
	if err != nil {
		return nil, err
	}
	if !cfg.Address.IsValid() {
		if cfg.Address, err = ownAddress(); err != nil {
			return nil, err
		}
	}
	return &Daemon{
		cfg: cfg, deps: deps, id: id,
		disk:      disk{cfg.Dir},
		services:  services{deps.Manager},
		terminals: api.NewTerminals(id, terminal.NewHost(deps.Manager, DaemonService), deps.Log),
		changed:   make(chan struct{}, 1),
		parting:   make(chan struct{}, 1),
	}, nil
}

// signalChanged says that the node has got an identity.
func (d *Daemon) signalChanged() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// handlerSwitch is a handler that can be replaced while requests are served.
type handlerSwitch struct{ current atomic.Pointer[http.Handler] }

func (s *handlerSwitch) set(h http.Handler) { s.current.Store(&h) }

// clear answers that the daemon is starting until another handler is set.
func (s *handlerSwitch) clear() { s.current.Store(nil) }

func (s *handlerSwitch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := s.current.Load()
	if h == nil {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	(*h).ServeHTTP(w, r)
}
