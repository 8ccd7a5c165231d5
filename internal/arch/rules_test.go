package arch_test

// The floors of the house. A package imports only packages of lower floors
// (or of its own folder), so that whoever changes a package knows that nothing
// below it can notice.
var floors = []struct {
	name     string
	packages []string
}{
	{"nouns", []string{"cluster"}},
	{"ground", []string{"unitfile", "loop", "api/wire", "wholefile"}},
	{"ports", []string{"store", "systemd", "channel", "keyspace"}},
	{"pure", []string{"place", "quorum", "converge", "events", "catalog", "health", "render", "v2keys", "keyspace/confine"}},
	{"names", []string{"zone"}},       // what the catalog is in DNS
	{"invariants", []string{"audit"}}, // asks the pure cores what a conflict or an offer is, so that it is said once
	{"drivers", []string{
		"store/memstore", "store/etcdstore", "store/storetest", "systemd/bus", "systemd/systemdtest",
		"etcd", "pki", "hostnet", "hostdns", "mirror", "specs", "events/ring", "terminal", "metrics", "health/probe", "render/target",
		"keyspace/etcdspace", "keyspace/memspace", "keyspace/spacetest",
	}},
	{"client", []string{"api/client", "api/fleetv1", "api/etcdv2"}},
	{"services", []string{"engine", "agent", "permit", "api", "events/recorder", "resolve", "render/keeper"}},
	{"assembly", []string{"node"}},
	{"front", []string{"lab", "lab/labtest", "sim", "cli/contexts", "cli/etcdctl", "cli/table", "cli/tunnel", "cli/waiter"}},
	{"top", []string{"cli"}},
	{"rules", []string{"arch"}},
}

// purePackages decide and do nothing else: the same input gives the same
// output, so that every schedule is a row of a table and a plan can be shown
// before it runs.
var purePackages = []string{
	"cluster", "unitfile", "place", "quorum", "converge", "audit", "events", "catalog", "health", "render", "zone", "v2keys", "keyspace/confine", "api/wire",
	"cli/table", "cli/waiter",
}

// pureBans are the imports and calls that a pure package does without.
var pureBans = map[string]string{
	"os": "no files", "net": "no network", "log/slog": "no logger: the plan carries the reasons",
	"sync": "no goroutines to guard against", "context": "nothing to cancel", "math/rand": "a seed is a parameter",
	"math/rand/v2": "a seed is a parameter", "crypto/rand": "a seed is a parameter",
	"time.Now": "now is a parameter", "time.Since": "now is a parameter", "time.Until": "now is a parameter",
}

// door is a third-party library and the package that may use it, so that
// replacing the library is the work of one package.
type door struct {
	library  string // an import path, or the begin of some
	packages []string
	reason   string
	second   string // why there is more than one package, if there is
}

var doors = []door{
	{
		library: "go.etcd.io/etcd/client", packages: []string{"store/etcdstore", "keyspace/etcdspace", "cli/etcdctl"}, reason: "store is the port",
		second: "the key space is for programs that use etcd's client: its tests are one, and etcdctl is",
	},
	{
		library: "go.etcd.io/etcd/api", packages: []string{"store/etcdstore", "keyspace/confine", "keyspace/etcdspace", "cli/etcdctl"}, reason: "store is the port",
		second: "the key space of applications has etcd's own API",
	},
	{
		library: "google.golang.org/grpc", packages: []string{"store/etcdstore", "keyspace/etcdspace", "health/probe"}, reason: "only because others speak it, etcd and units; ours is JSON over HTTP",
		second: "etcdstore hands its connection to the key space, which carries etcd's calls over it; a unit that speaks gRPC is asked for its health in gRPC",
	},
	{library: "google.golang.org/protobuf", packages: []string{"keyspace/confine"}, reason: "only to compare requests of etcd's in tests"},
	{library: "go.etcd.io/etcd/server", packages: []string{"etcd"}, reason: "etcd lives in a process of its own"},
	{library: "go.etcd.io/etcd/pkg", packages: []string{"etcd"}, reason: "only for etcd's feature gates"},
	{
		library: "go.uber.org/zap", packages: []string{"store/etcdstore", "etcd", "cli/etcdctl"}, reason: "only because etcd logs with it; we log with slog",
		second: "etcd's client and etcd's server each take a logger, and run in different processes",
	},
	{library: "github.com/godbus/dbus", packages: []string{"systemd/bus"}, reason: "systemd is the port"},
	{library: "github.com/coreos/go-systemd", packages: []string{"cli"}, reason: "the process verbs tell systemd that they are ready; all else goes through the port"},
	{library: "github.com/vishvananda/", packages: []string{"hostnet"}, reason: "hostnet is the driver of links and namespaces"},
	{library: "github.com/danielgtaylor/huma", packages: []string{"api"}, reason: "the API is described in one place"},
	{library: "github.com/prometheus/", packages: []string{"metrics"}, reason: "what is counted, and by which name, stands in one place"},
	{
		library: "github.com/spf13/", packages: []string{"cli", "cli/etcdctl"}, reason: "commands are described in one place",
		second: "etcdctl's commands are another program's, with its own flags and exit codes",
	},
	{
		library: "golang.org/x/term", packages: []string{"cmd/argosy", "cli"}, reason: "only the command line has a terminal",
		second: "main alone knows the true streams, and hands in what they are; cli sets the terminal to raw and back",
	},
	{library: "github.com/miekg/dns", packages: []string{"resolve"}, reason: "one package reads and writes messages of DNS; what is said stands in zone"},
	{
		library: "golang.org/x/net/ipv", packages: []string{"resolve", "test/bench"}, reason: "only for many datagrams with one call",
		second: "who measures how much is answered must ask as much",
	},
	{library: "sigs.k8s.io/yaml", packages: []string{"cli"}, reason: "YAML is an output format, nothing is stored in it"},
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
	{"math/rand.Intn", nil, "randomness is seeded by the caller"},
	{"math/rand/v2.IntN", nil, "randomness is seeded by the caller"},
}

// noise are beginnings of error texts that say nothing: an error is a short
// fragment of what was done, and why it went wrong.
var noise = []string{"failed to ", "unable to ", "could not ", "cannot ", "error "}

// realWaits are the test files, or folders of them, that let real time pass, between two looks at
// something that no bubble can hold: what they wait for.
var realWaits = map[string]string{
	"internal/etcd/etcd_test.go":      "a real etcd, asked again until it answers or patience ends",
	"internal/lab/labtest/labtest.go": "real nodes, looked at again until they are as wanted or a limit ends",
	"test/lab/world_test.go":          "scripts say how much time passes, on real nodes",
	"test/lab/remains_test.go":        "a real run of argosy lab up, to be killed half-way",
	"test/bench":                      "measures real time, over spans that it prints",
}
