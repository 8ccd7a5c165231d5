package cli

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cli/contexts"
	"argosy/internal/cluster"
)

func TestFleetctlHasEveryVerbAndFlagThatItHad(t *testing.T) {
	global := strings.Fields("driver endpoint etcd-key-prefix request-timeout key-file cert-file ca-file tunnel ssh-username ssh-timeout " +
		"strict-host-key-checking known-hosts-file debug experimental-api etcd-keyfile etcd-certfile etcd-cafile")
	waiting := "no-block block-attempts"
	had := map[string]string{
		"submit": "replace sign", "load": "replace sign " + waiting, "start": "replace sign " + waiting,
		"stop": waiting, "unload": waiting, "destroy": waiting, "restart": "block-attempts",
		"cat": "", "status": "ssh-port", "ssh": "forward-agent machine unit ssh-port", "journal": "lines follow output sudo ssh-port",
		"list-units": "full no-legend fields", "list-unit-files": "full no-legend fields", "list-machines": "full no-legend fields",
		"fd-forward": "", "verify": "", "version": "", "help": "",
	}
	root := newRoot(&app{env: Env{Getenv: func(string) string { return "" }}, name: "fleetctl"})
	for _, flag := range global {
		if root.PersistentFlags().Lookup(flag) == nil {
			t.Errorf("--%s is gone", flag)
		}
	}
	for name, flags := range had {
		verb, _, err := root.Find([]string{name})
		if err != nil || verb.Name() != name || verb.Hidden && name != "help" {
			t.Errorf("%s is gone (%v)", name, err)
			continue
		}
		for flag := range strings.FieldsSeq(flags) {
			if verb.Flags().Lookup(flag) == nil {
				t.Errorf("%s --%s is gone", name, flag)
			}
		}
	}
	for _, name := range []string{"list-units", "list-unit-files", "list-machines"} {
		if verb, _, err := root.Find([]string{name}); err != nil || verb.Flags().ShorthandLookup("l") == nil {
			t.Errorf("%s -l is gone", name)
		}
	}
}

func TestFleetctlTellsWhatMeansNothingAnyMore(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		line string
		want string // on standard error
	}{
		"units are not kept in etcd": {
			line: "fleetctl --etcd-key-prefix /x/ --etcd-keyfile=k list-units",
			want: "warning: --etcd-key-prefix means nothing any more: units are not kept in fleet's etcd\n" +
				"warning: --etcd-keyfile means nothing any more: units are not kept in fleet's etcd\n",
		},
		"so does the environment": {
			env:  map[string]string{"FLEETCTL_EXPERIMENTAL_API": "true"},
			line: "fleetctl list-units",
			want: "warning: --experimental-api means nothing any more: there is only one API\n",
		},
		"nothing is signed": {
			line: "fleetctl load --sign --no-block hello",
			want: "warning: --sign means nothing any more: units are not signed\nhello.service  changed\n",
		},
		"no ssh is needed to read a journal": {
			line: "fleetctl journal --ssh-port=2222 --sudo --output=short hello",
			want: "warning: --ssh-port means nothing any more: no ssh is needed: it goes through the cluster\n" +
				"warning: --sudo means nothing any more: the daemon reads the journal\n",
		},
		"there is no other driver": {
			line: "fleetctl --driver=etcd --endpoint http://127.0.0.1:2379,http://127.0.0.1:4001 list-units",
			want: "warning: --driver=etcd means nothing any more: the API is asked, and --endpoint passed over\n",
		},
		"the only driver is nothing to speak of": {line: "fleetctl --driver=API list-units"},
		"there is no agent to forward": {
			line: "fleetctl ssh -A --ssh-port=2222 hello",
			want: "warning: --forward-agent means nothing any more: no ssh is needed, so there is no agent to forward\n" +
				"warning: --ssh-port means nothing any more: no ssh is needed: it goes through the cluster\n" +
				"err:",
		},
		"what is given by its default is not warned of": {line: "fleetctl --request-timeout=3.0 --ssh-username core list-units"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := session{env: c.env}.run(t, someCluster(), strings.Fields(c.line)...)
			if diff := cmp.Diff(c.want, got.err); diff != "" || got.code != 0 {
				t.Errorf("exit %d\n%s", got.code, diff)
			}
		})
	}
}

func TestWhereFleetctlGoes(t *testing.T) {
	ssh := func(words string) []string {
		words, remote, _ := strings.Cut(words, " | ")
		list := strings.Fields("ssh -T " + words)
		if remote != "" {
			list = append(list, remote)
		}
		return list
	}
	const far = "argosy fd-forward '/run/argosy/argosy.sock'"
	cases := map[string]struct {
		env  map[string]string
		line string
		want contexts.Context
	}{
		"without a word, to this machine's daemon": {
			line: "fleetctl list-units", want: contexts.Context{Name: "local", Socket: contexts.LocalSocket},
		},
		"fleet's own socket is this machine's daemon": {
			line: "fleetctl --endpoint unix:///var/run/fleet.sock list-units",
			want: contexts.Context{Name: "unix:///var/run/fleet.sock", Socket: contexts.LocalSocket},
		},
		"to another socket": {
			line: "fleetctl --endpoint=unix:///tmp/s list-units", want: contexts.Context{Name: "unix:///tmp/s", Socket: "/tmp/s"},
		},
		"to the first of a list": {
			line: "fleetctl --endpoint unix:///tmp/a,unix:///tmp/b list-units", want: contexts.Context{Name: "unix:///tmp/a", Socket: "/tmp/a"},
		},
		"the environment says so too": {
			env:  map[string]string{"FLEETCTL_ENDPOINT": "unix:///env.sock", envSocket: "/argosy.sock"},
			line: "fleetctl list-units", want: contexts.Context{Name: "unix:///env.sock", Socket: "/env.sock"},
		},
		"a flag goes before the environment": {
			env:  map[string]string{"FLEETCTL_ENDPOINT": "unix:///env.sock"},
			line: "fleetctl --endpoint unix:///flag.sock list-units", want: contexts.Context{Name: "unix:///flag.sock", Socket: "/flag.sock"},
		},
		"argosy's own flag goes before all": {
			env:  map[string]string{"FLEETCTL_ENDPOINT": "unix:///env.sock"},
			line: "fleetctl --socket /mine.sock list-units", want: contexts.Context{Name: "/mine.sock", Socket: "/mine.sock"},
		},
		"argosy passes fleetctl's environment over": {
			env:  map[string]string{"FLEETCTL_ENDPOINT": "unix:///env.sock"},
			line: "argosy list-units", want: contexts.Context{Name: "local", Socket: contexts.LocalSocket},
		},
		"to a port that leads to a socket": {
			line: "fleetctl --endpoint http://127.0.0.1:8080 list-units", want: contexts.Context{Name: "http://127.0.0.1:8080", Plain: "127.0.0.1:8080"},
		},
		"to a server, as somebody it knows": {
			line: "fleetctl --endpoint https://node-1:7500 --ca-file ca --cert-file cert --key-file key list-units",
			want: contexts.Context{Name: "https://node-1:7500", Addresses: []string{"node-1:7500"}, CA: "ca", Certificate: "cert", Key: "key"},
		},
		"through a tunnel, as fleet's user": {
			line: "fleetctl --tunnel node-1 list-units",
			want: contexts.Context{Name: "node-1", Command: ssh("-l core -o ConnectTimeout=10 -- node-1 | " + far)},
		},
		"through a tunnel, with everything said": {
			line: "fleetctl --tunnel=node-1:2222 --ssh-username root --ssh-timeout 2.5 --strict-host-key-checking=false --known-hosts-file /k list-units",
			want: contexts.Context{Name: "node-1:2222", Command: ssh("-l root -p 2222 -o ConnectTimeout=2 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/k -- node-1 | " + far)},
		},
		"through a tunnel, by the environment": {
			env: map[string]string{
				"FLEETCTL_TUNNEL": "node-1", "FLEETCTL_SSH_USERNAME": "root", "FLEETCTL_SSH_TIMEOUT": "3",
				"FLEETCTL_STRICT_HOST_KEY_CHECKING": "true", "FLEETCTL_KNOWN_HOSTS_FILE": "/k",
			},
			line: "fleetctl list-units",
			want: contexts.Context{Name: "node-1", Command: ssh("-l root -o ConnectTimeout=3 -o StrictHostKeyChecking=ask -o UserKnownHostsFile=/k -- node-1 | " + far)},
		},
		"through a tunnel to another socket": {
			line: "fleetctl --tunnel node-1 --endpoint unix:///tmp/s list-units",
			want: contexts.Context{Name: "node-1", Command: ssh("-l core -o ConnectTimeout=10 -- node-1 | argosy fd-forward '/tmp/s'")},
		},
		"through a tunnel to a port": {
			line: "fleetctl --tunnel node-1 --endpoint http://127.0.0.1:8080 list-units",
			want: contexts.Context{Name: "node-1", Command: ssh("-l core -o ConnectTimeout=10 -W 127.0.0.1:8080 -- node-1")},
		},
		"to an ssh:// endpoint": {
			line: "fleetctl --endpoint ssh://admin@node-1:2222 list-units",
			want: contexts.Context{Name: "ssh://admin@node-1:2222", Command: ssh("-l admin -p 2222 -o ConnectTimeout=10 -- node-1 | " + far)},
		},
		"to an ssh:// endpoint's socket": {
			line: "fleetctl --endpoint ssh://[fd00::1]/tmp/s list-units",
			want: contexts.Context{Name: "ssh://[fd00::1]/tmp/s", Command: ssh("-l core -o ConnectTimeout=10 -- fd00::1 | argosy fd-forward '/tmp/s'")},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := someCluster()
			got := session{env: c.env}.run(t, f, strings.Fields(c.line)...)
			if diff := cmp.Diff(c.want, f.target); diff != "" || got.code != 0 {
				t.Errorf("exit %d %s\n%s", got.code, got.err, diff)
			}
		})
	}
}

func TestFleetctlsMisuse(t *testing.T) {
	cases := map[string]struct {
		env        map[string]string
		line, want string
	}{
		"an endpoint of another kind names those there are": {
			line: "fleetctl --endpoint ftp://x list-units",
			want: "--endpoint ftp://x: use unix:///PATH, ssh://[USER@]HOST, http://HOST:PORT or https://HOST:PORT",
		},
		"an endpoint without a host is none": {line: "fleetctl --endpoint ssh:///s list-units", want: "--endpoint ssh:///s: use "},
		"a server wants to know the caller":  {line: "fleetctl --endpoint https://x list-units", want: "https://x:443 knows callers by their certificate: give --ca-file"},
		"two hosts to go through":            {line: "fleetctl --tunnel a --endpoint ssh://b list-units", want: "--tunnel and an ssh:// endpoint both say where to go"},
		"a tunnel to TLS":                    {line: "fleetctl --tunnel a --endpoint https://b list-units", want: "--tunnel leads to a unix:// or http:// endpoint"},
		"an unknown driver":                  {line: "fleetctl --driver consul list-units", want: "--driver consul: there is only API"},
		"no time for a request":              {line: "fleetctl --request-timeout 0 list-units", want: "--request-timeout 0: "},
		"no time at all":                     {line: "fleetctl --ssh-timeout NaN list-units", want: "--ssh-timeout NaN: "},
		"the environment is checked as well": {
			env: map[string]string{"FLEETCTL_REQUEST_TIMEOUT": "soon"}, line: "fleetctl list-units", want: "FLEETCTL_REQUEST_TIMEOUT=soon: ",
		},
		"an unknown field names those there are": {
			line: "fleetctl list-machines --fields machine,colour", want: `--fields: no column "colour"; there are node,machine,id,`,
		},
		"a form of the journal that there is not": {line: "fleetctl journal --output html hello", want: `--output: "html" is no form of a journal: use short, short-full, short-iso, `},
		"argosy has none of these":                {line: "argosy --endpoint=unix:///s list-units", want: "unknown flag: --endpoint"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := session{env: c.env}.run(t, someCluster(), strings.Fields(c.line)...)
			if _, said, _ := strings.Cut(got.err, ": "); got.code != exitMisuse || !strings.HasPrefix(said, c.want) {
				t.Errorf("exit %d\n%s", got.code, got.err)
			}
		})
	}
}

// Whoever shortened a verb meant one of fleetctl's: "j" is no join.
func TestFleetctlsVerbsAreShortenedAsEver(t *testing.T) {
	for short, want := range map[string]string{
		"j": "journal", "ca": "cat", "d": "destroy", "f": "fd-forward", "h": "help", "lo": "load", "list-m": "list-machines", "r": "restart",
		"sto": "stop", "su": "submit", "u": "unload", "vers": "version",
	} {
		root := newRoot(&app{env: Env{Getenv: func(string) string { return "" }}, name: "fleetctl"})
		if verb, err := findVerb(root, short); err != nil || verb.Name() != want {
			t.Errorf("%s: %v", short, err)
		}
	}
	if got := run(t, someCluster(), "fleetctl node ls -o name"); got.code != 0 {
		t.Errorf("argosy's own verbs are not to be had: %s", got.err)
	}
	if help := run(t, &fake{}, "fleetctl --help").out; strings.Contains(help, "join") || !strings.Contains(help, "list-unit-files") {
		t.Errorf("the help of fleetctl:\n%s", help)
	}
}

func TestTheVersionIsAVerbAndAFlag(t *testing.T) {
	for program, want := range map[string]string{"fleetctl": "fleetctl version ", "argosy": "argosy "} {
		verb, flag := run(t, &fake{}, program+" version"), run(t, &fake{}, program+" --version")
		if !strings.HasPrefix(verb.out, want) || verb != flag || verb.code != 0 {
			t.Errorf("%+v\n%+v", verb, flag)
		}
	}
}

// What fleetctl did wrong (its own code, and as measured), and must not be so here.
func TestTrapsOfFleetctl(t *testing.T) {
	loaded := saying(placedOn(hello(cluster.Loaded), 2), 2, "inactive", "dead", 0)
	launched := saying(placedOn(hello(cluster.Launched), 2), 2, "active", "running", 312)
	failed := saying(placedOn(hello(cluster.Launched), 2), 2, "failed", "failed", 0)
	failed.Statuses[0].Result, failed.Statuses[0].Since = "exit-code", testNow()
	again := saying(placedOn(func() wire.UnitView { v := hello(cluster.Launched); v.Restarts = 1; return v }(), 2), 2, "active", "running", 377)
	gone := wire.Change{Revision: 11, GoneUnits: []cluster.UnitName{"hello.service"}}
	told := func(change wire.Change) [][]wire.Change { return [][]wire.Change{{change}} }
	cases := map[string]struct {
		line  string
		fake  fake
		asked string
		code  int
		says  string
	}{
		"destroy waits unless it is told not to (it was the other way round)": {
			line: "fleetctl destroy hello", fake: fake{units: units(launched), watches: [][]wire.Change{{full(launched), gone}}},
			asked: "unit hello.service; destroy [hello.service]; watch",
		},
		"destroy --no-block does not wait": {
			line: "fleetctl destroy --no-block hello", fake: fake{units: units(launched)}, asked: "unit hello.service; destroy [hello.service]",
		},
		"restart is done when another process runs (it did nothing, and said it had)": {
			line: "fleetctl restart hello", fake: fake{units: units(launched), watches: [][]wire.Change{{full(launched), later(12, again)}}},
			asked: "unit hello.service; restart [hello.service]; watch", says: "main process 377 instead of 312",
		},
		"a start that failed is no launched unit": {
			line: "fleetctl start hello", fake: fake{units: units(loaded), watches: [][]wire.Change{{full(placedOn(hello(cluster.Launched), 2)), later(12, failed)}}},
			asked: "unit hello.service; desired launched [hello.service]; watch", code: 1, says: "1 of 1 units failed",
		},
		"a unit that fits nowhere says why, and a wait has an end": {
			line:  "fleetctl start --block-attempts=1 hello",
			fake:  fake{units: units(loaded), watches: told(full(pending(hello(cluster.Launched), "0 of 3 nodes: 3 lack region=eu")))},
			asked: "unit hello.service; desired launched [hello.service]; watch", code: 1, says: "gave up waiting after 2s",
		},
		"so it says without --block-attempts": {
			line:  "fleetctl start hello",
			fake:  fake{units: units(loaded), watches: told(full(pending(hello(cluster.Launched), "0 of 3 nodes: 3 lack region=eu")))},
			asked: "unit hello.service; desired launched [hello.service]; watch", code: 1, says: "3 lack region=eu",
		},
		"--no-block goes before --block-attempts": {
			line: "fleetctl start --no-block --block-attempts=5 hello", fake: fake{units: units(loaded)},
			asked: "unit hello.service; desired launched [hello.service]",
		},
		"stop of an inactive unit is an error, and does not load it": {
			line: "fleetctl stop hello", fake: fake{units: units(hello(cluster.Inactive))}, asked: "unit hello.service", code: 1, says: "hello.service is inactive: there is nothing to stop",
		},
		"a start without units is no success": {line: "fleetctl start", code: 2},
		"status of a stopped unit has systemctl's code": {
			line: "fleetctl status hello", fake: fake{units: units(loaded)}, asked: "unit hello.service; nodes; journal hello.service 00000002 10 false", code: 3,
		},
		"status of a unit that there is not is 1": {line: "fleetctl status hello", asked: "unit hello.service; nodes", code: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := run(t, &c.fake, c.line)
				if asked := strings.Join(c.fake.requests, "; "); asked != c.asked {
					t.Errorf("asked %s", asked)
				}
				if got.code != c.code || !strings.Contains(got.err, c.says) {
					t.Errorf("exit %d\n%s", got.code, got.err)
				}
			})
		})
	}
}

// fleetctl took "t.target" for "t.target.service".
func TestUnitsOfEveryTypeAreNamedOnTheCommandLine(t *testing.T) {
	for _, kind := range strings.Fields("automount mount path service slice socket swap target timer") {
		f := fake{fail: map[string]error{}}
		run(t, &f, "fleetctl cat t."+kind)
		if want := "[unit t." + kind + "]"; fmt.Sprint(f.requests) != want {
			t.Errorf("asked %v, want %s", f.requests, want)
		}
	}
}

// Nothing is looked for under another name than the one that was typed.
func TestUnitsThatNoFileMakesAreRefused(t *testing.T) {
	for name, says := range map[string]string{
		"t.device":   `unit name "t.device": no file makes a device unit`,
		"t.scope":    `unit name "t.scope": no file makes a scope unit`,
		"x.snapshot": `unit name "x.snapshot": no file makes a snapshot unit`,
		"x.busname":  `unit name "x.busname": no file makes a busname unit`,
		"x@1.slice":  `unit name "x@1.slice": systemd loads neither templates nor instances of .slice units`,
	} {
		f := fake{}
		got := run(t, &f, "argosy start "+name)
		if got.code != 2 || !strings.Contains(got.err, says) || len(f.requests) > 0 {
			t.Errorf("%s: exit %d, asked %v\n%s", name, got.code, f.requests, got.err)
		}
	}
}
