package arch_test

// The floors of the house. A package imports only packages of lower floors
// (or of its own folder), so that whoever changes a package knows that nothing
// below it can notice.
var floors = []struct {
	name     string
	packages []string
}{
	{"nouns", []string{"cluster"}},
	{"ground", []string{"unitfile", "loop", "api/wire"}},
	{"ports", []string{"store", "systemd", "channel"}},
	{"pure", []string{"place", "quorum", "converge", "events"}},
	{"invariants", []string{"audit"}}, // asks place what a conflict is, so that it is said once
	{"drivers", []string{
		"store/memstore", "store/etcdstore", "store/storetest", "systemd/bus", "systemd/systemdtest",
		"etcd", "pki", "hostnet", "mirror", "specs", "events/ring", "terminal",
	}},
	{"client", []string{"api/client", "api/fleetv1"}},
	{"services", []string{"engine", "agent", "permit", "api", "events/recorder"}},
	{"assembly", []string{"node"}},
	{"front", []string{"lab", "lab/labtest", "sim", "cli/contexts", "cli/table", "cli/tunnel", "cli/waiter"}},
	{"top", []string{"cli"}},
	{"rules", []string{"arch"}},
}

// purePackages decide and do nothing else: the same input gives the same
// output, so that every schedule is a row of a table and a plan can be shown
// before it runs.
var purePackages = []string{"cluster", "unitfile", "place", "quorum", "converge", "audit", "events", "api/wire", "cli/table", "cli/waiter"}

// pureBans are the imports and calls that a pure package does without.
var pureBans = map[string]string{
	"os": "no files", "net": "no network", "log/slog": "no logger: the plan carries the reasons",
	"sync": "no goroutines to guard against", "context": "nothing to cancel", "math/rand": "a seed is a parameter",
	"math/rand/v2": "a seed is a parameter", "crypto/rand": "a seed is a parameter",
	"time.Now": "now is a parameter", "time.Since": "now is a parameter", "time.Until": "now is a parameter",
}

// doors are the third-party libraries and the only packages that may use each,
// so that replacing one is the work of one package.
var doors = []struct {
	library  string
	packages []string
	reason   string
}{
	{"go.etcd.io/etcd/client", []string{"store/etcdstore", "etcd"}, "store is the port"},
	{"go.etcd.io/etcd/api", []string{"store/etcdstore", "etcd"}, "store is the port"},
	{"go.etcd.io/etcd/server", []string{"etcd"}, "etcd lives in a process of its own"},
	{"go.etcd.io/etcd/pkg", []string{"etcd"}, "only for etcd's feature gates"},
	{"go.uber.org/zap", []string{"store/etcdstore", "etcd"}, "only because etcd logs with it; we log with slog"},
	{"google.golang.org/grpc", []string{"store/etcdstore", "etcd"}, "only for etcd's error codes"},
	{"github.com/godbus/dbus", []string{"systemd/bus"}, "systemd is the port"},
	{"github.com/coreos/go-systemd", []string{"systemd/bus", "cli"}, "systemd is the port; the process verbs notify"},
	{"github.com/vishvananda/", []string{"hostnet"}, "hostnet is the driver of links and namespaces"},
	{"github.com/google/nftables", []string{"hostnet"}, "hostnet is the driver of links and namespaces"},
	{"github.com/danielgtaylor/huma", []string{"api"}, "the API is described in one place"},
	{"github.com/spf13/", []string{"cli"}, "commands are described in one place"},
	{"golang.org/x/term", []string{"cmd/argosy", "cli"}, "only the command line has a terminal"},
	{"github.com/creack/pty", []string{"cli", "lab"}, "only the command line has a terminal"},
	{"sigs.k8s.io/yaml", []string{"cli"}, "YAML is an output format, nothing is stored in it"},
}

// everywhere are the libraries that any package may use.
var everywhere = []string{"golang.org/x/sys/", "golang.org/x/sync/", "golang.org/x/net/http2"}

// testLibraries may be imported by tests and by packages that exist for tests.
var testLibraries = []string{
	"github.com/google/go-cmp/", "pgregory.net/rapid", "github.com/rogpeppe/go-internal/", "github.com/anishathalye/porcupine",
}

// bannedCalls nobody makes outside the packages named.
var bannedCalls = []struct {
	call    string
	allowed []string
	reason  string
}{
	{"time.Sleep", nil, "package loop owns waiting; wait for a state, not for time to pass"},
	{"time.Tick", nil, "package loop owns tickers"},
	{"time.NewTicker", nil, "package loop owns tickers"},
	{"time.NewTimer", []string{"loop"}, "package loop owns timers"},
	{"time.After", nil, "package loop owns timers"},
	{"time.AfterFunc", []string{"loop"}, "package loop owns timers"},
	{"os.Exit", []string{"cmd/argosy", "test/bench", "test/mutants"}, "one place ends the process, with one meaning per code"},
	{"log.Printf", nil, "loggers are handed in"},
	{"log.Fatal", nil, "one place ends the process"},
	{"log.Fatalf", nil, "one place ends the process"},
	{"fmt.Print", nil, "output goes to a writer that was handed in"},
	{"fmt.Printf", nil, "output goes to a writer that was handed in"},
	{"fmt.Println", nil, "output goes to a writer that was handed in"},
	{"context.TODO", nil, "there is always a context to pass on"},
	{"rand.Intn", nil, "randomness is seeded by the caller"},
}

// noise are beginnings of error texts that say nothing: an error is a short
// fragment of what was done, and why it went wrong.
var noise = []string{"failed to ", "unable to ", "could not ", "cannot ", "error "}
