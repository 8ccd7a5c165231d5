package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

func TestSSH(t *testing.T) {
	running := saying(placedOn(hello(cluster.Launched), 2), 2, "active", "running", 312)
	left := saying(hello(cluster.Inactive), 3, "active", "running", 312)
	everywhere := placedOn(hello(cluster.Launched), 1)
	everywhere.Placement.Nodes = []cluster.NodeID{nodeID(1), nodeID(3)}
	sameName := placedOn(hello(cluster.Launched), 1)
	sameName.Name = "node-2.service"
	denied := map[string]error{"nodes": cluster.Errorf(cluster.Denied, "not you")}
	broken := map[string]error{"terminal": cluster.Errorf(cluster.Unavailable, "node node-2: 10.0.0.2:7500 does not answer").WithHint("is it on?")}

	cases := map[string]struct {
		args string // separated by "|"
		fake fake
		ran  string // on which node, and what
		want result
	}{
		"a command runs on a node, its outputs stay apart": {
			args: "ssh|node-2|--|hostname", ran: `terminal 00000002 "hostname"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"no -- is needed, and flags behind the name are the command's": {
			args: "ssh|node-2|ls|-l|--socket|/", ran: `terminal 00000002 "ls -l --socket /"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"the words are joined by blanks, as ssh does": {
			args: "ssh|node-2|echo a;|exit 7", ran: `terminal 00000002 "echo a; exit 7"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"a second -- is the command's": {
			args: "ssh|node-2|--|grep|--|-x", ran: `terminal 00000002 "grep -- -x"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"without a command it is a shell": {
			args: "ssh|node-2", ran: `terminal 00000002 ""`, want: result{out: "out:typed", err: "err:typed"},
		},
		"the exit code is the command's": {
			args: "ssh|node-2|false", fake: fake{exit: 7}, ran: `terminal 00000002 "false"`, want: result{code: 7, out: "out:typed", err: "err:typed"},
		},
		"a node is named by the begin of its ID": {
			args: "ssh|00000003|true", ran: `terminal 00000003 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"a unit means the node that it is placed on": {
			args: "ssh|hello|true", fake: fake{units: units(running)}, ran: `terminal 00000002 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"a unit that was stopped means the node that has it still": {
			args: "ssh|hello|true", fake: fake{units: units(left)}, ran: `terminal 00000003 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"a unit on several nodes is asked back, with their names": {
			args: "ssh|hello|true", fake: fake{units: units(everywhere)},
			want: result{code: 255, err: "argosy: hello.service is on 2 nodes: node-1, node-3\nhint: name one of them: argosy ssh NODE\n"},
		},
		"a unit on no node is refused": {
			args: "ssh|hello|true", fake: fake{units: units(hello(cluster.Inactive))},
			want: result{code: 255, err: "argosy: hello.service is on no node\nhint: argosy status hello.service says why\n"},
		},
		"a name that is neither is refused with the names there are": {
			args: "ssh|node-9|true", want: result{code: 255, err: "argosy: there is no node and no unit \"node-9\"\nhint: the nodes are node-1, node-2, node-3\n"},
		},
		"a name that can be neither too": {
			args: "ssh|@@|true", want: result{code: 255, err: "argosy: there is no node and no unit \"@@\"\nhint: the nodes are node-1, node-2, node-3\n"},
		},
		"the begin of several IDs is refused": {
			args: "ssh|0000000|true", want: result{code: 255, err: "argosy: \"0000000\" is the begin of the IDs of 3 nodes\nhint: give more digits, or the name\n"},
		},
		"a name that is both is refused": {
			args: "ssh|node-2|true", fake: fake{units: units(sameName)},
			want: result{code: 255, err: "argosy: \"node-2\" is a node and a unit\nhint: say which with --machine or --unit\n"},
		},
		"--machine says that a node is meant": {
			args: "ssh|--machine|node-2|true", fake: fake{units: units(sameName)}, ran: `terminal 00000002 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"--unit says that a unit is meant": {
			args: "ssh|--unit|node-2|--|true", fake: fake{units: units(sameName)}, ran: `terminal 00000001 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"the node of a unit by a letter": {
			args: "ssh|-u|node-2|--|true", fake: fake{units: units(sameName)}, ran: `terminal 00000001 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"a node by a letter": {
			args: "ssh|-m|node-2|true", fake: fake{units: units(sameName)}, ran: `terminal 00000002 "true"`, want: result{out: "out:typed", err: "err:typed"},
		},
		"a terminal can be had where there is none": {
			args: "ssh|-t|node-2|top", ran: `terminal 00000002 "top"  0x0`, want: result{out: "out:typed", err: "err:typed"},
		},
		"both are misuse": {
			args: "ssh|--unit|a|--machine|b", want: result{code: 2, err: "argosy: --machine and --unit both say where to go; use one\nsee argosy ssh --help\n"},
		},
		"neither is misuse": {
			args: "ssh", want: result{code: 2, err: "argosy: ssh needs a node or a unit\nsee argosy ssh --help\n"},
		},
		"who may not is told so, with an exit code that no command has": {
			args: "ssh|node-2|true", fake: fake{fail: denied}, want: result{code: 255, err: "argosy: not you\n"},
		},
		"a node that does not answer is 255 too": {
			args: "ssh|node-2|true", fake: fake{fail: broken}, ran: `terminal 00000002 "true"`,
			want: result{code: 255, err: "argosy: node node-2: 10.0.0.2:7500 does not answer\nhint: is it on?\n"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.fake.nodes = threeNodes()
			raw := 0
			got := session{stdin: "typed", raw: &raw}.run(t, &c.fake, append([]string{"argosy"}, strings.Split(c.args, "|")...)...)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Error(diff)
			}
			ran := ""
			for _, request := range c.fake.requests {
				if strings.HasPrefix(request, "terminal ") {
					ran += request
				}
			}
			if ran != c.ran {
				t.Errorf("ran %s, want %s", ran, c.ran)
			}
		})
	}
}

func TestSSHAtATerminalHasOneToo(t *testing.T) {
	raw := 0
	f := fake{nodes: threeNodes(), exit: 3}
	s := session{
		terminal: true, raw: &raw, stdin: "typed", sizes: []wire.TerminalSize{{Rows: 50, Columns: 200}}, env: map[string]string{"TERM": "xterm"},
	}
	got := s.run(t, &f, "argosy", "ssh", "node-2")
	if asked := f.requests[len(f.requests)-1]; asked != `terminal 00000002 "" xterm 200x50` || got.code != 3 {
		t.Errorf("asked %s, exit code %d %s", asked, got.code, got.err)
	}
	if raw != 0 {
		t.Error("the terminal is left raw")
	}
}
