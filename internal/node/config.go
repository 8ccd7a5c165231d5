package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// ConfigPath is where a node's configuration is looked for. There need not be
// one.
const ConfigPath = "/etc/argosy/argosy.conf"

// configMax bounds a configuration file, in bytes.
const configMax = 64 << 10

// Config is what an administrator may say of a node. LoadConfig fills in what
// is left out.
type Config struct {
	Name    string     // the node's name; default: the host name
	Address netip.Addr // what other nodes reach this one at; default: found on the host
	Labels  map[string]string
	Sockets []string // unix sockets of the API
	Dir     string   // state folder

	Peers         []netip.Addr // the second way to form a cluster: all nodes, the same list everywhere
	ClusterSecret string

	Resolve  ResolveConfig
	KeySpace []netip.AddrPort // where etcd's API is served to this machine; none: nowhere

	Timings    cluster.Timings
	TimingsSet bool // the file says something about them
	NodeCert   time.Duration
}

// ConfigKey documents one key of the configuration file.
type ConfigKey struct {
	Section, Key, Default, Meaning string
	set                            func(*Config, string) error
}

// ConfigKeys returns every key that the configuration file may hold, in the
// order of the reference page.
func ConfigKeys() []ConfigKey {
	return []ConfigKey{
		{"Node", "Name", "the host name", "The node's name in listings. Letters, digits and hyphens.", setName},
		{"Node", "Address", "that of the way out", "What other nodes reach this one at.", setAddress},
		{"Node", "Labels", "", "Labels for placing, as `key=value key=value`. `argosy node label` masks them.", setLabels},
		{"Node", "Socket", "/run/argosy/argosy.sock", "Unix sockets of the API, separated by blanks. Root may do everything there, and so may the group `argosy`, if the machine has one when the daemon starts: everything but open a terminal (`argosy ssh`).", setSockets},
		{"Node", "Directory", "/var/lib/argosy", "Where the node keeps its state.", setDir},
		{"Node", "CertificateLife", "24h", "How long certificates live that this node issues as a server. They are renewed by themselves after 50 to 80 % of it.", setCertLife},
		{"Cluster", "Peers", "", "The addresses of all nodes that shall form a cluster together, the same list in the same order on each. The first one begins, once more than half of them answer and none is in a cluster.", setPeers},
		{"Cluster", "ClusterSecret", "", "What the peers have in common; at least 16 characters. Whoever has it can join, and become the cluster.", setSecret},
		{"Resolve", "Domain", "argosy.internal", "What the names of the cluster end in. It is fixed when a cluster is formed.", setDomain},
		{"Resolve", "Forward", "the servers that the machine asks", "Whom to ask for names of others: addresses, with `:port` if it is not 53. With a domain before them, for the names in it only (`Forward=corp.example 10.0.0.53`). May be given several times.", setForward},
		{"Resolve", "Refuse", "no", "`yes`: names of others are refused. Servers of single domains (`Forward=`) are not asked then either.", setYes(func(c *Config) *bool { return &c.Resolve.Refuse })},
		{"Resolve", "Network", "yes", "`no`: names are answered on the machine itself only (at 169.254.53.53), not at the node's address. There they are answered to everybody who reaches it, in the clear, as DNS is; names of others only to addresses of private networks.", setYes(func(c *Config) *bool { return &c.Resolve.Network })},
		{"Resolve", "Host", "yes", "`no`: the machine's own way to find names, and that of its containers, stays as it is. Names are then found by who asks 169.254.53.53.", setYes(func(c *Config) *bool { return &c.Resolve.Host })},
		{"KeySpace", "Listen", "127.0.0.1:2379 127.0.0.1:4001", "Where the programs of this machine find etcd's API, with the key space of applications. Only addresses that no other machine reaches: whoever can connect can read and write there. `no`: nowhere.", setKeySpace},
		{"Timings", "Profile", "default", "`fast`, `default` or `wide`; the keys below change single values of it. Timings are fixed when a cluster is formed.", setProfile},
		{"Timings", "Renew", "2s", "How often a node renews its session.", setTiming(func(t *cluster.Timings) *time.Duration { return &t.Renew })},
		{"Timings", "Valid", "10s", "How long a permit to run exclusive units lasts, from the send of the renewal.", setTiming(func(t *cluster.Timings) *time.Duration { return &t.Valid })},
		{"Timings", "Watchdog", "5s", "systemd kills the permit process after this silence.", setTiming(func(t *cluster.Timings) *time.Duration { return &t.Watchdog })},
		{"Timings", "Stop", "6s", "The longest that an exclusive unit may take to stop.", setTiming(func(t *cluster.Timings) *time.Duration { return &t.Stop })},
		{"Timings", "Lost", "8s", "After this silence of a node its ordinary units move.", setTiming(func(t *cluster.Timings) *time.Duration { return &t.Lost })},
		{"Timings", "Dead", "25s", "After this silence a node's session is declared dead. Must be at least (Valid + Watchdog + Stop) x 1.05 / 0.95.", setTiming(func(t *cluster.Timings) *time.Duration { return &t.Dead })},
	}
}

// ConfigMarkdown renders the reference page of the configuration file.
func ConfigMarkdown() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\nA node needs no configuration file. If there is one, it is `" + ConfigPath + "`, in the syntax of unit files. A line\nthat is not understood is refused with file, line and reason, and the daemon does not start.\n\n`systemctl reload argosy.service` (or SIGHUP to the daemon) has it read again: labels count at once, all else from the\nnext start of the daemon, which its log says; what `[Resolve]` says, from the next start of `argosy-resolve.service`. A file that is refused changes nothing then.\n\nThis page is generated (`make docs`).\n")
	section := ""
	for _, k := range ConfigKeys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n## [%s]\n\n| key | default | meaning |\n|---|---|---|\n", section)
		}
		fmt.Fprintf(&b, "| `%s=` | %s | %s |\n", k.Key, k.Default, k.Meaning)
	}
	return b.String()
}

// LoadConfig reads a configuration file; without one everything has its
// default. Errors name file, line and reason.
func LoadConfig(path string) (Config, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	cfg := Config{
		Name: host, Sockets: []string{"/run/argosy/argosy.sock"}, Dir: "/var/lib/argosy",
		Timings: cluster.DefaultTimings(), NodeCert: 24 * time.Hour,
		Resolve: ResolveConfig{Network: true, Host: true}, KeySpace: defaultKeySpace(),
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, nil
	}
	if err != nil {
		return cfg, err
	}
	if len(text) > configMax {
		return cfg, cluster.Errorf(cluster.Invalid, "%s is %d bytes long; the limit is %d", path, len(text), configMax)
	}
	return cfg, parseConfig(path, text, &cfg)
}

// problems are what an operator should know of a configuration in a cluster.
func (c Config) problems(of cluster.Cluster) []string {
	var problems []string
	if c.TimingsSet && c.Timings != of.Timings {
		problems = append(problems, "the timings in "+ConfigPath+" are not those of the cluster, which count")
	}
	if said := c.Resolve.Domain; said != "" && said != c.Resolve.domain(of) {
		problems = append(problems, fmt.Sprintf("the domain in %s is not that of the cluster, %s, which counts", ConfigPath, of.Domain))
	}
	return problems
}

// parseConfig applies a file's text to cfg.
func parseConfig(path string, text []byte, cfg *Config) error {
	file, err := unitfile.Parse(path, text)
	if err != nil {
		return cluster.Errorf(cluster.Invalid, "%w", err)
	}
	keys := ConfigKeys()
	for _, section := range file.Sections() {
		for _, a := range file.Assignments(section) {
			i := slices.IndexFunc(keys, func(k ConfigKey) bool { return k.Section == section && k.Key == a.Key })
			if i < 0 {
				return cluster.Errorf(cluster.Invalid, "%s:%d: unknown key %s in [%s]", path, a.Line, a.Key, section).
					WithHint("argosy help config lists the keys")
			}
			if err := keys[i].set(cfg, a.Value); err != nil {
				return cluster.Errorf(cluster.Invalid, "%s:%d: %s: %w", path, a.Line, a.Key, err).WithHint(cluster.HintOf(err))
			}
		}
	}
	if err := cfg.Timings.Check(); err != nil {
		return cluster.Errorf(cluster.Invalid, "%s: [Timings]: %w", path, err)
	}
	if (len(cfg.Peers) > 0) != (cfg.ClusterSecret != "") {
		return cluster.Errorf(cluster.Invalid, "%s: Peers= and ClusterSecret= go together", path)
	}
	return nil
}

func setName(cfg *Config, value string) error {
	cfg.Name = value
	return cluster.CheckNodeName(value)
}

func setAddress(cfg *Config, value string) error {
	address, err := parseAddress(value)
	if err != nil {
		return err
	}
	cfg.Address = address
	return nil
}

func parseAddress(value string) (netip.Addr, error) {
	address, err := netip.ParseAddr(value)
	if err != nil {
		return address, fmt.Errorf("%.80q is no IP address", value)
	}
	if address.IsUnspecified() || address.IsMulticast() {
		return address, fmt.Errorf("%s is not the address of a machine", address)
	}
	return address.Unmap(), nil
}

func setLabels(cfg *Config, value string) error {
	if cfg.Labels == nil {
		cfg.Labels = map[string]string{}
	}
	for _, pair := range strings.Fields(value) {
		k, v, ok := strings.Cut(pair, "=")
		if !ok || !unitfile.IsLabelKey(k) || v == "" {
			return fmt.Errorf("%q is not key=value", pair)
		}
		cfg.Labels[k] = v
	}
	return nil
}

func setSockets(cfg *Config, value string) error {
	cfg.Sockets = strings.Fields(value)
	for _, path := range cfg.Sockets {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("%q is not an absolute path", path)
		}
	}
	if len(cfg.Sockets) == 0 {
		return errors.New("at least one socket is needed: the command line talks to it")
	}
	return nil
}

func setDir(cfg *Config, value string) error {
	if !strings.HasPrefix(value, "/") {
		return fmt.Errorf("%q is not an absolute path", value)
	}
	cfg.Dir = value
	return nil
}

// certLifeMin keeps a certificate alive for long enough to be renewed in time
// by a node that was busy.
const certLifeMin = 20 * time.Second

func setCertLife(cfg *Config, value string) (err error) {
	cfg.NodeCert, err = unitfile.ParseDuration(value)
	if err == nil && cfg.NodeCert < certLifeMin {
		return fmt.Errorf("%s is too short; at least %s", cfg.NodeCert, certLifeMin)
	}
	return err
}

func setPeers(cfg *Config, value string) error {
	cfg.Peers = nil
	for _, word := range strings.Fields(strings.ReplaceAll(value, ",", " ")) {
		address, err := parseAddress(word)
		if err != nil {
			return err
		}
		if slices.Contains(cfg.Peers, address) {
			return fmt.Errorf("%s stands in the list twice", address)
		}
		cfg.Peers = append(cfg.Peers, address)
	}
	return nil
}

// secretMin is the least length of a ClusterSecret, in characters.
const secretMin = 16

func setSecret(cfg *Config, value string) error {
	if len(value) < secretMin {
		return fmt.Errorf("the secret has %d characters; at least %d", len(value), secretMin)
	}
	cfg.ClusterSecret = value
	return nil
}

func setProfile(cfg *Config, value string) error {
	cfg.TimingsSet = true
	switch value {
	case "default":
		cfg.Timings = cluster.DefaultTimings()
	case "fast":
		cfg.Timings = cluster.FastTimings()
	case "wide":
		cfg.Timings = cluster.WideTimings()
	default:
		return fmt.Errorf("%q is none of fast, default, wide", value)
	}
	return nil
}

func setTiming(field func(*cluster.Timings) *time.Duration) func(*Config, string) error {
	return func(cfg *Config, value string) error {
		d, err := unitfile.ParseDuration(value)
		if err != nil {
			return err
		}
		cfg.TimingsSet = true
		*field(&cfg.Timings) = d
		return nil
	}
}
