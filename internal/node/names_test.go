package node

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/resolve"
)

func TestHowNamesAreConfigured(t *testing.T) {
	load := func(text string) (Config, error) {
		path := filepath.Join(t.TempDir(), "argosy.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadConfig(path)
	}
	dir := t.TempDir()
	cfg, err := load("[Node]\nAddress=10.0.0.1\nDirectory=" + dir + "\n")
	if err != nil {
		t.Fatal(err)
	}
	names, err := NamesConfig(cfg)
	if err != nil || names.Domain != "argosy.internal" || names.Refuse || names.Upstreams != nil || names.Hook == nil || names.Hook.Domain != "argosy.internal" ||
		!slices.Equal(names.Listen, []netip.AddrPort{netip.MustParseAddrPort("169.254.53.53:53"), netip.MustParseAddrPort("10.0.0.1:53")}) {
		t.Errorf("what is left out: %+v, %v", names, err)
	}
	cfg, err = load("[Node]\nAddress=10.0.0.1\nDirectory=" + dir + "\n[Resolve]\nDomain=Cluster.Corp.\nForward=192.0.2.1 192.0.2.2:5353\nForward=lab.example [2001:db8::1]:53 192.0.2.3\nForward=home 192.0.2.4\nHost=no\nRefuse=yes\nNetwork=no\n")
	if err != nil {
		t.Fatal(err)
	}
	names, err = NamesConfig(cfg)
	servers := func(list ...string) (all []netip.AddrPort) {
		for _, s := range list {
			all = append(all, netip.MustParseAddrPort(s))
		}
		return all
	}
	want := resolve.Upstreams{"": servers("192.0.2.1:53", "192.0.2.2:5353"), "lab.example": servers("[2001:db8::1]:53", "192.0.2.3:53"), "home": servers("192.0.2.4:53")}
	if err != nil || names.Domain != "cluster.corp" || !names.Refuse || names.Hook != nil || len(names.Listen) != 1 || !(ResolveConfig{Forward: names.Upstreams}).equal(ResolveConfig{Forward: want}) {
		t.Errorf("%+v, %v", names, err)
	}
	// The cluster's counts.
	if err := (disk{dir}).save("cluster.json", cluster.Cluster{Domain: "of.cluster"}); err != nil {
		t.Fatal(err)
	}
	if names, err := NamesConfig(cfg); err != nil || names.Domain != "of.cluster" {
		t.Errorf("in a cluster of another domain: %+v, %v", names, err)
	}
	for line, reason := range map[string]string{
		"Domain=internal": "root", "Domain=a..b": "no domain", "Domain=": "no domain", "Refuse=perhaps": "neither yes nor no",
		"Forward=lab.example": "neither an address", "Forward=192.0.2.300": "no IP address", "Forward=0.0.0.0": "not the address", "Forward=192.0.2.1:0": "no IP address",
		"Forward=192.0.2.1 lab.example": "no IP address", "Forward=" + many(20): "more than",
	} {
		if _, err := load("[Resolve]\n" + line + "\n"); err == nil || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "argosy.conf:2") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestWhatIsCountedOfNames(t *testing.T) {
	path := resolve.StatePath(t.TempDir())
	if got := namesMetrics(path); got != nil {
		t.Errorf("of a process that says nothing: %+v", got)
	}
	for text, want := range map[string]int64{`{"age":3,"counts":{"queries":7}}`: 7, `{"age":`: -1} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := namesMetrics(path); (got == nil) != (want < 0) || got != nil && (got.Counts["queries"] != want || got.Age != 3) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// many is the addresses of that many servers.
func many(n int) string {
	var all []string
	for i := range n {
		all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}).String())
	}
	return strings.Join(all, " ")
}
