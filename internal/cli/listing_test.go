package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// someCluster has units in every state that a listing tells apart.
func someCluster() *fake {
	named := func(view wire.UnitView, name cluster.UnitName) wire.UnitView { view.Name = name; return view }
	launched := hello(cluster.Launched)
	failed := saying(placedOn(named(launched, "bad.service"), 3), 3, "failed", "failed", 0)
	failed.Statuses[0].Problem = "exit-code, status 203"
	global := placedOn(named(launched, "every.service"), 1)
	global.Placement.Global = true
	global.Placement.Nodes = []cluster.NodeID{nodeID(1), nodeID(2)}
	global = saying(global, 1, "active", "running", 11)
	return &fake{
		keys:     someKeys(),
		nodes:    threeNodes(),
		services: [][]wire.Services{{{Revision: 7, Cursor: "c", Full: true, Services: []cluster.Service{serviceOn("web", 1, -2)}}}},
		units: units(
			failed,
			global,
			saying(placedOn(launched, 2), 2, "active", "running", 312),
			named(hello(cluster.Inactive), "idle.service"),
			pending(named(launched, "web@1.service"), "0 of 3 nodes: 3 lack region=us"),
		),
		tokens: []cluster.Token{
			{ID: "t1", Uses: 1, Created: testNow(), Expires: testNow().Add(time.Hour)},
			{ID: "t2", Uses: 0, Created: testNow(), Expires: testNow().Add(time.Hour), UsedBy: []cluster.NodeID{nodeID(2)}},
			{ID: "t3", Uses: 1, Created: testNow().Add(-time.Hour), Expires: testNow().Add(-time.Minute)},
		},
	}
}

func TestListings(t *testing.T) {
	cases := map[string]struct{ line, want string }{
		"list-units shows where units run, and why others do not": {
			line: "argosy list-units",
			want: `
UNIT           NODE    ACTIVE   SUB      PROBLEM
bad.service    node-3  failed   failed   exit-code, status 203
every.service  node-1  active   running  -
every.service  node-2  placed   -        -
hello.service  node-2  active   running  -
web@1.service  -       pending  -        0 of 3 nodes: 3 lack region=us
`,
		},
		"fleetctl's list-units has fleet's columns": {
			line: "fleetctl list-units",
			want: `
UNIT           MACHINE               ACTIVE   SUB
bad.service    00000003.../10.0.0.3  failed   failed
every.service  00000001.../10.0.0.1  active   running
every.service  00000002.../10.0.0.2  placed   -
hello.service  00000002.../10.0.0.2  active   running
web@1.service  -                     pending  -
`,
		},
		"wide shows what systemd knows": {
			line: "argosy list-units -o wide hello",
			want: `
UNIT           NODE    LOAD    ACTIVE  SUB      SINCE                 PID  EPOCH  HASH     PROBLEM
hello.service  node-2  loaded  active  running  2026-03-01T11:55:00Z  312  1      HASHHAS  -
`,
		},
		"fields and no legend are for scripts": {
			line: "argosy list-units --fields unit,active --no-legend web@* hello",
			want: `
hello.service  active
web@1.service  pending
`,
		},
		"-o name prints each unit once": {
			line: "argosy list-units -o name",
			want: `
bad.service
every.service
hello.service
web@1.service
`,
		},
		"list-unit-files shows what is stored": {
			line: "argosy list-unit-files",
			want: `
UNIT           HASH     DSTATE    STATE     TARGET  PROBLEM
bad.service    HASHHAS  launched  launched  node-3  -
every.service  HASHHAS  launched  launched  global  -
hello.service  HASHHAS  launched  launched  node-2  -
idle.service   HASHHAS  inactive  inactive  -       -
web@1.service  HASHHAS  launched  launched  -       0 of 3 nodes: 3 lack region=us
`,
		},
		"fleetctl's list-unit-files has fleet's columns": {
			line: "fleetctl list-unit-files",
			want: `
UNIT           HASH     DSTATE    STATE     TARGET
bad.service    HASHHAS  launched  launched  00000003.../10.0.0.3
every.service  HASHHAS  launched  launched  global
hello.service  HASHHAS  launched  launched  00000002.../10.0.0.2
idle.service   HASHHAS  inactive  inactive  -
web@1.service  HASHHAS  launched  launched  -
`,
		},
		"the description of a unit is in its text": {
			line: "fleetctl list-unit-files --fields unit,global,desc hello every",
			want: `
UNIT           GLOBAL  DESC
every.service  true    Hello
hello.service  false   Hello
`,
		},
		"node ls shows health and load": {
			line: "argosy node ls",
			want: `
NODE    ROLE            HEALTH  ADDRESS   UNITS  LABELS
node-1  server, leader  ready   10.0.0.1  1      -
node-2  server          ready   10.0.0.2  2      disk=ssd,region=eu
node-3  server          ready   10.0.0.3  3      -
`,
		},
		"fleetctl's list-machines has fleet's columns": {
			line: "fleetctl list-machines",
			want: `
MACHINE      IP        METADATA
00000001...  10.0.0.1  -
00000002...  10.0.0.2  disk=ssd,region=eu
00000003...  10.0.0.3  -
`,
		},
		"--full shows whole IDs": {
			line: "fleetctl list-machines -l --no-legend --fields machine",
			want: `
00000001000000000000000000000001
00000002000000000000000000000002
00000003000000000000000000000003
`,
		},
		"nodes is another name of list-machines": {
			line: "argosy nodes -o name", want: "\nnode-1\nnode-2\nnode-3\n",
		},
		"token ls says what a token is still good for": {
			line: "argosy token ls -o wide",
			want: `
ID  STATE    USES  EXPIRES               CREATED               USEDBY
t1  good     1     2026-03-01T13:00:00Z  2026-03-01T12:00:00Z  -
t2  used up  0     2026-03-01T13:00:00Z  2026-03-01T12:00:00Z  00000002
t3  expired  1     2026-03-01T11:59:00Z  2026-03-01T11:00:00Z  -
`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := someCluster()
			got := run(t, f, c.line)
			hash := string(hello(cluster.Inactive).Hash[:7])
			if diff := cmp.Diff(c.want, "\n"+strings.ReplaceAll(got.out, hash, "HASHHAS")); diff != "" || got.code != 0 || got.err != "" {
				t.Errorf("exit %d %s\n%s", got.code, got.err, diff)
			}
		})
	}
}

func TestJSONIsTheAPIsOwnOfTheUnitsThatTheTableLists(t *testing.T) {
	f := someCluster()
	var got wire.List[wire.UnitView]
	if err := json.Unmarshal([]byte(run(t, f, "argosy list-units -o json").out), &got); err != nil {
		t.Fatal(err)
	}
	want, _ := f.Units(t.Context())
	listed := strings.Fields(run(t, f, "argosy list-units -o name").out)
	want.Items = slices.DeleteFunc(want.Items, func(view wire.UnitView) bool { return !slices.Contains(listed, string(view.Name)) })
	if len(listed) == 0 || len(want.Items) != len(listed) {
		t.Errorf("%d units for the names %v", len(want.Items), listed)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestYAMLHasTheNamesOfTheJSON(t *testing.T) {
	got := run(t, someCluster(), "argosy list-machines -o yaml")
	if !strings.HasPrefix(got.out, "items:\n- address: 10.0.0.1\n") {
		t.Error(got.out)
	}
}

func TestAStaleListingSaysSo(t *testing.T) {
	f := someCluster()
	f.stale = true
	got := run(t, f, "argosy list-units")
	if want := "stale: this is what was known 12 s ago; the servers have no quorum, or cannot reach it\n"; got.err != want || got.code != 0 {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
}

// watched runs a listing that is watched until the cluster has nothing more to
// say, then interrupts it.
func watched(t *testing.T, f *fake, line string) result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.watching = cancel
	return session{}.runContext(t, ctx, f, strings.Fields(line)...)
}

func TestAWatchPrintsWhatChangesUntilItIsInterrupted(t *testing.T) {
	placed := placedOn(hello(cluster.Launched), 2)
	messages := [][]wire.Change{{
		full(placed),
		{Revision: 11}, // a sign of life
		later(12, saying(placed, 2, "active", "running", 312)),
		later(13, saying(placed, 2, "active", "running", 312)), // nothing that the table shows
		{Revision: 14, GoneUnits: []cluster.UnitName{"hello.service"}},
	}}
	got := watched(t, &fake{watches: messages}, "argosy list-units -w")
	want := result{out: `UNIT           NODE    ACTIVE  SUB  PROBLEM
hello.service  node-2  placed  -    -
hello.service  node-2  active  running  -
hello.service  -       gone    -        -
`}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
}

func TestAWatchInJSONIsOneMessageToALine(t *testing.T) {
	messages := [][]wire.Change{{full(hello(cluster.Inactive)), {Revision: 11, Nodes: threeNodes()}, later(12, hello(cluster.Loaded))}}
	got := watched(t, &fake{watches: messages}, "argosy list-unit-files -w -o json")
	var revisions []cluster.Revision
	for line := range strings.Lines(got.out) {
		var change wire.Change
		if err := json.Unmarshal([]byte(line), &change); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if len(change.Nodes) > 0 {
			t.Error("a listing of units has nodes in it")
		}
		revisions = append(revisions, change.Revision)
	}
	if diff := cmp.Diff([]cluster.Revision{10, 12}, revisions); diff != "" {
		t.Error(diff)
	}
}

func TestAWatchThatNeverBeganIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of simulated time
		defer cancel()
		f := fake{fail: map[string]error{"watch": cluster.Errorf(cluster.Unavailable, "nobody there")}}
		if got := (session{}).runContext(t, ctx, &f, "argosy", "list-units", "-w"); got.code != 1 || len(f.requests) != 1 {
			t.Errorf("exit %d after %d attempts", got.code, len(f.requests))
		}
	})
}

func TestColour(t *testing.T) {
	cases := map[string]struct {
		session session
		want    bool
	}{
		"a terminal sees colour":               {session{terminal: true}, true},
		"a pipe sees none":                     {session{}, false},
		"NO_COLOR is honoured":                 {session{terminal: true, env: map[string]string{"NO_COLOR": "1"}}, false},
		"a dumb terminal sees no escape codes": {session{terminal: true, env: map[string]string{"TERM": "dumb"}}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, line := range []string{"argosy list-units", "argosy status hello", "argosy start --no-block hello"} {
				got := c.session.run(t, someCluster(), strings.Fields(line)...)
				if coloured := strings.Contains(got.out+got.err, "\x1b"); coloured && !c.want {
					t.Errorf("%s: escape sequences in %q", line, got.out+got.err)
				}
			}
			got := c.session.run(t, someCluster(), "argosy", "list-units")
			if coloured := strings.Contains(got.out, styleGood+"active"); coloured != c.want {
				t.Errorf("coloured is %t: %q", coloured, got.out)
			}
		})
	}
}

func TestStatusOfTheCluster(t *testing.T) {
	status := wire.Status{
		Formed: true, Node: nodeID(1), Role: cluster.Server,
		Cluster: cluster.Cluster{ID: "c1", Name: "prod", Created: testNow().Add(-50 * time.Hour)},
		Leader:  &cluster.Leader{Node: nodeID(1), Term: 3, Since: testNow().Add(-90 * time.Second)}, LeaderName: "node-1",
		Quorum: true, Revision: 4711,
		Voters: []wire.Voter{
			{Node: nodeID(1), Name: "node-1", State: cluster.MemberVoter, Healthy: true, Leader: true},
			{Node: nodeID(2), Name: "node-2", State: cluster.MemberLearner, Error: "connection refused"},
		},
		Nodes: 3, NodesReady: 2, Units: 6, UnitsActive: 4, UnitsPending: 1, UnitsFailed: 1, DBSize: 1300000,
		Problems: []string{"node-2 does not answer", "only 2 of 3 voters"},
	}
	got := run(t, &fake{status: status, nodes: threeNodes()}, "argosy status")
	want := result{out: `  Cluster: prod (c1), formed 2026-02-27T10:00:00Z; 2d 2h ago
   Leader: node-1 (00000001), term 3, since 2026-03-01T11:58:30Z; 1min 30s ago
   Quorum: yes, 1 of 2 servers healthy
           node-1 (00000001)  voter  healthy  (etcd's leader)
           node-2 (00000002)  learner  ill: connection refused
    Nodes: 2 of 3 ready
    Units: 4 of 6 active, 1 pending, 1 failed
    Store: 1.2 MiB at revision 4711
 Problems: node-2 does not answer
           only 2 of 3 voters

NODE    ROLE            HEALTH  ADDRESS   UNITS  PROBLEM
node-1  server, leader  ready   10.0.0.1  1      -
node-2  server          ready   10.0.0.2  2      -
node-3  server          ready   10.0.0.3  3      -
`}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}

	status.Quorum, status.Stale, status.Age, status.Leader = false, true, 42, nil
	lost := run(t, &fake{status: status, fail: map[string]error{"nodes": errors.New("no")}}, "argosy status")
	for _, want := range []string{"Leader: none", "Quorum: no, 1 of 2 servers healthy; changes are refused, what runs keeps running", "Stale: this is what was known 42 s ago"} {
		if !strings.Contains(lost.out, want) {
			t.Errorf("without a quorum, %q is missing in\n%s", want, lost.out)
		}
	}
	if lost.code != 1 {
		t.Errorf("without a quorum the exit code is %d", lost.code)
	}
}

func TestStatusOfUnits(t *testing.T) {
	f := someCluster()
	f.units[0].Statuses[0].Result, f.units[0].Statuses[0].ExitCode = "exit-code", 203
	f.units[0].Statuses[0].Log = []string{"bad: no such file"}
	f.units[0].Problem = f.units[0].Statuses[0].Problem + " on node-3"
	f.units[0].Placement.Retry = &cluster.Retry{Count: 2, Last: testNow().Add(-time.Minute), Due: testNow().Add(40 * time.Second)}
	f.journals = map[string][]string{"hello.service": {"hello: up"}}
	hash := string(hello(cluster.Inactive).Hash[:7])
	got := run(t, f, "argosy status hello bad web@1")
	want := result{code: 3, out: `hello.service - Hello
   Wanted: launched; file ` + hash + `, submitted 2026-03-01T11:00:00Z; 1h 0min ago
   Placed: on node-2 since 2026-03-01T11:50:00Z; 10min 0s ago
   Reason: least loaded of 3 nodes
   Active: active (running) on node-2 since 2026-03-01T11:55:00Z; 5min 0s ago
 Main PID: 312

hello: up

bad.service - Hello
   Wanted: launched; file ` + hash + `, submitted 2026-03-01T11:00:00Z; 1h 0min ago
   Placed: on node-3 since 2026-03-01T11:50:00Z; 10min 0s ago
   Reason: least loaded of 3 nodes
    Tried: again 2 times, last 2026-03-01T11:59:00Z; 1min 0s ago, next in 40s
   Active: failed (failed) on node-3 since 2026-03-01T11:55:00Z; 5min 0s ago
   Result: exit-code, status 203
  Problem: exit-code, status 203

bad: no such file

web@1.service - Hello
   Wanted: launched; file ` + hash + `, submitted 2026-03-01T11:00:00Z; 1h 0min ago
   Placed: pending since 2026-03-01T11:59:00Z; 1min 0s ago
   Reason: 0 of 3 nodes: 3 lack region=us
   Active: on no node
`}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
}

func TestAGlobalUnitIsGlobalWhereverItIs(t *testing.T) {
	idle := hello(cluster.Inactive)
	idle.Global = true
	waits := pending(hello(cluster.Launched), "0 of 3 nodes: 3 lack region=us")
	waits.Name, waits.Placement.Global = "waits.service", true
	for _, name := range []string{"argosy", "fleetctl"} {
		got := run(t, &fake{units: units(idle, waits), nodes: threeNodes()}, name+" list-unit-files --no-legend --fields unit,dstate,target,global")
		if got.out != "hello.service  inactive  global  true\nwaits.service  launched  global  true\n" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Of a unit on a node that is lost nothing is known, and nobody is told otherwise.
func TestAUnitOnALostNode(t *testing.T) {
	const problem = "node-2 is lost; last seen active (running), and may still run there"
	view := placedOn(hello(cluster.Launched), 2)
	view.Statuses = []cluster.Status{{Unit: view.Name, Node: nodeID(2), UID: view.UID, Hash: view.Hash, Active: cluster.ActiveUnknown, Problem: problem}}
	view.State, view.Problem = cluster.Inactive, problem
	f := &fake{units: units(view), nodes: threeNodes()}
	f.nodes[1].Health = cluster.Lost
	if got := run(t, f, "argosy list-units --no-legend"); got.out != "hello.service  node-2  unknown  -  "+problem+"\n" {
		t.Errorf("list-units: %+v", got)
	}
	got := run(t, f, "argosy status -n 0 hello")
	if got.code != statusInactive || !strings.Contains(got.out, "   Active: unknown on node-2\n  Problem: "+problem+"\n") {
		t.Errorf("status: %d\n%s", got.code, got.out)
	}
	if got := run(t, f, "fleetctl list-machines --no-legend --fields machine"); got.out != "00000001...\n00000003...\n" {
		t.Errorf("fleetctl list-machines: %s", got.out)
	}
	if got := run(t, f, "argosy list-machines --no-legend --fields node,health"); got.out != "node-1  ready\nnode-2  lost\nnode-3  ready\n" {
		t.Errorf("argosy list-machines: %s", got.out)
	}
}

// A unit that was destroyed while a node still has it: it is stored nowhere,
// and shown as long as it runs.
func TestAUnitOnItsWayOut(t *testing.T) {
	leaving := saying(hello(""), 2, "deactivating", "stop-sigterm", 312)
	leaving.Text = ""

	if got := run(t, &fake{units: units(leaving), nodes: threeNodes()}, "argosy list-units --no-legend --fields unit,node,active"); got.out != "hello.service  node-2  deactivating\n" {
		t.Errorf("list-units: %+v", got)
	}
	if got := run(t, &fake{units: units(leaving)}, "argosy list-unit-files --no-legend"); got.out != "" {
		t.Errorf("list-unit-files: %+v", got)
	}

	// More than a few units are looked up in the listing, which has it too.
	f := fake{units: units(leaving)}
	line := "argosy start --no-block " + write(t, map[string]string{"hello.service": helloText}) + "/hello.service"
	for i := range fewUnits {
		other := hello(cluster.Loaded)
		other.Name = cluster.UnitName(fmt.Sprintf("other-%d.service", i))
		f.units = append(f.units, other)
		line += " " + string(other.Name)
	}
	run(t, &f, line)
	if want := "submit hello.service:launched:61"; len(f.requests) < 2 || f.requests[1] != want {
		t.Errorf("a new unit of its name is not submitted: %v", f.requests)
	}
}
