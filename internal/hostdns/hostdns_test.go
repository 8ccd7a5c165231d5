package hostdns_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/hostdns"
	"argosy/internal/systemd"
)

// manager is a systemd that knows resolved only.
type manager struct {
	systemd.Manager
	active   string
	restarts int
}

func (m *manager) Observe(_ context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	return []systemd.Unit{{Name: names[0], Active: m.active}}, nil
}

func (m *manager) Run(_ context.Context, verb systemd.Verb, name cluster.UnitName) (string, error) {
	if verb == systemd.Restart && name == "systemd-resolved.service" {
		m.restarts++
	}
	return "done", nil
}

// host makes a host of these files; "-> x" is a link, "" a folder.
func host(t *testing.T, files map[string]string) (hostdns.Host, *manager) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if text == "" {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m := &manager{active: "inactive"}
	if _, has := files["run/systemd/resolve/resolv.conf"]; has {
		m.active = "active"
	}
	return hostdns.Host{Root: root, Manager: m}, m
}

// content is all files of a host.
func content(t *testing.T, h hostdns.Host) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(h.Root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(h.Root, path)
		if target, err := os.Readlink(path); err == nil {
			all[name] = "-> " + target
			return nil
		}
		text, err := os.ReadFile(path)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wanted() hostdns.Wanted {
	return hostdns.Wanted{Server: netip.MustParseAddr("169.254.53.53"), Domain: "argosy.internal"}
}

func hook(t *testing.T, h hostdns.Host) {
	t.Helper()
	if err := h.Hook(t.Context(), wanted()); err != nil {
		t.Fatal(err)
	}
}

func body(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "|")
}

func TestAHostAsksUsAndNotAnyMore(t *testing.T) {
	const resolv, aside, dropIn, podman = "etc/resolv.conf", "etc/resolv.conf.before-argosy", "run/systemd/resolved.conf.d/argosy.conf", "etc/containers/containers.conf.d/50-argosy.conf"
	for _, tt := range []struct {
		why   string
		files map[string]string
		want  map[string]string // the files that are ours then, without comments
	}{
		{
			"a file of the administrator's",
			map[string]string{resolv: "# mine\ndomain old\nsearch corp.example lab.example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions ndots:2 edns0\n"},
			map[string]string{resolv: "nameserver 169.254.53.53|nameserver 192.0.2.1|nameserver 192.0.2.2|search argosy.internal corp.example lab.example|options ndots:2 edns0"},
		},
		{"no file", map[string]string{"etc": ""}, map[string]string{resolv: "nameserver 169.254.53.53|search argosy.internal"}},
		{
			"a link to what another program writes",
			map[string]string{resolv: "-> ../run/other/resolv.conf", "run/other/resolv.conf": "nameserver 192.0.2.9\n"},
			map[string]string{resolv: "nameserver 169.254.53.53|nameserver 192.0.2.9|search argosy.internal"},
		},
		{"a link that leads nowhere", map[string]string{resolv: "-> ../run/none"}, map[string]string{resolv: "nameserver 169.254.53.53|search argosy.internal"}},
		{
			"what the file is no good for", map[string]string{resolv: "nameserver\nnameserver nonsense\nnameserver 169.254.53.53\nsearch\n\xff\x00\n"},
			map[string]string{resolv: "nameserver 169.254.53.53|search argosy.internal"},
		},
		{
			"systemd-resolved",
			map[string]string{resolv: "-> ../run/systemd/resolve/stub-resolv.conf", "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.5\n", "run/systemd/resolve/stub-resolv.conf": "nameserver 127.0.0.53\n"},
			map[string]string{dropIn: "[Resolve]|DNS=|DNS=169.254.53.53|Domains=argosy.internal"},
		},
		{
			"systemd-resolved behind a file",
			map[string]string{resolv: "nameserver 127.0.0.53\n", "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.5\n"},
			map[string]string{dropIn: "[Resolve]|DNS=|DNS=169.254.53.53|Domains=argosy.internal"},
		},
		{
			"systemd-resolved that this file does not ask",
			map[string]string{resolv: "nameserver 192.0.2.1\n", "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.5\n"},
			map[string]string{
				dropIn: "[Resolve]|DNS=|DNS=169.254.53.53|Domains=argosy.internal",
				resolv: "nameserver 169.254.53.53|nameserver 192.0.2.1|search argosy.internal",
			},
		},
		{
			"podman", map[string]string{resolv: "search corp.example\n", "etc/containers": ""},
			map[string]string{
				resolv: "nameserver 169.254.53.53|search argosy.internal corp.example",
				podman: `[containers]|dns_servers = ["169.254.53.53"]|dns_searches = ["argosy.internal", "corp.example"]`,
			},
		},
	} {
		t.Run(tt.why, func(t *testing.T) {
			h, m := host(t, tt.files)
			before := content(t, h)
			for range 2 { // the second time nothing is to be done
				hook(t, h)
				now := content(t, h)
				for name, want := range tt.want {
					if got := body(now[name]); got != want {
						t.Errorf("%s: %s, want %s", name, got, want)
					}
				}
				for name := range now {
					if _, ours := tt.want[name]; !ours && now[name] != before[name] && name != aside {
						t.Errorf("%s was changed", name)
					}
				}
			}
			if _, resolved := tt.want[dropIn]; m.restarts != map[bool]int{true: 1, false: 0}[resolved] {
				t.Errorf("resolved was restarted %d times", m.restarts)
			}
			for range 2 {
				if err := h.Unhook(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			after := content(t, h)
			for name := range before {
				if after[name] != before[name] {
					t.Errorf("%s is now %q", name, after[name])
				}
			}
			if len(after) != len(before) {
				t.Errorf("left behind: %v", after)
			}
		})
	}
}

// What somebody writes while ours is there counts as theirs.
func TestAFileThatIsReplacedMeanwhile(t *testing.T) {
	h, _ := host(t, map[string]string{"etc/resolv.conf": "nameserver 192.0.2.1\n"})
	conf := filepath.Join(h.Root, "etc/resolv.conf")
	hook(t, h)
	if err := os.WriteFile(conf, []byte("nameserver 192.0.2.2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	hook(t, h)
	if text := content(t, h)["etc/resolv.conf"]; !strings.Contains(text, "169.254.53.53\nnameserver 192.0.2.2\n") {
		t.Errorf("taken over: %s", text)
	}
	if err := os.WriteFile(conf, []byte("nameserver 192.0.2.3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Unhook(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := content(t, h); all["etc/resolv.conf"] != "nameserver 192.0.2.3\n" || len(all) != 1 {
		t.Errorf("%v", all)
	}
}

// Resolved may begin to run at any time, and then has its file back.
func TestResolvedThatBeginsToRun(t *testing.T) {
	const link = "-> ../run/systemd/resolve/stub-resolv.conf"
	h, m := host(t, map[string]string{"etc/resolv.conf": link})
	hook(t, h)
	if text := content(t, h)["etc/resolv.conf"]; !strings.Contains(text, "nameserver 169.254.53.53") {
		t.Errorf("while it does not run: %s", text)
	}
	m.active = "active"
	hook(t, h)
	if all := content(t, h); all["etc/resolv.conf"] != link || len(all) != 2 || m.restarts != 1 {
		t.Errorf("when it runs: %v", all)
	}
}

// A process that was killed between two steps has lost nothing.
func TestAHalfDoneHook(t *testing.T) {
	h, _ := host(t, map[string]string{"etc/resolv.conf.before-argosy": "nameserver 192.0.2.1\n"})
	hook(t, h)
	if text := content(t, h)["etc/resolv.conf"]; !strings.Contains(text, "nameserver 192.0.2.1") {
		t.Errorf("%s", text)
	}
	if err := h.Unhook(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := content(t, h); all["etc/resolv.conf"] != "nameserver 192.0.2.1\n" || len(all) != 1 {
		t.Errorf("%v", all)
	}
}

func TestAFileThatCannotBeReplacedIsSaidToBe(t *testing.T) {
	h, _ := host(t, map[string]string{"etc/resolv.conf": "nameserver 192.0.2.1\n", "etc/containers": ""})
	if err := os.Mkdir(filepath.Join(h.Root, "etc/resolv.conf.before-argosy"), 0o755); err != nil { // renaming a file to a folder fails
		t.Fatal(err)
	}
	err := h.Hook(t.Context(), wanted())
	if err == nil || !strings.Contains(cluster.HintOf(err), "add nameserver 169.254.53.53") {
		t.Errorf("%v (%s)", err, cluster.HintOf(err))
	}
	all := content(t, h)
	if all["etc/resolv.conf"] != "nameserver 192.0.2.1\n" || all["etc/containers/containers.conf.d/50-argosy.conf"] == "" {
		t.Errorf("the other parts were not done: %v", all)
	}
}

func TestWhomTheHostAsked(t *testing.T) {
	ours := []netip.Addr{wanted().Server, netip.MustParseAddr("10.0.0.1")}
	for _, tt := range []struct {
		why   string
		files map[string]string
		want  []string
	}{
		{"nobody", map[string]string{"etc": ""}, nil},
		{"those of its file, and not us", map[string]string{"etc/resolv.conf": "nameserver 192.0.2.1\nnameserver 10.0.0.1\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n"}, []string{"192.0.2.1", "2001:db8::1"}},
		{"one of its own", map[string]string{"etc/resolv.conf": "nameserver 127.0.0.1\n"}, []string{"127.0.0.1"}},
		{
			"those that resolved asks, not resolved itself",
			map[string]string{"etc/resolv.conf": "nameserver 127.0.0.53\n", "run/systemd/resolve/resolv.conf": "nameserver 169.254.53.53\nnameserver 192.0.2.5\n"},
			[]string{"192.0.2.5"},
		},
		{
			"those that its configuration names, which ours hides",
			map[string]string{
				"etc/resolv.conf": "nameserver 127.0.0.53\n", "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.5\n",
				"etc/systemd/resolved.conf":               "[Resolve]\nDNS=192.0.2.6#name 2001:db8::6\n",
				"etc/systemd/resolved.conf.d/more.conf":   "[Resolve]\nDNS=\nDNS=192.0.2.7\n[Other]\nDNS=192.0.2.8\n",
				"etc/systemd/resolved.conf.d/broken.conf": "[Resolve\n",
			},
			[]string{"192.0.2.7", "192.0.2.5"},
		},
	} {
		t.Run(tt.why, func(t *testing.T) {
			h, _ := host(t, tt.files)
			for _, hooked := range []bool{false, true} {
				if hooked {
					hook(t, h)
				}
				var got []string
				for _, a := range h.Upstreams(ours) {
					got = append(got, a.String())
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("hooked: %v: %v, want %v", hooked, got, tt.want)
				}
			}
		})
	}
}
