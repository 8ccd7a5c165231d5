package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/hostdns"
	"argosy/internal/hostnet"
	"argosy/internal/loop"
	"argosy/internal/metrics"
	"argosy/internal/resolve"
	"argosy/internal/zone"
)

// Names are answered by a process of its own, argosy-resolve.service. The daemon starts
// it on a node of a cluster, tells it the catalog as it tells everybody, and says in the
// node's problems what is wrong with it.

// defaultDomain is what the names of a cluster end in. "internal" is set aside for such.
const defaultDomain = "argosy.internal"

// runFolder is where processes of ours say what they do.
const runFolder = "/run/argosy"

// ResolveConfig says how names are answered.
type ResolveConfig struct {
	Domain  string            // "": nothing is said of it
	Forward resolve.Upstreams // nil: the servers that the machine asks
	Refuse  bool
	Network bool // who reaches the node's address may ask there
	Host    bool // the machine itself is to ask
}

func (c ResolveConfig) equal(d ResolveConfig) bool {
	return c.Domain == d.Domain && c.Refuse == d.Refuse && c.Network == d.Network && c.Host == d.Host && maps.EqualFunc(c.Forward, d.Forward, slices.Equal)
}

// domain is what names end in on a node of a cluster, or in one that is being formed.
func (c ResolveConfig) domain(of cluster.Cluster) string {
	return cmp.Or(of.Domain, c.Domain, defaultDomain)
}

// NamesConfig is what the process that answers names is told, on a node of this
// configuration.
func NamesConfig(cfg Config) (resolve.Config, error) {
	own := cfg.Address
	if !own.IsValid() {
		var err error
		if own, err = ownAddress(); err != nil {
			return resolve.Config{}, err
		}
	}
	var of cluster.Cluster
	if _, err := (disk{cfg.Dir}).load("cluster.json", &of); err != nil {
		return resolve.Config{}, err
	}
	domain := cfg.Resolve.domain(of)
	out := resolve.Config{
		Domain: domain, Refuse: cfg.Resolve.Refuse, Upstreams: cfg.Resolve.Forward,
		Listen: []netip.AddrPort{netip.AddrPortFrom(resolve.OwnAddress(), resolve.Port)}, Own: own,
		Copy: resolve.CopyPath(cfg.Dir), State: resolve.StatePath(runFolder),
	}
	if cfg.Resolve.Network {
		out.Listen = append(out.Listen, netip.AddrPortFrom(own, resolve.Port))
	}
	if cfg.Resolve.Host {
		out.Hook = &hostdns.Wanted{Server: resolve.OwnAddress(), Domain: domain}
	}
	return out, nil
}

// namesEvery is how often the daemon looks how names are doing.
const namesEvery = 3 * time.Second

// watchNames starts the process that answers names, and tells of its problems, until ctx
// ends. That it does not run stops nothing else.
func (d *Daemon) watchNames(ctx context.Context, problems func([]string)) error {
	problems(nil)
	if err := d.services.start(ctx, ResolveService); err != nil && ctx.Err() == nil {
		d.deps.Log.Warn("names are not answered", "err", err)
	}
	var told []string
	return loop.New("names", d.deps.Log, func(ctx context.Context) (time.Duration, error) {
		now := d.namesProblems(ctx)
		if !slices.Equal(now, told) {
			problems(now)
			told = now
		}
		return namesEvery, nil
	}).Run(ctx)
}

// namesProblems says what is wrong with the process that answers names.
func (d *Daemon) namesProblems(ctx context.Context) []string {
	units, err := d.deps.Manager.Observe(ctx, ResolveService)
	if err != nil || len(units) != 1 {
		return nil // that systemd does not answer is seen elsewhere
	}
	switch u := units[0]; {
	case u.Load == "not-found":
		return []string{fmt.Sprintf("names are not answered: there is no %s on this machine", ResolveService)}
	case u.Active != "active" && u.Active != "activating":
		return []string{fmt.Sprintf("names are not answered: %s is %s (journalctl -u %s)", ResolveService, u.Active, ResolveService)}
	}
	state, err := namesState(resolve.StatePath(runFolder))
	if err != nil {
		return nil // it has just begun
	}
	return state.Problems
}

// namesState is what the process that answers names says of itself.
func namesState(path string) (state resolve.State, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return state, err
	}
	return state, json.Unmarshal(text, &state)
}

// namesMetrics is the same in numbers, nil if it says nothing.
func namesMetrics(path string) *metrics.Names {
	state, err := namesState(path)
	if err != nil {
		return nil
	}
	c := state.Counts
	return &metrics.Names{Age: state.Age, Counts: map[string]int64{
		"queries": c.Queries, "quick": c.Quick, "forwarded": c.Forwarded, "cached": c.Cached, "refused": c.Refused, "crowded": c.Crowded, "malformed": c.Malformed,
	}}
}

// endNames stops the process that answers names, and makes sure that it has taken
// everything back, even if it was killed and could not.
func (d *Daemon) endNames(ctx context.Context) error {
	return errors.Join(
		d.services.stop(ctx, ResolveService),
		hostdns.Host{Root: "/", Manager: d.deps.Manager}.Unhook(ctx),
		hostnet.RemoveOwnAddress(resolve.OwnAddress()),
		removeFile(resolve.StatePath(runFolder)), removeFile(filepath.Join(d.cfg.Dir, "names.json")),
	)
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func setDomain(cfg *Config, value string) error {
	cfg.Resolve.Domain = strings.ToLower(strings.TrimSuffix(value, "."))
	return zone.CheckDomain(value)
}

func setYes(field func(*Config) *bool) func(*Config, string) error {
	return func(cfg *Config, value string) error {
		switch value {
		case "yes", "true", "on", "1":
			*field(cfg) = true
		case "no", "false", "off", "0":
			*field(cfg) = false
		default:
			return fmt.Errorf("%.40q is neither yes nor no", value)
		}
		return nil
	}
}

// serversMax is how many servers may be named for one domain.
const serversMax = 15

// setForward adds servers, for all names or for those of a domain.
func setForward(cfg *Config, value string) error {
	words := strings.Fields(value)
	if len(words) == 0 {
		cfg.Resolve.Forward = nil // as in unit files, an empty one takes back what was said
		return nil
	}
	domain := ""
	if _, err := parseServer(words[0]); err != nil {
		if isNumber(words[0]) {
			return err
		}
		domain = strings.ToLower(strings.Trim(words[0], "."))
		if !isForwardDomain(domain) || len(words) == 1 {
			return fmt.Errorf("%.80q is neither an address nor a domain with addresses after it", value)
		}
		words = words[1:]
	}
	for _, word := range words {
		server, err := parseServer(word)
		if err != nil {
			return err
		}
		if cfg.Resolve.Forward == nil {
			cfg.Resolve.Forward = resolve.Upstreams{}
		}
		if !slices.Contains(cfg.Resolve.Forward[domain], server) {
			cfg.Resolve.Forward[domain] = append(cfg.Resolve.Forward[domain], server)
		}
	}
	if len(cfg.Resolve.Forward[domain]) > serversMax {
		return fmt.Errorf("more than %d servers for one domain", serversMax)
	}
	return nil
}

// isForwardDomain reports whether a domain can be asked of others; one of one label can.
func isForwardDomain(domain string) bool {
	return zone.CheckDomain("x."+domain) == nil && !isNumber(domain)
}

// isNumber reports whether somebody meant an address and mistyped it.
func isNumber(s string) bool { return strings.Trim(s, "0123456789.:") == "" }

// parseServer reads an address with or without a port.
func parseServer(word string) (netip.AddrPort, error) {
	if server, err := netip.ParseAddrPort(word); err == nil && server.Port() > 0 && !server.Addr().IsUnspecified() {
		return netip.AddrPortFrom(server.Addr().Unmap(), server.Port()), nil
	}
	address, err := parseAddress(word)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(address, resolve.Port), nil
}
