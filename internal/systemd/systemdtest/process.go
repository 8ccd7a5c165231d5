package systemdtest

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

// restartDelay is systemd's DefaultRestartSec=.
const restartDelay = 100 * time.Millisecond

// unit is one unit that the fake systemd has loaded.
type unit struct {
	name        cluster.UnitName
	ours        bool
	version     int // of the file that was read
	environment int // of the drop-in that was read, which says where variables are
	settings    map[string]string
	loadState   string

	active, sub string
	result      string
	exitCode    int
	pid         int
	since       time.Time
	invocation  string
	restarts    int         // by itself
	starts      []time.Time // automatic and other starts, for the start limit

	job   chan string // the waiter of the job that runs
	after func()      // what follows once the unit is down
	run   int         // numbers states; a timer of an earlier one does nothing
}

func newUnit(name cluster.UnitName, text string, version int, ours bool) *unit {
	u := &unit{name: name, ours: ours, active: "inactive", sub: "dead"}
	u.read(text, version)
	return u
}

// read takes the settings from a text. The last assignment of a key counts,
// which is all that the fake's services need.
func (u *unit) read(text string, version int) {
	u.version, u.loadState = version, "loaded"
	u.settings = map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			u.settings[key] = value
		}
	}
	if u.isService() && u.settings["ExecStart"] == "" {
		u.loadState = "bad-setting"
	}
}

func (u *unit) isService() bool { return u.name.Type() == "service" }

// span reads a time span in systemd's plain forms ("5", "5s", "200ms").
func (u *unit) span(key string, other time.Duration) time.Duration {
	value := u.settings[key]
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	if d, err := time.ParseDuration(strings.Replace(value, "min", "m", 1)); err == nil {
		return d
	}
	return other
}

// command says what a command line does: how long it takes (forever: -1), its
// exit status and the lines that it prints.
func command(line string) (lasts time.Duration, status int, prints string) {
	words := strings.Fields(strings.TrimLeft(line, "-@:+!"))
	if len(words) == 0 {
		return 0, 0, ""
	}
	verb := words[0][strings.LastIndexByte(words[0], '/')+1:]
	rest := strings.Join(words[1:], " ")
	switch verb {
	case "true":
		return 0, 0, ""
	case "false":
		return 0, 1, ""
	case "echo":
		return 0, 0, rest + "\n"
	case "seq":
		last, _ := strconv.Atoi(rest)
		for i := range last {
			prints += strconv.Itoa(i+1) + "\n"
		}
		return 0, 0, prints
	case "sleep":
		if seconds, err := strconv.ParseFloat(rest, 64); err == nil {
			return time.Duration(seconds * float64(time.Second)), 0, ""
		}
	}
	return -1, 0, ""
}

func (u *unit) endJob(result string) {
	if u.job != nil {
		u.job <- result
		u.job = nil
	}
}

// load returns the loaded unit, reading its file if need be; nil if there is
// none.
func (f *Fake) load(name cluster.UnitName) *unit {
	name = cmp.Or(f.aliases[name], name)
	if u := f.units[name]; u != nil {
		return u
	}
	if text, ok := f.host[name]; ok {
		f.units[name] = newUnit(name, text, 0, false)
	} else if own, ok := f.files[name]; ok {
		f.units[name] = newUnit(name, own.text, own.version, true)
		f.units[name].environment = f.environments[name].version
	}
	return f.units[name]
}

// enqueue begins a job and returns where its result will come.
func (f *Fake) enqueue(verb systemd.Verb, name cluster.UnitName) (<-chan string, error) {
	job := make(chan string, 1)
	u := f.load(name)
	if u == nil && verb == systemd.Stop {
		job <- "done"
		return job, nil
	}
	if u == nil {
		return nil, cluster.Errorf(cluster.NotFound, "Unit %s not found.", name)
	}
	if verb == systemd.Stop {
		u.after = nil
		f.end(u, job)
		return job, nil
	}
	if u.loadState != "loaded" {
		return nil, cluster.Errorf(cluster.Invalid, "Unit %s has a bad unit file setting.", name)
	}
	for _, other := range strings.Fields(u.settings["Requires"]) {
		if f.load(cluster.UnitName(other)) == nil {
			return nil, cluster.Errorf(cluster.NotFound, "Unit %s not found.", other)
		}
		if o := f.units[cluster.UnitName(other)]; o.active == "inactive" || o.active == "failed" {
			f.begin(o, make(chan string, 1))
		}
	}
	switch {
	case u.active == "inactive" || u.active == "failed":
		f.begin(u, job)
	case verb == systemd.Restart || u.active == "deactivating":
		u.after = func() { f.begin(u, job) }
		if u.active != "deactivating" {
			f.end(u, make(chan string, 1))
		}
	case u.active == "activating":
		u.endJob("done") // merged into the newer one
		u.job = job
	default:
		job <- "done"
	}
	return job, nil
}

// set moves a unit to another state and tells the world.
func (f *Fake) set(u *unit, active, sub string) {
	if u.active != active {
		u.since = time.Now()
	}
	u.active, u.sub = active, sub
	u.run++
	f.change(u.name)
}

// later calls a function after d, unless the unit changed its state meanwhile.
func (f *Fake) later(u *unit, d time.Duration, then func()) {
	run, boot := u.run, f.boot
	loop.NewDeadline(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if u.run == run && f.boot == boot {
			then()
		}
	})
}

// begin starts a unit that is down.
func (f *Fake) begin(u *unit, job chan string) {
	u.endJob("canceled")
	u.job = job
	if u.sub != "auto-restart" {
		u.restarts = 0
	}
	switch { // paths that are asked for are never there
	case u.settings["AssertPathExists"] != "":
		f.print(u.name, "Assertion failed for "+string(u.name))
		u.endJob("assert")
		return
	case u.settings["ConditionPathExists"] != "":
		u.endJob("done")
		return
	}
	u.result, u.exitCode = "success", 0
	f.nextPID++
	u.invocation = fmt.Sprintf("%032x", f.nextPID)
	if !u.isService() {
		f.set(u, "active", "active")
		u.endJob("done")
		return
	}
	if f.limited(u) {
		f.fail(u, "start-limit-hit")
		return
	}
	f.set(u, "activating", "start")
	if lasts, status, prints := command(u.settings["ExecStartPre"]); u.settings["ExecStartPre"] != "" {
		f.set(u, "activating", "start-pre")
		f.printLines(u.name, prints)
		f.await(u, lasts, func() {
			if status != 0 {
				f.exit(u, status)
				return
			}
			f.main(u)
		})
		return
	}
	f.main(u)
}

// limited counts a start and reports whether there were too many (five in ten
// seconds, systemd's default).
func (f *Fake) limited(u *unit) bool {
	now := time.Now()
	for len(u.starts) > 0 && now.Sub(u.starts[0]) > u.span("StartLimitIntervalSec", 10*time.Second) {
		u.starts = u.starts[1:]
	}
	if len(u.starts) >= u.startLimit() && u.settings["StartLimitIntervalSec"] != "0" {
		return true
	}
	u.starts = append(u.starts, now)
	return false
}

// startLimit is the unit's StartLimitBurst=, or systemd's default.
func (u *unit) startLimit() int {
	if most, err := strconv.Atoi(u.settings["StartLimitBurst"]); err == nil {
		return most
	}
	return 5
}

// await goes on after a command's time; one that takes too long fails the start.
func (f *Fake) await(u *unit, lasts time.Duration, then func()) {
	limit := u.span("TimeoutStartSec", 90*time.Second)
	if lasts >= 0 && lasts < limit {
		f.later(u, lasts, then)
		return
	}
	f.later(u, limit, func() { f.fail(u, "timeout") })
}

// main runs the main process.
func (f *Fake) main(u *unit) {
	f.nextPID++
	u.pid = f.nextPID
	lasts, status, prints := command(f.expanded(u, u.settings["ExecStart"]))
	f.print(u.name, "Started "+string(u.name))
	f.printLines(u.name, prints)
	switch u.settings["Type"] {
	case "oneshot":
		f.set(u, "activating", "start")
		if lasts < 0 {
			return // no limit by default
		}
		f.later(u, lasts, func() { f.exit(u, status) })
	case "notify":
		f.set(u, "activating", "start") // nothing here ever says READY=1
		f.await(u, -1, nil)
	default:
		f.set(u, "active", "running")
		u.endJob("done")
		if lasts >= 0 {
			f.later(u, lasts, func() { f.exit(u, status) })
		}
	}
}

// expanded puts the variables of a unit into a command line.
func (f *Fake) expanded(u *unit, line string) string {
	return os.Expand(line, func(key string) string {
		for _, v := range f.environments[u.name].variables {
			if value, is := strings.CutPrefix(v, key+"="); is && u.environment != 0 {
				return value
			}
		}
		return ""
	})
}

// exit ends the main process by itself.
func (f *Fake) exit(u *unit, status int) {
	u.exitCode = status
	if status != 0 {
		f.print(u.name, fmt.Sprintf("Main process exited, status=%d", status))
		f.fail(u, "exit-code")
		return
	}
	u.pid = 0
	if u.settings["RemainAfterExit"] == "yes" {
		f.set(u, "active", "exited")
		u.endJob("done")
		return
	}
	if u.settings["Restart"] == "always" {
		f.auto(u)
		return
	}
	f.set(u, "inactive", "dead")
	u.endJob("done")
	f.collect(u.name)
}

// fail ends a unit badly, or starts it anew if it says so.
func (f *Fake) fail(u *unit, result string) {
	u.pid, u.result = 0, result
	f.print(u.name, fmt.Sprintf("%s: Failed with result '%s'.", u.name, result))
	if r := u.settings["Restart"]; (r == "always" || r == "on-failure") && result != "start-limit-hit" {
		f.auto(u)
		return
	}
	f.set(u, "failed", "failed")
	u.endJob("failed")
}

func (f *Fake) auto(u *unit) {
	u.pid = 0
	f.set(u, "activating", "auto-restart")
	f.later(u, u.span("RestartSec", restartDelay), func() {
		u.restarts++
		job := u.job
		u.job = nil
		if job == nil {
			job = make(chan string, 1)
		}
		f.begin(u, job)
	})
}

// end stops a unit.
func (f *Fake) end(u *unit, job chan string) {
	if u.active == "inactive" || u.active == "failed" {
		job <- "done"
		return
	}
	u.endJob("canceled")
	u.job = job
	down := func() {
		u.pid = 0
		f.set(u, "inactive", "dead")
		f.print(u.name, "Stopped "+string(u.name))
		u.endJob("done")
		then := u.after
		u.after = nil
		if then != nil {
			then()
			return
		}
		f.collect(u.name)
	}
	lasts, _, _ := command(u.settings["ExecStop"])
	if u.pid == 0 || u.settings["ExecStop"] == "" || lasts == 0 {
		down()
		return
	}
	if limit := u.span("TimeoutStopSec", 90*time.Second); lasts < 0 || lasts > limit {
		lasts = limit
	}
	f.set(u, "deactivating", "stop")
	f.later(u, lasts, down)
}

// collect forgets a unit that is down and that nothing needs, as systemd does.
func (f *Fake) collect(name cluster.UnitName) {
	if u := f.units[name]; u != nil && u.active == "inactive" && u.ours {
		delete(f.units, name)
	}
}

func (f *Fake) resetFailed(name cluster.UnitName) {
	u := f.units[name]
	if u == nil {
		return
	}
	u.starts = nil
	if u.active == "failed" {
		u.result = "success"
		f.set(u, "inactive", "dead")
		f.collect(name)
	}
}
