package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
)

func TestABadLineOfTheConfigurationIsRefusedWithFileLineAndReason(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown section", "[Nodes]\nName=a\n", "argosy.conf:2: unknown key Name in [Nodes]"},
		{"unknown key", "[Node]\nName=a\nColour=red\n", "argosy.conf:3: unknown key Colour in [Node]"},
		{"key outside a section", "Name=a\n", "argosy.conf:1: "},
		{"no host name", "[Node]\nName=a b\n", `argosy.conf:2: Name: "a b" is no host name`},
		{"no address", "[Node]\nAddress=here\n", `argosy.conf:2: Address: "here" is no IP address`},
		{"any address", "[Node]\nAddress=0.0.0.0\n", "is not the address of a machine"},
		{"half a label", "[Node]\nLabels=disk=ssd gpu\n", `argosy.conf:2: Labels: "gpu" is not key=value`},
		{"relative socket", "[Node]\nSocket=a.sock\n", "is not an absolute path"},
		{"no socket", "[Node]\nSocket=\n", "at least one socket"},
		{"a peer twice", "[Cluster]\nPeers=10.0.0.1 10.0.0.1\n", "stands in the list twice"},
		{"peers without secret", "[Cluster]\nPeers=10.0.0.1\n", "go together"},
		{"a short secret", "[Cluster]\nClusterSecret=hunter2\n", "at least 16"},
		{"no profile", "[Timings]\nProfile=slow\n", "none of fast, default, wide"},
		{"no time span", "[Timings]\nRenew=often\n", "argosy.conf:2: Renew: "},
		{"unsafe timings", "[Timings]\nDead=20s\n", "x 1.05 / 0.95"},
		{"too short a certificate", "[Node]\nCertificateLife=1s\n", "at least 20s"},
		{"a key space for everybody", "[KeySpace]\nListen=0.0.0.0:2379\n", "is not an address of this machine alone"},
		{"a key space for the network", "[KeySpace]\nListen=127.0.0.1:2379 10.0.0.1:2379\n", "10.0.0.1:2379 is not an address of this machine alone"},
		{"a key space without a port", "[KeySpace]\nListen=127.0.0.1\n", "is no address with a port"},
		{"a key space at port 0", "[KeySpace]\nListen=127.0.0.1:0\n", "is no address with a port"},
		{"a key space twice", "[KeySpace]\nListen=[::1]:2379 [::1]:2379\n", "stands in the list twice"},
		{"a key space nowhere", "[KeySpace]\nListen=\n", `or "no"`},
		{"too long a file", "#" + strings.Repeat("x", configMax), "the limit is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "argosy.conf")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadConfig(path); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestTheConfigurationIsOptionalAndEachKeyWorks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "argosy.conf")
	cfg, err := LoadConfig(path)
	if err != nil || cfg.Name == "" || cfg.Dir != "/var/lib/argosy" || cfg.TimingsSet || len(cfg.KeySpace) != 2 {
		t.Fatalf("without a file: %+v, %v", cfg, err)
	}
	text := `# a comment
[Node]
Name=n1
Address=10.1.2.3
Labels=disk=ssd zone=a
Labels=gpu=no
Socket=/run/a /run/b
Directory=/srv/argosy
CertificateLife=1h
[Cluster]
Peers=10.0.0.1 10.0.0.2, 10.0.0.3
ClusterSecret=correct horse battery staple
[KeySpace]
Listen=127.0.0.1:2379
Listen=no
[Timings]
Profile=fast
Lost=5s
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err = LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "n1" || cfg.Address.String() != "10.1.2.3" || len(cfg.Labels) != 3 || len(cfg.Sockets) != 2 ||
		cfg.Dir != "/srv/argosy" || len(cfg.Peers) != 3 || cfg.ClusterSecret != "correct horse battery staple" ||
		cfg.NodeCert != time.Hour || len(cfg.KeySpace) != 0 {
		t.Errorf("got %+v", cfg)
	}
	if !cfg.TimingsSet || cfg.Timings.Renew != time.Second || cfg.Timings.Lost != 5*time.Second {
		t.Errorf("a key changes single values of the profile: %+v", cfg.Timings)
	}
}

func TestAFileThatDiffersFromTheClusterIsAProblemOfTheNode(t *testing.T) {
	of := cluster.Cluster{Timings: cluster.FastTimings(), Domain: "of.cluster"}
	for _, tt := range []struct {
		name string
		cfg  Config
		want int // problems
	}{
		{"a file without timings takes the cluster's", Config{Timings: cluster.DefaultTimings()}, 0},
		{"a file with the cluster's timings", Config{Timings: cluster.FastTimings(), TimingsSet: true}, 0},
		{"a file with others", Config{Timings: cluster.WideTimings(), TimingsSet: true}, 1},
		{"a file with the cluster's domain", Config{Resolve: ResolveConfig{Domain: "of.cluster"}}, 0},
		{"a file with another", Config{Resolve: ResolveConfig{Domain: "another.one"}}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.cfg.problems(of); len(got) != tt.want {
				t.Errorf("problems: %q", got)
			}
		})
	}
}

// The page of the reference is generated from the table that the parser uses:
// ARGOSY_UPDATE=1 go test ./internal/node.
func TestTheReferenceOfTheConfigurationIsCurrent(t *testing.T) {
	const path = "../../docs/reference/config.md"
	want := ConfigMarkdown()
	if os.Getenv("ARGOSY_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want {
		t.Errorf("%s is out of date (%v): make docs", path, err)
	}
}
