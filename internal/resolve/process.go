package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/cluster"
	"argosy/internal/hostdns"
	"argosy/internal/loop"
	"argosy/internal/wholefile"
)

// Port is where names are asked for.
const Port = 53

// OwnAddress is where every node answers, for itself and its containers alone. It is the
// same everywhere, so that it can stand in images and files.
func OwnAddress() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 53, 53}) }

// Config says what a process answers, and where.
type Config struct {
	Domain string
	Listen []netip.AddrPort
	Own    netip.Addr // the node's address, whether names are answered there or not
	// Refuse has names of others refused. Else they are asked of Upstreams; of those
	// that the host asks, if these say nothing of all names.
	Refuse    bool
	Upstreams Upstreams
	// Copy and State are files: what is kept over a restart, and what others may know.
	Copy, State string
	// Hook is where the host is to ask, and what it is to search; none if the host's own
	// ways are to stay as they are.
	Hook *hostdns.Wanted
}

// Deps are what it works with.
type Deps struct {
	Source source
	Host   hostdns.Host
	// Address gives this host the address that only it has, and RemoveAddress takes it.
	Address, RemoveAddress func() error
	Log                    *slog.Logger
	Ready                  func() // names are answered and the host asks, or it is known why not
}

// State is what a process says of itself, for the node's daemon.
type State struct {
	Answers  []netip.AddrPort `json:"answers"` // where names are answered
	Problems []string         `json:"problems,omitempty"`
	Age      float64          `json:"age"` // of the catalog, in seconds; 0: it is fresh; -1: none was ever heard
	Services int              `json:"services"`
	Counts   Counts           `json:"counts"`
}

// Times of what is looked at again and again.
const (
	hostEvery  = 5 * time.Second // what somebody changed on the host is noticed
	stateEvery = 2 * time.Second
	probeEvery = time.Minute
)

// process is all of it.
type process struct {
	cfg       Config
	deps      Deps
	server    *Server
	forward   *Forwarder // nil if names of others are refused
	follower  *follower
	listeners []*listener
	written   string // of the state
	ready     func()

	mu     sync.Mutex
	hooks  []string // what is wrong with the host
	asked  Upstreams
	probed time.Time
}

// Run answers until ctx ends, and then takes back what it changed on the host.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	return newProcess(cfg, deps).run(ctx)
}

func (p *process) run(ctx context.Context) error {
	deps := p.deps
	if err := p.follower.restore(); err != nil {
		deps.Log.Warn("what was known of names is lost", "err", err)
	}
	if err := deps.Address(); err != nil {
		p.complain(err) // the other address may do
	}
	group, running := errgroup.WithContext(ctx)
	var opening sync.WaitGroup
	for _, l := range p.listeners {
		opening.Add(1)
		l.opened = sync.OnceFunc(opening.Done)
		group.Go(func() error {
			return loop.New("names at "+l.address.String(), deps.Log, func(ctx context.Context) (time.Duration, error) {
				again, err := l.step(ctx)
				l.opened() // or it is known why not
				return again, err
			}).Run(running)
		})
	}
	group.Go(func() error { return p.follower.run(running) })
	group.Go(func() error { return loop.New("state", deps.Log, p.tell).Run(running) })
	group.Go(func() error {
		// Not before somebody answers there.
		opening.Wait()
		return loop.New("host", deps.Log, p.tend).Run(running)
	})
	err := group.Wait()
	if err := p.end(); err != nil {
		deps.Log.Error("not everything was taken back", "err", err)
	}
	return err
}

func newProcess(cfg Config, deps Deps) *process {
	p := &process{cfg: cfg, deps: deps, ready: sync.OnceFunc(deps.Ready)}
	if !cfg.Refuse {
		p.forward = NewForwarder()
		p.forward.SetUpstreams(cfg.Upstreams)
	}
	own := []netip.Addr{cfg.Own}
	for _, at := range cfg.Listen {
		own = append(own, at.Addr())
	}
	p.server = NewServer(cfg.Domain, p.forward, own)
	p.follower = newFollower(p.server, deps.Source, cfg.Domain, cfg.Copy, deps.Log)
	for _, at := range cfg.Listen {
		p.listeners = append(p.listeners, &listener{server: p.server, address: at})
	}
	return p
}

// end takes back what was changed on the host. The context is over by then.
func (p *process) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), endMax)
	defer cancel()
	return errors.Join(p.deps.Host.Unhook(ctx), p.deps.RemoveAddress(), removeState(p.cfg.State))
}

// endMax is how long the end may take: resolved may be told.
const endMax = 10 * time.Second

// tend keeps the host as it is to be, and learns whom it asks.
func (p *process) tend(ctx context.Context) (time.Duration, error) {
	err := p.deps.Address()
	if p.cfg.Hook != nil && p.answersAt(p.cfg.Hook.Server) {
		err = errors.Join(err, p.deps.Host.Hook(ctx, *p.cfg.Hook))
	}
	p.complain(err)
	p.ready()
	if p.forward != nil {
		p.learn(ctx)
	}
	return hostEvery, nil // it is tried again all the same, and the state says what is wrong
}

// answersAt reports whether anybody answers at an address of ours: who does not is not to
// be asked.
func (p *process) answersAt(a netip.Addr) bool {
	return slices.ContainsFunc(p.listeners, func(l *listener) bool {
		_, bound := l.state()
		return bound.Addr().Unmap() == a
	})
}

// learn finds out whom to ask for names of others, and now and then whether one of them
// asks us.
func (p *process) learn(ctx context.Context) {
	u := p.upstreams()
	if !sameUpstreams(u, p.asked) {
		p.asked, p.probed = u, time.Time{}
		p.forward.SetUpstreams(u)
	}
	if time.Since(p.probed) >= probeEvery {
		p.forward.Probe(ctx)
		p.probed = time.Now()
	}
}

func (p *process) upstreams() Upstreams {
	u := Upstreams{}
	for domain, servers := range p.cfg.Upstreams {
		u[domain] = servers
	}
	if _, said := u[""]; !said {
		for _, a := range p.deps.Host.Upstreams(p.server.own) {
			u[""] = append(u[""], netip.AddrPortFrom(a, Port))
		}
	}
	return u
}

func sameUpstreams(a, b Upstreams) bool {
	same := len(a) == len(b)
	for domain, servers := range a {
		same = same && slices.Equal(servers, b[domain])
	}
	return same
}

// complain notes what is wrong with the host.
func (p *process) complain(err error) {
	var problems []string
	if err != nil {
		text := err.Error()
		if hint := cluster.HintOf(err); hint != "" {
			text += " (" + hint + ")"
		}
		problems = []string{text}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && !slices.Equal(problems, p.hooks) {
		p.deps.Log.Warn("this machine is not as it is to be", "err", err)
	}
	p.hooks = problems
}

// state is what there is to say.
func (p *process) state() State {
	p.mu.Lock()
	s := State{Problems: slices.Clone(p.hooks), Counts: p.server.Counts(), Age: -1}
	p.mu.Unlock()
	for _, l := range p.listeners {
		problem, bound := l.state()
		if problem != "" {
			s.Problems = append(s.Problems, problem)
		} else if bound.IsValid() {
			s.Answers = append(s.Answers, bound)
		}
	}
	if p.forward != nil {
		for _, server := range p.forward.Looped() {
			s.Problems = append(s.Problems, fmt.Sprintf("%s is not asked for names: it asks this node", server))
		}
	}
	if age, heard := p.follower.age(); heard {
		s.Age = 0
		if age > staleAfter { // younger than that it changes all the time, and says nothing
			s.Age = age.Round(time.Second).Seconds()
		}
	}
	if v := p.server.view.Load(); v != nil {
		s.Services = v.zone.Services()
	}
	return s
}

// tell writes the state down, if it is another.
func (p *process) tell(context.Context) (time.Duration, error) {
	text, err := json.Marshal(p.state())
	if err != nil || string(text) == p.written {
		return stateEvery, err
	}
	if err := wholefile.WriteSoon(p.cfg.State, text, 0o640); err != nil {
		return stateEvery, fmt.Errorf("state: %w", err)
	}
	p.written = string(text)
	return stateEvery, nil
}

// StatePath is where a process says what it does, below a folder under /run.
func StatePath(folder string) string { return filepath.Join(folder, "resolve.json") }

// CopyPath is where it keeps what it knows, below a folder that lasts.
func CopyPath(folder string) string { return filepath.Join(folder, "names.json") }
