// Package hostdns drives how a host finds names: which servers it asks, and that it asks
// ours. It changes as little as it can, says in each file that it did, and puts
// everything back.
//
//	systemd-resolved   a drop-in under /run, which a boot leaves nothing of
//	/etc/resolv.conf   where resolved does not keep it: the file is put aside and ours is
//	                   in its place, with the servers of before as the second choice
//	podman             a drop-in in /etc/containers/containers.conf.d: podman reads none
//	                   under /run
package hostdns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
	"argosy/internal/unitfile"
	"argosy/internal/wholefile"
)

// Files of a host.
const (
	resolvConf     = "etc/resolv.conf"
	asideConf      = "etc/resolv.conf.before-argosy"
	uplinkConf     = "run/systemd/resolve/resolv.conf" // the servers that resolved itself asks
	resolvedDropIn = "run/systemd/resolved.conf.d/argosy.conf"
	podmanFolder   = "etc/containers"
	podmanDropIn   = "etc/containers/containers.conf.d/50-argosy.conf"
)

const resolvedService cluster.UnitName = "systemd-resolved.service"

// mark begins every file that is ours.
const mark = "# Written by argosy-resolve.service"

// searchMax is how many domains a host searches at most; older C libraries know no more.
const searchMax = 6

// Host is a host. Root is its root folder: "/".
type Host struct {
	Root    string
	Manager systemd.Manager // nil: resolved is told of nothing
}

// Wanted is what the host is to ask.
type Wanted struct {
	Server netip.Addr
	Domain string // searched first
}

func (h Host) path(name string) string { return filepath.Join(h.Root, name) }

// Hook has the host ask the server. Doing it again does nothing, unless somebody has
// changed something meanwhile: what they have written counts as what was there before.
// Each part that cannot be done is an error, and the other parts are done.
func (h Host) Hook(ctx context.Context, w Wanted) error {
	running, err := h.resolved(ctx)
	if running && h.keptByResolved() {
		err = errors.Join(err, h.unhookFile()) // resolved may have begun to run since
	} else {
		err = errors.Join(err, h.hookFile(w))
	}
	if running {
		err = errors.Join(err, h.hookResolved(ctx, w))
	}
	return errors.Join(err, h.hookPodman(w))
}

// Unhook puts everything back.
func (h Host) Unhook(ctx context.Context) error {
	return errors.Join(h.unhookFile(), h.unhookResolved(ctx), removeOurs(h.path(podmanDropIn)))
}

// resolved reports whether systemd-resolved runs.
func (h Host) resolved(ctx context.Context) (bool, error) {
	if h.Manager == nil {
		return false, nil
	}
	units, err := h.Manager.Observe(ctx, resolvedService)
	return len(units) == 1 && units[0].Active == "active", err
}

// keptByResolved reports whether the host's own /etc/resolv.conf is resolved's: a link to
// what it writes, or a file that names its own address.
func (h Host) keptByResolved() bool {
	own := h.path(resolvConf)
	if text, err := os.ReadFile(own); err == nil && isOurs(text) {
		own = h.path(asideConf)
	}
	if target, err := os.Readlink(own); err == nil {
		return strings.Contains(target, "systemd/resolve/")
	}
	text, err := os.ReadFile(own)
	return err == nil && slices.ContainsFunc(parse(string(text)).servers, isStub)
}

// isStub reports whether an address is the one that resolved itself answers at.
func isStub(a netip.Addr) bool {
	return a == netip.AddrFrom4([4]byte{127, 0, 0, 53}) || a == netip.AddrFrom4([4]byte{127, 0, 0, 54})
}

// hookResolved tells resolved. The first line takes the servers back that the host's own
// configuration names for all names; they are asked by us (Upstreams).
func (h Host) hookResolved(ctx context.Context, w Wanted) error {
	text := fmt.Sprintf("%s, and removed when it stops.\n[Resolve]\nDNS=\nDNS=%s\nDomains=%s\n", mark, w.Server, w.Domain)
	wrote, err := wholefile.Update(h.path(resolvedDropIn), []byte(text), 0o644)
	if err != nil || !wrote {
		return err
	}
	return h.restart(ctx)
}

func (h Host) unhookResolved(ctx context.Context) error {
	if _, err := os.Lstat(h.path(resolvedDropIn)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := removeOurs(h.path(resolvedDropIn)); err != nil {
		return err
	}
	if running, err := h.resolved(ctx); err != nil || !running {
		return err
	}
	return h.restart(ctx)
}

// restart has resolved read its configuration: not every version can do that while it
// runs.
func (h Host) restart(ctx context.Context) error {
	result, err := h.Manager.Run(ctx, systemd.Restart, resolvedService)
	if err == nil && result != "done" {
		err = cluster.Errorf(cluster.Internal, "restart %s: systemd says %q", resolvedService, result)
	}
	return err
}

// hookFile puts ours in the place of /etc/resolv.conf, and the host's aside.
func (h Host) hookFile(w Wanted) error {
	current, err := os.ReadFile(h.path(resolvConf))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !isOurs(current) {
		// Also a link that leads nowhere is the host's.
		if err := os.Rename(h.path(resolvConf), h.path(asideConf)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cluster.Errorf(cluster.Unavailable, "%s cannot be replaced, so programs of this host find no names of the cluster: %w", h.path(resolvConf), err).
				WithHint(fmt.Sprintf("add nameserver %s and search %s to it by hand", w.Server, w.Domain))
		}
	}
	before, err := os.ReadFile(h.path(asideConf))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = wholefile.Update(h.path(resolvConf), []byte(h.fileText(string(before), w)), 0o644)
	return err
}

// fileText is our /etc/resolv.conf for a host whose own was another.
func (h Host) fileText(before string, w Wanted) string {
	c := parse(before)
	var b strings.Builder
	fmt.Fprintf(&b, "%s, which puts back what was here before when it stops:\n# that is in /%s, and is what to change.\n", mark, asideConf)
	fmt.Fprintf(&b, "nameserver %s\n", w.Server)
	for i, s := range c.servers {
		if i < 2 && s != w.Server { // no C library asks more than three
			fmt.Fprintf(&b, "nameserver %s\n", s)
		}
	}
	fmt.Fprintf(&b, "search %s\n", strings.Join(searches(w.Domain, c.search), " "))
	if len(c.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(c.options, " "))
	}
	return b.String()
}

// searches puts a domain before others.
func searches(first string, others []string) []string {
	others = slices.DeleteFunc(slices.Clone(others), func(o string) bool { return strings.EqualFold(o, first) })
	all := append([]string{first}, others...)
	return all[:min(len(all), searchMax)]
}

// unhookFile puts the host's back, unless somebody has written another meanwhile.
func (h Host) unhookFile() error {
	current, err := os.ReadFile(h.path(resolvConf))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, none := os.Lstat(h.path(asideConf))
	switch {
	case err == nil && !isOurs(current):
		return removeIfThere(h.path(asideConf)) // what was here before is not wanted any more
	case none == nil:
		return os.Rename(h.path(asideConf), h.path(resolvConf))
	}
	return removeOurs(h.path(resolvConf))
}

// hookPodman has new containers ask the server; they get the host's own otherwise, which
// may be at an address that is not theirs to reach.
func (h Host) hookPodman(w Wanted) error {
	if _, err := os.Stat(h.path(podmanFolder)); errors.Is(err, fs.ErrNotExist) {
		return nil // no podman
	}
	var quoted []string
	for _, domain := range searches(w.Domain, h.before().search) {
		quoted = append(quoted, fmt.Sprintf("%q", domain))
	}
	text := fmt.Sprintf("%s, and removed when it stops.\n[containers]\ndns_servers = [%q]\ndns_searches = [%s]\n", mark, w.Server, strings.Join(quoted, ", "))
	_, err := wholefile.Update(h.path(podmanDropIn), []byte(text), 0o644)
	return err
}

// before is what the host asked before it asked us.
func (h Host) before() settings {
	for _, name := range []string{asideConf, resolvConf} {
		if text, err := os.ReadFile(h.path(name)); err == nil && !isOurs(text) {
			return parse(string(text))
		}
	}
	return settings{}
}

// Upstreams returns the servers that the host asks, or would ask if it did not ask one of
// ours. Of resolved these are the ones that it asks itself.
func (h Host) Upstreams(ours []netip.Addr) []netip.Addr {
	servers := h.before().servers
	if uplinks, err := os.ReadFile(h.path(uplinkConf)); err == nil {
		servers = slices.Concat(h.configured(), parse(string(uplinks)).servers, servers)
	}
	var all []netip.Addr
	for _, s := range servers {
		if !isStub(s) && !slices.Contains(ours, s) && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// configured returns the servers that the host's own configuration of resolved names.
func (h Host) configured() (servers []netip.Addr) {
	files := []string{h.path("etc/systemd/resolved.conf")}
	for _, folder := range []string{"usr/lib", "usr/local/lib", "run", "etc"} {
		some, _ := filepath.Glob(h.path(filepath.Join(folder, "systemd/resolved.conf.d/*.conf")))
		files = append(files, some...)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil || isOurs(text) {
			continue
		}
		file, err := unitfile.Parse(path, text)
		if err != nil {
			continue // resolved does not read it either
		}
		for _, a := range file.Assignments("Resolve") {
			if a.Key != "DNS" {
				continue
			}
			if a.Value == "" {
				servers = nil
			}
			for _, word := range strings.Fields(a.Value) {
				word, _, _ = strings.Cut(word, "#") // the name for TLS
				if address, err := netip.ParseAddr(word); err == nil {
					servers = append(servers, address)
				}
			}
		}
	}
	return servers
}

// settings are what a resolv.conf says.
type settings struct {
	servers         []netip.Addr
	search, options []string
}

func parse(text string) (s settings) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil && !slices.Contains(s.servers, a) {
				s.servers = append(s.servers, a)
			}
		case "search", "domain": // the last one counts
			s.search = words[1:]
		case "options":
			s.options = append(s.options, words[1:]...)
		}
	}
	return s
}

func isOurs(text []byte) bool { return bytes.HasPrefix(text, []byte(mark)) }

// removeOurs removes a file if it is ours.
func removeOurs(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !isOurs(text) {
		return err
	}
	return removeIfThere(path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
