package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cli/contexts"
	"argosy/internal/cluster"
)

func TestExitCodes(t *testing.T) {
	active := saying(placedOn(hello(cluster.Launched), 2), 2, "active", "running", 312)
	dead := saying(placedOn(hello(cluster.Loaded), 2), 2, "inactive", "dead", 0)
	denied := map[string]error{"desired": cluster.Errorf(cluster.Denied, "not you").WithHint("ask somebody")}
	cases := map[string]struct {
		line string
		fake fake
		want int
	}{
		"no verb at all explains itself":             {line: "argosy", want: 0},
		"help is no misuse":                          {line: "argosy start --help", want: 0},
		"an unknown verb is misuse":                  {line: "argosy frobnicate", want: 2},
		"an unknown verb of a group is misuse":       {line: "argosy node frobnicate", want: 2},
		"an unknown topic is misuse":                 {line: "argosy help frobnicate", want: 2},
		"a group without a verb is misuse":           {line: "argosy node", want: 2},
		"an ambiguous prefix is misuse":              {line: "argosy list", want: 2},
		"an unknown flag is misuse":                  {line: "argosy start --frobnicate x", want: 2},
		"a flag that is no number is misuse":         {line: "argosy journal -n many x", want: 2},
		"a verb without its arguments is misuse":     {line: "argosy start", want: 2},
		"a verb with too many arguments is misuse":   {line: "argosy cat a b", want: 2},
		"a verb that takes one unit refuses several": {line: "argosy cat web@{1..3}", want: 2},
		"a bad unit name is misuse":                  {line: "argosy stop web@@1", want: 2},
		"an unknown form of output is misuse":        {line: "argosy list-units -o xml", want: 2},
		"an unknown column is misuse":                {line: "argosy list-units --fields unit,colour", want: 2},
		"a bad label is misuse":                      {line: "argosy node label node-1 region", want: 2},
		"a bad address is misuse":                    {line: "argosy init --address here", want: 2},
		"two ways to a cluster are misuse":           {line: "argosy --socket /s --context c status", want: 2},
		"two ways to wait are misuse":                {line: "argosy stop --no-block --wait-timeout 1s x", want: 2},
		"a negative wait is misuse":                  {line: "argosy stop --wait-timeout -1s x", want: 2},
		"a request without time is misuse":           {line: "argosy --timeout 0 status", want: 2},
		"nobody to ask needs --yes":                  {line: "argosy reset", want: 2},
		"what the cluster refuses is 1":              {line: "argosy stop hello", fake: fake{fail: denied}, want: 1},
		"a unit that is not to be found is 1":        {line: "argosy start nothere", want: 1},
		"an unknown context is 1":                    {line: "argosy --context nothere status", want: 1},
		"a node in no cluster is 1":                  {line: "argosy status", want: 1},
		"status of an active unit is 0":              {line: "argosy status hello", fake: fake{units: units(active)}, want: 0},
		"status of an inactive unit is 3":            {line: "argosy status hello", fake: fake{units: units(dead)}, want: 3},
		"status of a pending unit is 3":              {line: "argosy status hello", fake: fake{units: units(pending(hello(cluster.Launched), "no"))}, want: 3},
		"status of an unknown unit is 4":             {line: "argosy status nothere", want: 4},
		"the worst of several units counts":          {line: "argosy status nothere hello", fake: fake{units: units(active)}, want: 4},
		"a verb may be shortened":                    {line: "argosy vers", want: 0},
		"a global flag may stand before the verb":    {line: "argosy --timeout 1s vers", want: 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := run(t, &c.fake, c.line)
			if got.code != c.want {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, c.want, got.out, got.err)
			}
			if got.code == exitMisuse {
				checkMisuse(t, got)
			}
		})
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatIsNotWrittenIsNoSuccess(t *testing.T) {
	for _, line := range []string{"argosy list-units", "argosy list-units -o json", "argosy cat hello", "argosy version"} {
		var said strings.Builder
		code := Run(t.Context(), strings.Fields(line), Env{
			Stdin: strings.NewReader(""), Stdout: fullDisk{}, Stderr: &said,
			Getenv: func(string) string { return "" }, IsTerminal: func(any) bool { return false }, Now: testNow,
			Dial: func(context.Context, contexts.Context) (Backend, error) { return someCluster(), nil },
		})
		if code != exitRefused || !strings.Contains(said.String(), "no space left on device") {
			t.Errorf("%s: exit %d, %q", line, code, said.String())
		}
	}
}

// checkMisuse checks that misuse is told in one line, with the way to the help
// and without the help itself.
func checkMisuse(t *testing.T, got result) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(got.err), "\n")
	if got.out != "" || len(lines) != 2 || !strings.HasPrefix(lines[0], "argosy: ") ||
		!strings.HasPrefix(lines[1], "see argosy") || !strings.HasSuffix(lines[1], "--help") {
		t.Errorf("misuse is told so:\n%s%s", got.out, got.err)
	}
}

func TestErrorsAreToldInOneWay(t *testing.T) {
	refuse := fake{fail: map[string]error{"desired": cluster.Errorf(cluster.Denied, "not you").WithHint("ask somebody")}}
	cases := map[string]struct {
		line string
		fake fake
		want string
	}{
		"an error has its hint, and no help is dumped": {
			line: "argosy stop hello", fake: refuse, want: "argosy: not you\nhint: ask somebody\n",
		},
		"-v tells whom it talks to, and the kind": {
			line: "argosy -v stop hello", fake: refuse, want: "context: local (/run/argosy/argosy.sock)\nargosy: not you\nhint: ask somebody\nkind: denied\n",
		},
		"misuse names the verb whose help helps": {
			line: "argosy node label x", want: "argosy: these arguments do not fit: argosy node label NODE KEY=VALUE|KEY-...\nsee argosy node label --help\n",
		},
		"a mistyped verb has a suggestion": {
			line: "argosy strat x", want: "argosy: argosy has no verb \"strat\"; did you mean start?\nsee argosy --help\n",
		},
		"an ambiguous verb names what it could be": {
			line: "argosy list-u", want: "argosy: \"list-u\" could be list-unit-files, list-units\nsee argosy --help\n",
		},
		"fleetctl calls itself so": {
			line: "/usr/bin/fleetctl stop hello", fake: refuse, want: "fleetctl: not you\nhint: ask somebody\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, run(t, &c.fake, c.line).err); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhichClusterIsTalkedTo(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		file contexts.File
		line string
		want string // the socket
	}{
		"without anything, this machine's daemon": {
			line: "argosy list-units", want: contexts.LocalSocket,
		},
		"the current context": {
			file: contexts.File{Current: "lab"}, line: "argosy list-units", want: "/lab.sock",
		},
		"the environment's context goes before the current one": {
			file: contexts.File{Current: "lab"}, env: map[string]string{envContext: "prod"}, line: "argosy list-units", want: "/prod.sock",
		},
		"the environment's socket goes before its context": {
			env: map[string]string{envContext: "prod", envSocket: "/env.sock"}, line: "argosy list-units", want: "/env.sock",
		},
		"a flag's context goes before the environment": {
			env: map[string]string{envSocket: "/env.sock"}, line: "argosy --context lab list-units", want: "/lab.sock",
		},
		"a flag's socket goes before the environment": {
			env: map[string]string{envContext: "prod"}, line: "argosy list-units --socket /flag.sock", want: "/flag.sock",
		},
		"the context local is always there": {
			file: contexts.File{Current: "lab"}, line: "argosy --context local list-units", want: contexts.LocalSocket,
		},
		"verbs about this machine pass the current context over": {
			file: contexts.File{Current: "lab"}, line: "argosy leave --yes", want: contexts.LocalSocket,
		},
		"verbs about this machine go where a flag says": {
			line: "argosy --context lab leave --yes", want: "/lab.sock",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			env := map[string]string{"HOME": home}
			for key, value := range c.env {
				env[key] = value
			}
			c.file.Contexts = []contexts.Context{{Name: "lab", Socket: "/lab.sock"}, {Name: "prod", Socket: "/prod.sock"}}
			path, err := contexts.Path(func(name string) string { return env[name] })
			if err != nil {
				t.Fatal(err)
			}
			if err := contexts.Save(path, c.file); err != nil {
				t.Fatal(err)
			}
			var f fake
			got := session{env: env}.run(t, &f, strings.Fields(c.line)...)
			if got.code != 0 || f.target.Socket != c.want {
				t.Errorf("exit %d, talked to %q, want %q\n%s", got.code, f.target.Socket, c.want, got.err)
			}
		})
	}
}

func TestAContextWithoutASocketIsNotThisMachine(t *testing.T) {
	home := t.TempDir()
	env := map[string]string{"XDG_CONFIG_HOME": home}
	path, err := contexts.Path(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	far := contexts.Context{Name: "far", Addresses: []string{"192.0.2.1:7500"}, CA: "ca", Certificate: "cert", Key: "key"}
	if err := contexts.Save(path, contexts.File{Contexts: []contexts.Context{far}}); err != nil {
		t.Fatal(err)
	}
	var f fake
	got := session{env: env}.run(t, &f, "argosy", "--context", "far", "leave", "--yes")
	if got.code != exitMisuse || len(f.requests) > 0 {
		t.Errorf("exit %d, asked %v\n%s", got.code, f.requests, got.err)
	}
}

func TestMachineVerbs(t *testing.T) {
	cases := map[string]struct {
		session session
		line    string
		asked   string
		want    result
	}{
		"init tells who the machine is and what comes next": {
			line: "argosy init --name prod --address 10.0.0.1", asked: "init prod 10.0.0.1, status",
			want: result{err: "cluster c1 formed; this machine is node-1 (00000001)\nto add a machine: argosy token create here, then argosy join TOKEN there\n"},
		},
		"join takes the token as an argument": {
			line: "argosy join argosy1-abc", asked: "join argosy1-abc, status",
			want: result{err: "joined cluster c1; this machine is node-2 (00000002)\n"},
		},
		"join takes the token from standard input": {
			session: session{stdin: " argosy1-abc \n"}, line: "argosy join -", asked: "join argosy1-abc, status",
			want: result{err: "joined cluster c1; this machine is node-2 (00000002)\n"},
		},
		"an empty standard input is no token": {
			line: "argosy join -",
			want: result{code: 2, err: "argosy: no token on standard input\nsee argosy join --help\n"},
		},
		"leave asks at a terminal, and goes on at yes": {
			session: session{terminal: true, stdin: "y\n"}, line: "argosy leave", asked: "leave",
			want: result{err: "Make this machine leave its cluster? [y/N] this machine is in no cluster any more\n"},
		},
		"anything but yes does nothing": {
			session: session{terminal: true, stdin: "\n"}, line: "argosy leave",
			want: result{code: 1, err: "Make this machine leave its cluster? [y/N] nothing was done\n"},
		},
		"reset with --yes asks nobody": {
			line: "argosy reset -y", asked: "reset",
			want: result{err: "this machine is in no cluster any more\n"},
		},
		"token create prints the token alone as data": {
			line: "argosy token create --ttl 1h --uses 3", asked: "createtoken 1h0m0s 3",
			want: result{out: "argosy1-abc\n", err: "good for 3 machine(s) until 2026-03-01T13:00:00Z; there: argosy join TOKEN\n"},
		},
		"token rm names what it revoked": {
			line: "argosy token rm t1", asked: "rmtoken t1", want: result{err: "token t1 revoked\n"},
		},
		"labels are set and taken away": {
			line: "argosy node label node-2 region=us disk-", asked: "nodes, patch 00000002 map[disk: region:us]",
			want: result{err: "node-2  disk=,region=us\n"},
		},
		"a node is removed by the begin of its ID": {
			line: "argosy node rm -y 00000003", asked: "nodes, remove 00000003", want: result{err: "node-3 removed\n"},
		},
		"the begin of several IDs removes none": {
			line: "argosy node rm -y 0000000", asked: "nodes",
			want: result{code: 1, err: "argosy: \"0000000\" is the begin of the IDs of 3 nodes\nhint: give more digits, or the name\n"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := fake{nodes: threeNodes()}
			got := c.session.run(t, &f, strings.Fields(c.line)...)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Error(diff)
			}
			if asked := strings.Join(f.requests, ", "); asked != c.asked {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
		})
	}
}

func TestFormingEndsOnceTheMachineAnswersForACluster(t *testing.T) {
	for _, line := range []string{"argosy init", "argosy join token"} {
		f := &fake{settling: []wire.Status{{}, {Formed: true}, {Formed: true, Leader: &cluster.Leader{}}}}
		got := run(t, f, line)
		looks := slices.DeleteFunc(slices.Clone(f.requests), func(r string) bool { return r != "status" })
		if got.code != 0 || len(looks) != 3 {
			t.Errorf("%s: exit code %d after %d looks: %s", line, got.code, len(looks), got.err)
		}
	}
}
