package node

import (
	"maps"
	"slices"
	"strings"

	"argosy/internal/agent"
)

// Reload takes over what may change while the daemon runs, the labels, from a
// configuration that was checked. What else differs counts from the next start of
// the daemon, and the log says so.
func (d *Daemon) Reload(cfg Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if later := d.cfg.fixed(cfg); len(later) > 0 {
		d.deps.Log.Warn("changed, but counts only after a restart of the daemon", "keys", strings.Join(later, " "))
	}
	if maps.Equal(d.cfg.Labels, cfg.Labels) {
		d.deps.Log.Info("read the configuration again", "labels", "as before")
		return
	}
	d.cfg.Labels = cfg.Labels
	if d.agent != nil {
		d.agent.SetLabels(cfg.Labels)
	}
	d.deps.Log.Info("read the configuration again", "labels", cfg.Labels)
}

// config returns the configuration as it is now.
func (d *Daemon) config() Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// works notes the agent that works for the node, with the labels of now.
func (d *Daemon) works(a *agent.Agent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.agent = a
	a.SetLabels(d.cfg.Labels)
}

// fixed returns the keys that another configuration sets otherwise, of those that
// a daemon reads once. c is one in use: its address was found if none was set.
func (c Config) fixed(next Config) []string {
	var keys []string
	for key, differs := range map[string]bool{
		"Name": next.Name != c.Name, "Address": next.Address.IsValid() && next.Address != c.Address,
		"Socket": !slices.Equal(next.Sockets, c.Sockets), "Directory": next.Dir != c.Dir, "CertificateLife": next.NodeCert != c.NodeCert,
		"Peers": !slices.Equal(next.Peers, c.Peers), "ClusterSecret": next.ClusterSecret != c.ClusterSecret,
		"[Resolve]": !next.Resolve.equal(c.Resolve),
		"Listen":    !slices.Equal(next.KeySpace, c.KeySpace),
		"[Timings]": next.Timings != c.Timings,
	} {
		if differs {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
