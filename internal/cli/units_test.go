package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// told removes the parts of a path that change with every test.
func told(text, dir string) string { return strings.ReplaceAll(text, dir, "DIR") }

// write puts unit files into a folder.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVerbsThatWait(t *testing.T) {
	loaded := saying(placedOn(hello(cluster.Loaded), 2), 2, "inactive", "dead", 0)
	launched := saying(placedOn(hello(cluster.Launched), 2), 2, "active", "running", 312)
	failed := placedOn(hello(cluster.Launched), 2)
	failed.Statuses = []cluster.Status{{
		Unit: failed.Name, Node: nodeID(2), UID: failed.UID, Hash: failed.Hash, Epoch: 1, Load: "loaded", Active: "failed", Sub: "failed",
		Result: "exit-code", ExitCode: 203, Since: testNow(), Log: []string{"hello: \x1b[31mno such file\x1b[0m"},
	}}
	again := saying(placedOn(func() wire.UnitView { v := hello(cluster.Launched); v.Restarts = 1; return v }(), 2), 2, "active", "running", 377)
	moved := hello(cluster.Inactive)
	moved.Statuses = launched.Statuses

	cases := map[string]struct {
		line  string
		fake  fake
		asked string
		want  result
	}{
		"start prints each change of state with its reason": {
			line:  "argosy start hello",
			fake:  fake{units: units(loaded), watches: [][]wire.Change{{full(pending(hello(cluster.Launched), "0 of 3 nodes: 3 lack region=eu")), later(11, placedOn(hello(cluster.Launched), 2)), later(12, launched)}}},
			asked: "unit hello.service; desired launched [hello.service]; watch",
			want: result{err: `hello.service  changed
hello.service  pending   0 of 3 nodes: 3 lack region=eu
hello.service  placed on node-2   least loaded of 3 nodes
hello.service  active (running) on node-2
`},
		},
		"a start that fails shows result, exit code and log, and ends with 1": {
			line:  "argosy start hello",
			fake:  fake{units: units(loaded), watches: [][]wire.Change{{full(placedOn(hello(cluster.Launched), 2)), later(12, failed)}}},
			asked: "unit hello.service; desired launched [hello.service]; watch",
			want: result{code: 1, err: `hello.service  changed
hello.service  placed on node-2   least loaded of 3 nodes
hello.service  failed (exit-code, status 203) on node-2
    hello: ·[31mno such file·[0m
argosy: 1 of 1 units failed
hint: argosy journal UNIT shows more of what a unit said
`},
		},
		"a service that ends as soon as it runs has not started": {
			line:  "argosy start hello",
			fake:  fake{units: units(loaded), watches: [][]wire.Change{{full(launched), later(12, failed)}}},
			asked: "unit hello.service; desired launched [hello.service]; watch",
			want: result{code: 1, err: `hello.service  changed
hello.service  active (running) on node-2
hello.service  failed (exit-code, status 203) on node-2
    hello: ·[31mno such file·[0m
argosy: 1 of 1 units failed
hint: argosy journal UNIT shows more of what a unit said
`},
		},
		"a wait that is too long gives up with 3 and says why": {
			line:  "argosy start --wait-timeout 30s hello",
			fake:  fake{units: units(loaded), watches: [][]wire.Change{{full(pending(hello(cluster.Launched), "0 of 3 nodes: 3 lack region=eu"))}}},
			asked: "unit hello.service; desired launched [hello.service]; watch",
			want: result{code: 3, err: `hello.service  changed
hello.service  pending   0 of 3 nodes: 3 lack region=eu
hello.service  pending   0 of 3 nodes: 3 lack region=eu
argosy: gave up waiting after 30s; 1 of 1 units are still on their way, and go on
hint: wait longer with --wait-timeout, or see argosy status UNIT
`},
		},
		"fleetctl's attempts are two seconds each": {
			line:  "fleetctl start --block-attempts 3 hello",
			fake:  fake{units: units(loaded), watches: [][]wire.Change{{full(pending(hello(cluster.Launched), "no node"))}}},
			asked: "unit hello.service; desired launched [hello.service]; watch",
			want: result{code: 1, err: `hello.service  changed
hello.service  pending   no node
hello.service  pending   no node
fleetctl: gave up waiting after 6s; 1 of 1 units are still on their way, and go on
hint: wait longer with --wait-timeout, or see fleetctl status UNIT
`},
		},
		"--no-block does not wait": {
			line: "argosy start --no-block hello", fake: fake{units: units(loaded)},
			asked: "unit hello.service; desired launched [hello.service]",
			want:  result{err: "hello.service  changed\n"},
		},
		"a server that ends the watch is followed by another": {
			line:  "argosy start hello",
			fake:  fake{units: units(loaded), watches: [][]wire.Change{{full(placedOn(hello(cluster.Launched), 2))}, {}, {full(launched)}}},
			asked: "unit hello.service; desired launched [hello.service]; watch; watch; watch",
			want: result{err: `hello.service  changed
hello.service  placed on node-2   least loaded of 3 nodes
lost the connection (the server ended the watch); trying again
hello.service  active (running) on node-2
`},
		},
		"stop awaits systemd": {
			line:  "argosy stop hello",
			fake:  fake{units: units(launched), watches: [][]wire.Change{{full(saying(placedOn(hello(cluster.Loaded), 2), 2, "deactivating", "stop-sigterm", 0)), later(12, loaded)}}},
			asked: "unit hello.service; desired loaded [hello.service]; watch",
			want: result{err: `hello.service  changed
hello.service  deactivating (stop-sigterm) on node-2
hello.service  inactive (dead) on node-2
`},
		},
		"restart names both main processes": {
			line:  "argosy restart hello",
			fake:  fake{units: units(launched), watches: [][]wire.Change{{full(again)}}},
			asked: "unit hello.service; restart [hello.service]; watch",
			want: result{err: `hello.service  changed
hello.service  active (running) on node-2   main process 377 instead of 312
`},
		},
		"unload awaits that no node has the unit": {
			line:  "argosy unload hello",
			fake:  fake{units: units(launched), watches: [][]wire.Change{{full(moved), later(12, hello(cluster.Inactive))}}},
			asked: "unit hello.service; desired inactive [hello.service]; watch",
			want: result{err: `hello.service  changed
hello.service  active (running) on node-2   still on node-2
hello.service  unloaded
`},
		},
		"destroy awaits that the unit is gone": {
			line:  "argosy destroy hello",
			fake:  fake{units: units(launched), watches: [][]wire.Change{{full(launched), {Revision: 12, GoneUnits: []cluster.UnitName{"hello.service"}}}}},
			asked: "unit hello.service; destroy [hello.service]; watch",
			want: result{err: `hello.service  destroyed
hello.service  active (running) on node-2   still on node-2
hello.service  destroyed
`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := run(t, &c.fake, c.line)
				if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(result{})); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(c.asked, strings.Join(c.fake.requests, "; ")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// instances are web@1, web@2 … as the cluster has them: launched, restarted so
// often, and each with a main process that tells how often.
func instances(n, restarts int) []wire.UnitView {
	var all []wire.UnitView
	for i := range n {
		view := hello(cluster.Launched)
		view.Name = cluster.UnitName(fmt.Sprintf("web@%d.service", i+1))
		view.Restarts = int64(restarts)
		all = append(all, saying(placedOn(view, i%3+1), i%3+1, "active", "running", 100*(restarts+1)+i+1))
	}
	return all
}

func TestRestartGoesOneByOne(t *testing.T) {
	was, is := instances(3, 0), instances(3, 1)
	sick := is[1]
	sick.Statuses = slices.Clone(sick.Statuses)
	sick.Statuses[0].Active, sick.Statuses[0].Sub, sick.Statuses[0].Result, sick.Statuses[0].ExitCode = "failed", "failed", "exit-code", 7
	stopped := slices.Clone(was)
	stopped[2].Desired = cluster.Loaded
	cases := map[string]struct {
		line  string
		fake  fake
		asked string
		want  result
	}{
		"each waits for the one before": {
			line: "argosy restart web@{1..3}", fake: fake{units: was, watches: [][]wire.Change{{full(is[0])}, {full(is[1])}, {full(is[2])}}},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service; restart [web@1.service]; watch; " +
				"unit web@2.service; restart [web@2.service]; watch; unit web@3.service; restart [web@3.service]; watch",
			want: result{err: `web@1.service  changed
web@1.service  active (running) on node-1   main process 201 instead of 101
web@2.service  changed
web@2.service  active (running) on node-2   main process 202 instead of 102
web@3.service  changed
web@3.service  active (running) on node-3   main process 203 instead of 103
`},
		},
		"the first that fails is the last that is touched": {
			line: "argosy restart web@{1..3}", fake: fake{units: was, watches: [][]wire.Change{{full(is[0])}, {full(sick)}, {}}},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service; restart [web@1.service]; watch; unit web@2.service; restart [web@2.service]; watch",
			want: result{code: 1, err: `web@1.service  changed
web@1.service  active (running) on node-1   main process 201 instead of 101
web@2.service  changed
web@2.service  failed (exit-code, status 7) on node-2
argosy: web@2.service: 1 of 1 units failed; not restarted: web@3.service
hint: argosy journal UNIT shows more of what a unit said
`},
		},
		"so is one that does not come back in time": {
			line: "argosy restart --wait-timeout 30s web@{1..3}", fake: fake{units: was, watches: [][]wire.Change{{full(was...)}}},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service; restart [web@1.service]; watch",
			want: result{code: 3, err: `web@1.service  changed
web@1.service  active on node-1   still the main process 101
web@1.service  active on node-1   still the main process 101
argosy: web@1.service: gave up waiting after 30s; 1 of 1 units are still on their way, and go on; not restarted: web@2.service, web@3.service
hint: wait longer with --wait-timeout, or see argosy status UNIT
`},
		},
		"--all-at-once asks for all and waits for all": {
			line: "argosy restart --all-at-once web@{1..3}", fake: fake{units: was, watches: [][]wire.Change{{full(is...)}}},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service; restart [web@1.service web@2.service web@3.service]; watch",
			want: result{err: `web@1.service  changed
web@2.service  changed
web@3.service  changed
web@1.service  active (running) on node-1   main process 201 instead of 101
web@2.service  active (running) on node-2   main process 202 instead of 102
web@3.service  active (running) on node-3   main process 203 instead of 103
`},
		},
		"--no-block implies it": {
			line: "argosy restart --no-block web@{1..3}", fake: fake{units: was},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service; restart [web@1.service web@2.service web@3.service]",
			want:  result{err: "web@1.service  changed\nweb@2.service  changed\nweb@3.service  changed\n"},
		},
		"a unit that there is not keeps all as they are": {
			line: "argosy restart web@{1..4}", fake: fake{units: was},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service; unit web@4.service",
			want:  result{code: 1, err: "argosy: there is no unit web@4.service\nhint: argosy list-unit-files shows what there is\n"},
		},
		"so does one that is not to run": {
			line: "argosy restart web@{1..3}", fake: fake{units: stopped},
			asked: "unit web@1.service; unit web@2.service; unit web@3.service",
			want:  result{code: 1, err: "argosy: web@3.service is not launched but loaded: there is nothing to restart\nhint: argosy start web@3.service\n"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.fake.lasting = true
				got := run(t, &c.fake, c.line)
				if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(result{})); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(c.asked, strings.Join(c.fake.requests, "; ")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestCtrlCLeavesTheWorkRunningAndSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := fake{units: units(hello(cluster.Loaded)), watching: cancel, watches: [][]wire.Change{{full(pending(hello(cluster.Launched), "no node"))}}}
	got := session{}.runContext(t, ctx, &f, "argosy", "start", "hello")
	want := result{code: 3, err: `hello.service  changed
hello.service  pending   no node
hello.service  pending   no node
argosy: interrupted; 1 of 1 units are still on their way, and go on
hint: argosy status UNIT shows how far it is
`}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
}

func TestManyUnitsOnATerminalAreOneLine(t *testing.T) {
	var f fake
	var placing, active []wire.UnitView
	for i := range 20 {
		unit := hello(cluster.Launched)
		unit.Name = cluster.UnitName(fmt.Sprintf("web@%02d.service", i))
		done := saying(placedOn(unit, 1), 1, "active", "running", 5)
		active = append(active, done)
		if i < 5 {
			placing = append(placing, done)
		} else {
			placing = append(placing, unit)
		}
		unit.Desired = cluster.Loaded
		f.units = append(f.units, unit)
	}
	f.watches = [][]wire.Change{{full(placing...), later(12, active...)}}
	synctest.Test(t, func(t *testing.T) {
		got := session{terminal: true, width: 60}.run(t, &f, "argosy", "start", "web@{00..19}")
		want := "20 changed\n" +
			"5 of 20 done, 15 on their way (web@05.service: waiting, th…" + clearLine +
			"20 of 20 done" + clearLine + "20 of 20 done\n"
		if diff := cmp.Diff(want, got.err); diff != "" || got.code != 0 {
			t.Errorf("exit %d\n%s", got.code, diff)
		}
	})
}

func TestSubmit(t *testing.T) {
	const other = "[Service]\nExecStart=/bin/true\n"
	const replicated = other + "[X-Argosy]\nReplicas=2\n"
	replicatedTemplate, firstInstance := hello(cluster.Inactive), hello(cluster.Loaded)
	replicatedTemplate.Name, replicatedTemplate.Text = "web@.service", replicated
	firstInstance.Name = "web@1.service"
	inCluster := func(desired cluster.Desired) []wire.UnitView { return units(hello(desired)) }
	template := hello(cluster.Inactive)
	template.Name = "web@.service"
	cases := map[string]struct {
		files map[string]string
		fake  fake
		line  string // DIR is the folder of the files
		asked string
		want  result
	}{
		"a file is handed over byte for byte": {
			files: map[string]string{"hello.service": helloText}, line: "argosy submit DIR/hello.service",
			asked: "unit hello.service; submit hello.service:inactive:61",
			want:  result{err: "hello.service  created\n"},
		},
		"the type of a service may be left out of a path": {
			files: map[string]string{"hello.service": helloText}, line: "argosy submit DIR/hello",
			asked: "unit hello.service; submit hello.service:inactive:61",
			want:  result{err: "hello.service  created\n"},
		},
		"what the cluster has with the same text stays": {
			files: map[string]string{"hello.service": helloText}, fake: fake{units: inCluster(cluster.Launched)}, line: "argosy submit DIR/hello.service",
			asked: "unit hello.service", want: result{},
		},
		"another text is not taken without --replace": {
			files: map[string]string{"hello.service": other}, fake: fake{units: inCluster(cluster.Inactive)}, line: "argosy submit DIR/hello.service",
			asked: "unit hello.service",
			want:  result{err: "warning: DIR/hello.service: the cluster has another text under this name, which is kept; --replace takes the file\n"},
		},
		"--replace takes it": {
			files: map[string]string{"hello.service": other}, fake: fake{units: inCluster(cluster.Inactive)}, line: "argosy submit --replace DIR/hello.service",
			asked: "unit hello.service; submit replace hello.service:inactive:30",
			want:  result{err: "hello.service  replaced\n"},
		},
		"submit --replace does not disturb what runs": {
			files: map[string]string{"hello.service": other}, fake: fake{units: inCluster(cluster.Launched)}, line: "argosy submit --replace DIR/hello.service",
			asked: "unit hello.service",
			want:  result{err: "warning: hello.service is launched, and submit --replace does not touch what is further than it goes itself; the text stays\n"},
		},
		"start --replace replaces what runs": {
			files: map[string]string{"hello.service": other}, fake: fake{units: inCluster(cluster.Launched)}, line: "argosy start --no-block --replace DIR/hello.service",
			asked: "unit hello.service; submit replace hello.service:launched:30",
			want:  result{err: "hello.service  replaced\n"},
		},
		"start submits what the cluster does not have, in one request": {
			files: map[string]string{"hello.service": helloText}, line: "argosy start --no-block DIR/hello.service",
			asked: "unit hello.service; submit hello.service:launched:61",
			want:  result{err: "hello.service  created\n"},
		},
		"instances are made from the cluster's template": {
			fake: fake{units: units(template)}, line: "argosy start --no-block web@{1..2}",
			asked: "unit web@1.service; unit web@2.service; unit web@.service; submit web@1.service:launched:61 web@2.service:launched:61",
			want:  result{err: "web@1.service  created\nweb@2.service  created\n"},
		},
		"the cluster's template goes before a template file": {
			files: map[string]string{"web@.service": other}, fake: fake{units: units(template)}, line: "argosy start --no-block DIR/web@1",
			asked: "unit web@1.service; unit web@.service; submit web@1.service:launched:61",
			want:  result{err: "web@1.service  created\n"},
		},
		"a file of the very name goes before the cluster's template": {
			files: map[string]string{"web@1.service": other}, fake: fake{units: units(template)}, line: "argosy start --no-block DIR/web@1",
			asked: "unit web@1.service; unit web@.service; submit web@1.service:launched:30",
			want:  result{err: "web@1.service  created\n"},
		},
		"a template file next to it is the last resort": {
			files: map[string]string{"web@.service": other}, line: "argosy start --no-block DIR/web@1",
			asked: "unit web@1.service; unit web@.service; submit web@1.service:launched:30",
			want:  result{err: "web@1.service  created\n"},
		},
		"a template runs nowhere itself": {
			files: map[string]string{"web@.service": other}, line: "argosy start DIR/web@.service",
			asked: "unit web@.service",
			want:  result{code: 1, err: "argosy: web@.service is a template and runs nowhere itself\nhint: name an instance: argosy start web@1; or say Replicas= in it\n"},
		},
		"a template with replicas is submitted, and so many instances are started": {
			files: map[string]string{"web@.service": replicated}, line: "argosy start --no-block DIR/web@.service",
			asked: "unit web@.service; unit web@1.service; unit web@2.service; unit web@.service; submit web@.service:inactive:52 web@1.service:launched:52 web@2.service:launched:52",
			want:  result{err: "web@.service  created\nweb@1.service  created\nweb@2.service  created\n"},
		},
		"of a template in the cluster those that are missing are made": {
			fake: fake{units: units(replicatedTemplate, firstInstance)}, line: "argosy start --no-block web@ web@2",
			asked: "unit web@.service; unit web@2.service; unit web@.service; unit web@.service; unit web@1.service; submit web@2.service:launched:52; desired launched [web@1.service]",
			want:  result{err: "web@2.service  created\nweb@1.service  changed\n"},
		},
		"submit stores a template with replicas and starts nothing": {
			files: map[string]string{"web@.service": replicated}, line: "argosy submit DIR/web@.service",
			asked: "unit web@.service; submit web@.service:inactive:52",
			want:  result{err: "web@.service  created\n"},
		},
		"a unit that is nowhere says where it was looked for": {
			line:  "argosy start DIR/web@1",
			asked: "unit web@1.service; unit web@.service",
			want: result{code: 1, err: "argosy: web@1.service: the cluster has no unit of this name, and there is no file DIR/web@1.service, nor a template web@.service in either place\n" +
				"hint: a path names a unit file on this machine\n"},
		},
		"one bad file keeps all out, with file and line": {
			files: map[string]string{"a.service": helloText, "b.service": "[Service]\nnonsense\n"}, line: "argosy submit DIR/a.service DIR/b.service",
			asked: "unit a.service; unit b.service",
			want: result{code: 1, err: "argosy: b.service cannot be a unit:\n" +
				"  DIR/b.service:2: error: missing '=' in \"nonsense\" (write Key=Value; a long value goes on after a \"\\\" at the end of the line)\n"},
		},
		"a file of another kind is misuse": {
			files: map[string]string{"notes.txt": "x"}, line: "argosy submit DIR/notes.txt",
			want: result{code: 2, err: "argosy: DIR/notes.txt: the name of a unit file ends in its type, as in notes.service\nsee argosy submit --help\n"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			got := run(t, &c.fake, strings.ReplaceAll(c.line, "DIR", dir))
			got.err = told(got.err, dir)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.asked, strings.Join(c.fake.requests, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAThousandFilesAreFewRequests(t *testing.T) {
	f := fake{}
	files := map[string]string{}
	args := []string{"argosy", "submit"}
	for i := range 1000 {
		files["u"+strings.Repeat("x", i%50)+strings.Repeat("y", i/50)+".service"] = helloText
	}
	dir := write(t, files)
	for name := range files {
		args = append(args, filepath.Join(dir, name))
	}
	if got := (session{}).run(t, &f, args...); got.code != 0 {
		t.Fatal(got.err)
	}
	if diff := cmp.Diff([]string{"units", "submit 1000 units"}, f.requests); diff != "" {
		t.Error(diff)
	}
}

func TestAFileLongerThanAUnitMayBeIsRefusedBeforeItIsSent(t *testing.T) {
	f := fake{}
	dir := write(t, map[string]string{"big.service": "[Service]\n" + strings.Repeat("#\n", cluster.UnitTextMax)})
	got := run(t, &f, "argosy submit "+dir+"/big.service")
	if got.code != 1 || strings.Contains(strings.Join(f.requests, " "), "submit") {
		t.Errorf("exit %d, asked %v\n%s", got.code, f.requests, got.err)
	}
}

func TestCatIsByteForByte(t *testing.T) {
	const text = "[Unit]\r\nDescription=x \\\n y\n\n; end without a newline"
	unit := hello(cluster.Inactive)
	unit.Text = text
	f := fake{units: units(unit)}
	if got := run(t, &f, "argosy cat hello"); got.out != text || got.code != 0 || got.err != "" {
		t.Errorf("%+v", got)
	}
}

func TestJournal(t *testing.T) {
	f := fake{nodes: threeNodes(), journals: map[string][]string{"hello.service": {"one", "two"}}}
	got := run(t, &f, "argosy journal -n 5 --node node-2 hello")
	if got.out != "one\ntwo\n" || got.code != 0 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"nodes", "journal hello.service 00000002 5 false short-iso"}, f.requests); diff != "" {
		t.Error(diff)
	}
}

func TestFormsOfAJournal(t *testing.T) {
	for _, c := range []struct{ line, asked, out string }{
		{"argosy journal hello", "journal hello.service  10 false short-iso", "one\ntwo\n"},
		{"argosy journal -o json hello", "journal hello.service  10 false json", "one\ntwo\n"},
		{"fleetctl journal hello", "journal hello.service  10 false short", "one\ntwo\n"},
		{"fleetctl journal --output=cat hello", "journal hello.service  10 false cat", "one\ntwo\n"},
		{"argosy journal --output=export hello", "journal hello.service  10 false export", "onetwo"}, // bytes as they are
	} {
		f := fake{journals: map[string][]string{"hello.service": {"one", "two"}}}
		if got := run(t, &f, c.line); got.out != c.out || got.code != 0 || f.requests[0] != c.asked {
			t.Errorf("%s: %+v, asked %q", c.line, got, f.requests)
		}
	}
}

func TestVerifyNeedsNoCluster(t *testing.T) {
	dir := write(t, map[string]string{"good.service": helloText, "bad.service": "[Service]\nnonsense\n"})
	f := fake{}
	got := run(t, &f, "argosy verify "+dir+"/good.service "+dir+"/bad.service")
	want := result{
		code: 1,
		out:  "DIR/bad.service:2: error: missing '=' in \"nonsense\" (write Key=Value; a long value goes on after a \"\\\" at the end of the line)\n",
		err:  "argosy: 1 of 2 files would be refused\n",
	}
	got.out = told(got.out, dir)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
	if len(f.requests) > 0 {
		t.Errorf("asked %v", f.requests)
	}
}
