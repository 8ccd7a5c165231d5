package systemdtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// Node is one implementation under test: a systemd that holds no unit whose
// name begins with "argosytest-".
type Node struct {
	Manager systemd.Manager
	Journal systemd.Journal
	// Host is the name of a loaded unit that is not ours, and Alias another name
	// of such a unit.
	Host, Alias cluster.UnitName
}

// patience is how long a state may take to come about.
const patience = 20 * time.Second

// Run runs the conformance suite: what every systemd.Manager and Journal must
// do. Each test gets a node from open; what it makes it removes.
func Run(t *testing.T, open func(t *testing.T) Node) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s *suite)
	}{
		{"an unknown name is not found", testUnknown},
		{"a unit of the host is not ours and is not written over", testHost},
		{"a second name of a unit of the host is the host's too", testAlias},
		{"a new unit starts without a reload", testStart},
		{"stop ends the process", testStop},
		{"restart gives another process and invocation", testRestart},
		{"writing the same text again changes nothing", testSameText},
		{"a changed file of a loaded unit is stale until the reload", testStale},
		{"a failed start says failed, with the exit code, until reset", testFailed},
		{"a unit that systemd starts again is seen to do so, until it is stopped", testAutoRestart},
		{"a oneshot that ended well is inactive", testOneshot},
		{"an assertion that does not hold ends the start, and the unit is inactive", testAssertion},
		{"a start that a condition forbids is well done, and the unit is inactive", testCondition},
		{"a unit file that systemd refuses cannot be started", testBadSetting},
		{"a missing requirement is an error that names it", testMissingRequirement},
		{"a unit whose file was removed while it runs is still ours", testRemovedWhileRunning},
		{"a removed unit is gone", testRemove},
		{"stopping, removing and resetting what is not there is no error", testNothingThere},
		{"giving up on a job leaves the job alone", testGiveUp},
		{"changes name the unit that changed", testChanges},
		{"the journal holds the lines of the unit", testJournal},
		{"a unit starts with the variables that it was given last", testEnvironment},
		{"the first variables of a unit that is loaded take a reload", testLateEnvironment},
		{"of a unit that fails systemd's verdict is told last", testVerdict},
		{"the journal has journalctl's forms, and no others", testJournalForms},
		{"names with every legal character work", testStrangeNames},
	} {
		t.Run(tt.name, func(t *testing.T) {
			node := open(t)
			s := &suite{t: t, node: node}
			defer s.clean()
			tt.test(t, s)
		})
	}
}

// suite is one test's helper.
type suite struct {
	t     *testing.T
	node  Node
	names []cluster.UnitName
}

// Texts of units.
const (
	forever = "[Service]\nExecStart=/bin/sleep infinity\n"
	fails   = "[Service]\nType=oneshot\nExecStart=/bin/false\n"
)

func (s *suite) clean() {
	ctx := context.WithoutCancel(s.t.Context())
	for _, name := range s.names {
		_, _ = s.node.Manager.Run(ctx, systemd.Stop, name)
		_, _ = s.node.Manager.Run(ctx, systemd.ResetFailed, name)
		if err := s.node.Manager.Remove(ctx, name); err != nil {
			s.t.Errorf("clean up %s: %v", name, err)
		}
	}
}

// write writes a unit; it is removed at the end.
func (s *suite) write(name cluster.UnitName, text string) {
	s.t.Helper()
	s.names = append(s.names, name)
	if err := s.node.Manager.Write(s.t.Context(), name, text); err != nil {
		s.t.Fatalf("write %s: %v", name, err)
	}
}

func (s *suite) run(verb systemd.Verb, name cluster.UnitName, want string) {
	s.t.Helper()
	result, err := s.node.Manager.Run(s.t.Context(), verb, name)
	if err != nil || result != want {
		s.t.Fatalf("%s %s: %q, %v; want %q", verb, name, result, err, want)
	}
}

func (s *suite) observe(name cluster.UnitName) systemd.Unit {
	s.t.Helper()
	units, err := s.node.Manager.Observe(s.t.Context(), name)
	if err != nil || len(units) != 1 || units[0].Name != name {
		s.t.Fatalf("observe %s: %+v, %v", name, units, err)
	}
	return units[0]
}

// await observes a unit at each sign of change until it is as wanted.
func (s *suite) await(name cluster.UnitName, what string, is func(systemd.Unit) bool) systemd.Unit {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		u := s.observe(name)
		if is(u) {
			return u
		}
		select {
		case <-s.node.Manager.Changes():
		case <-ctx.Done():
			s.t.Fatalf("%s did not become %s: %+v", name, what, u)
		}
	}
}

func testUnknown(t *testing.T, s *suite) {
	u := s.observe("argosytest-none.service")
	if u.Load != "not-found" || u.Active != "inactive" || u.Ours || u.Stale || u.FileHash != "" {
		t.Errorf("%+v", u)
	}
}

func testHost(t *testing.T, s *suite) {
	u := s.observe(s.node.Host)
	if u.Load != "loaded" || u.Ours || u.FileHash != "" {
		t.Errorf("%+v", u)
	}
	all, err := s.node.Manager.Observe(t.Context())
	if err != nil || slices.ContainsFunc(all, func(u systemd.Unit) bool { return u.Name == s.node.Host }) {
		t.Errorf("it is among ours, or %v", err)
	}
}

func testAlias(t *testing.T, s *suite) {
	if u := s.observe(s.node.Alias); u.Load != "loaded" || u.Ours || u.Stale || u.FileHash != "" {
		t.Errorf("%+v", u)
	}
	both, err := s.node.Manager.Observe(t.Context(), "argosytest-none.service", s.node.Alias, s.node.Host)
	if err != nil || len(both) != 3 {
		t.Errorf("among others: %+v, %v", both, err)
	}
}

func testStart(t *testing.T, s *suite) {
	const name = "argosytest-start.service"
	if u := s.observe(name); u.Load != "not-found" {
		t.Fatalf("%+v", u)
	}
	s.write(name, forever)
	if u := s.observe(name); u.Load != "loaded" || !u.Ours || u.Stale || u.Active != "inactive" || u.FileHash != cluster.HashText(forever) {
		t.Errorf("before the start: %+v", u)
	}
	s.run(systemd.Start, name, "done")
	u := s.observe(name)
	if u.Active != "active" || u.Sub != "running" || u.MainPID == 0 || u.Invocation == "" || u.Stale || !u.Ours || u.Since.IsZero() {
		t.Errorf("after the start: %+v", u)
	}
	all, err := s.node.Manager.Observe(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(u systemd.Unit) bool { return u.Name == name }) {
		t.Errorf("it is not among ours: %v", err)
	}
}

func testStop(t *testing.T, s *suite) {
	const name = "argosytest-stop.service"
	s.write(name, forever)
	s.run(systemd.Start, name, "done")
	s.run(systemd.Stop, name, "done")
	if u := s.observe(name); u.Active != "inactive" || u.MainPID != 0 || !u.Ours {
		t.Errorf("%+v", u)
	}
	s.run(systemd.Stop, name, "done") // again
}

func testRestart(t *testing.T, s *suite) {
	const name = "argosytest-restart.service"
	s.write(name, forever)
	s.run(systemd.Start, name, "done")
	before := s.observe(name)
	s.run(systemd.Restart, name, "done")
	after := s.observe(name)
	if after.MainPID == before.MainPID || after.MainPID == 0 || after.Invocation == before.Invocation || after.Active != "active" {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}

// text fails unless the file of a unit holds a text.
func (s *suite) text(name cluster.UnitName, want string) {
	s.t.Helper()
	if got, err := s.node.Manager.Text(s.t.Context(), name); err != nil || got != want {
		s.t.Errorf("the file of %s holds %q, %v; want %q", name, got, err, want)
	}
}

func testSameText(t *testing.T, s *suite) {
	const name = "argosytest-same.service"
	s.write(name, forever)
	s.run(systemd.Start, name, "done")
	s.write(name, forever)
	if u := s.observe(name); u.Stale {
		t.Errorf("%+v", u)
	}
}

func testStale(t *testing.T, s *suite) {
	const name = "argosytest-stale.service"
	s.write(name, forever)
	s.run(systemd.Start, name, "done")
	changed := forever + "Environment=X=1\n"
	s.write(name, changed)
	if u := s.observe(name); !u.Stale || u.FileHash != cluster.HashText(changed) || u.Active != "active" {
		t.Errorf("after the write: %+v", u)
	}
	if err := s.node.Manager.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := s.observe(name); u.Stale || u.Active != "active" {
		t.Errorf("after the reload: %+v", u)
	}
	s.text(name, changed)
}

func testFailed(t *testing.T, s *suite) {
	const name = "argosytest-failed.service"
	s.write(name, fails)
	s.run(systemd.Start, name, "failed")
	if u := s.observe(name); u.Active != "failed" || u.Result != "exit-code" || u.ExitCode != 1 || u.MainPID != 0 {
		t.Errorf("%+v", u)
	}
	s.run(systemd.ResetFailed, name, "done")
	if u := s.observe(name); u.Active != "inactive" {
		t.Errorf("after the reset: %+v", u)
	}
}

func testAutoRestart(t *testing.T, s *suite) {
	const name = "argosytest-again.service"
	s.write(name, "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=200ms\n")
	s.run(systemd.Start, name, "done")
	s.await(name, "started again twice", func(u systemd.Unit) bool {
		return u.Active == "activating" && u.AutoRestarts >= 2 && u.RestartDelay == 200*time.Millisecond
	})
	s.run(systemd.Stop, name, "done")
	if u := s.observe(name); u.Active != "inactive" && u.Active != "failed" || u.AutoRestarts != 0 {
		t.Errorf("%+v", u)
	}
}

func testOneshot(t *testing.T, s *suite) {
	const name = "argosytest-once.service"
	s.write(name, "[Service]\nType=oneshot\nExecStart=/bin/true\n")
	s.run(systemd.Start, name, "done")
	if u := s.observe(name); u.Active != "inactive" || !u.Ours {
		t.Errorf("%+v", u)
	}
}

func testAssertion(t *testing.T, s *suite) {
	const name = "argosytest-assert.service"
	s.write(name, "[Unit]\nAssertPathExists=/no/such/path\n"+forever)
	s.run(systemd.Start, name, "assert")
	if u := s.observe(name); u.Active != "inactive" || !u.Ours || !u.Since.IsZero() {
		t.Errorf("%+v", u)
	}
}

func testCondition(t *testing.T, s *suite) {
	const name = "argosytest-condition.service"
	s.write(name, "[Unit]\nConditionPathExists=/no/such/path\n"+forever)
	s.run(systemd.Start, name, "done")
	if u := s.observe(name); u.Active != "inactive" || !u.Ours {
		t.Errorf("%+v", u)
	}
}

func testBadSetting(t *testing.T, s *suite) {
	const name = "argosytest-bad.service"
	s.write(name, "[Service]\nType=simple\n")
	if u := s.observe(name); u.Load != "bad-setting" || !u.Ours {
		t.Errorf("%+v", u)
	}
	if result, err := s.node.Manager.Run(t.Context(), systemd.Start, name); err == nil {
		t.Errorf("started: %q", result)
	}
}

func testMissingRequirement(t *testing.T, s *suite) {
	const name = "argosytest-requires.service"
	s.write(name, "[Unit]\nRequires=argosytest-missing.service\n"+forever)
	_, err := s.node.Manager.Run(t.Context(), systemd.Start, name)
	if err == nil || !strings.Contains(err.Error(), "argosytest-missing.service not found") {
		t.Errorf("%v", err)
	}
	s.write("argosytest-missing.service", forever)
	s.run(systemd.Start, name, "done") // without a reload
}

func testRemovedWhileRunning(t *testing.T, s *suite) {
	const name = "argosytest-orphan.service"
	s.write(name, forever)
	s.run(systemd.Start, name, "done")
	if err := s.node.Manager.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	all, err := s.node.Manager.Observe(t.Context())
	i := slices.IndexFunc(all, func(u systemd.Unit) bool { return u.Name == name })
	if err != nil || i < 0 {
		t.Fatalf("it is not among ours: %v", err)
	}
	if u := all[i]; !u.Ours || u.Active != "active" || u.FileHash != "" || !u.Stale {
		t.Errorf("%+v", u)
	}
	s.run(systemd.Stop, name, "done")
	s.await(name, "gone", func(u systemd.Unit) bool { return u.Active == "inactive" })
}

func testRemove(t *testing.T, s *suite) {
	const name = "argosytest-remove.service"
	s.write(name, forever)
	s.run(systemd.Start, name, "done")
	s.run(systemd.Stop, name, "done")
	if err := s.node.Manager.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.await(name, "not-found", func(u systemd.Unit) bool { return u.Load == "not-found" && !u.Ours })
	s.text(name, "")
	all, err := s.node.Manager.Observe(t.Context())
	if err != nil || slices.ContainsFunc(all, func(u systemd.Unit) bool { return u.Name == name }) {
		t.Errorf("still among ours, or %v", err)
	}
}

func testNothingThere(t *testing.T, s *suite) {
	const name = "argosytest-nothing.service"
	if err := s.node.Manager.Remove(t.Context(), name); err != nil {
		t.Error(err)
	}
	s.run(systemd.ResetFailed, name, "done")
	s.run(systemd.Stop, name, "done")
}

func testGiveUp(t *testing.T, s *suite) {
	const name = "argosytest-slow.service"
	s.write(name, "[Service]\nType=oneshot\nExecStart=/bin/sleep 2\nRemainAfterExit=yes\n")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if result, err := s.node.Manager.Run(ctx, systemd.Start, name); err == nil {
		t.Fatalf("it ended at once: %q", result)
	}
	s.await(name, "active", func(u systemd.Unit) bool { return u.Active == "active" })
}

func testChanges(t *testing.T, s *suite) {
	const name = "argosytest-changes.service"
	s.write(name, "[Service]\nExecStart=/bin/sleep 0.3\n")
	s.run(systemd.Start, name, "done")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case names := <-s.node.Manager.Changes():
			if (len(names) == 0 || slices.Contains(names, name)) && s.observe(name).Active == "inactive" {
				return
			}
		case <-ctx.Done():
			t.Fatal("its end was not signalled")
		}
	}
}

func testJournal(t *testing.T, s *suite) {
	const name = "argosytest-journal.service"
	s.write(name, "[Service]\nType=oneshot\nExecStart=/bin/echo hello from the unit\n")
	s.run(systemd.Start, name, "done")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.node.Journal.Follow(ctx, name, systemd.JournalView{Lines: 10, Follow: true}, func(line string) error {
		if strings.Contains(line, "hello from the unit") {
			return context.Canceled
		}
		return nil
	})
	if err != context.Canceled { //nolint:errorlint // it comes back as it was returned
		t.Fatalf("follow: %v", err)
	}
	lines, err := s.node.Journal.Tail(t.Context(), name, 1000)
	if err != nil || !slices.Contains(lines, "hello from the unit") {
		t.Errorf("tail: %q, %v", lines, err)
	}
}

// said returns what a unit printed, one text for each of its starts.
func (s *suite) said(name cluster.UnitName) []string {
	s.t.Helper()
	if err := s.node.Journal.Sync(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	lines, err := s.node.Journal.Tail(s.t.Context(), name, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	var said []string
	for _, line := range lines {
		if word, is := strings.CutPrefix(line, "it says "); is {
			said = append(said, word)
		}
	}
	return said
}

func (s *suite) environment(name cluster.UnitName, variables ...string) {
	s.t.Helper()
	if err := s.node.Manager.SetEnvironment(s.t.Context(), name, variables); err != nil {
		s.t.Fatalf("environment of %s: %v", name, err)
	}
}

const says = "[Service]\nType=oneshot\nExecStart=/bin/echo it says ${WORD}.\n"

func testEnvironment(t *testing.T, s *suite) {
	const name = `argosytest-en\x2dv@1.service`
	s.environment(name, "WORD=a'b c\\d%i$X")
	s.write(name, says)
	s.run(systemd.Start, name, "done")
	if got, err := s.node.Manager.Environment(t.Context(), name); err != nil || !slices.Equal(got, []string{"WORD=a'b c\\d%i$X"}) {
		t.Errorf("the variables are %q, %v", got, err)
	}
	s.environment(name, "WORD=second")
	if u := s.observe(name); u.Stale {
		t.Errorf("other variables make the unit stale: %+v", u)
	}
	s.run(systemd.Start, name, "done")
	if got, want := s.said(name), []string{`a'b c\d%i$X.`, "second."}; !slices.Equal(got, want) {
		t.Errorf("the unit was told %q, want %q", got, want)
	}
}

func testLateEnvironment(t *testing.T, s *suite) {
	const name = "argosytest-late.service"
	s.write(name, says+"RemainAfterExit=yes\n")
	s.run(systemd.Start, name, "done")
	s.environment(name, "WORD=first")
	if err := s.node.Manager.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := s.observe(name); u.Stale {
		t.Errorf("after the reload: %+v", u)
	}
	s.run(systemd.Restart, name, "done")
	s.environment(name)
	if err := s.node.Manager.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.run(systemd.Restart, name, "done")
	if got, err := s.node.Manager.Environment(t.Context(), name); err != nil || len(got) > 0 {
		t.Errorf("variables that were taken away: %q, %v", got, err)
	}
	if got, want := s.said(name), []string{".", "first.", "."}; !slices.Equal(got, want) {
		t.Errorf("the unit was told %q, want %q", got, want)
	}
}

func testVerdict(t *testing.T, s *suite) {
	const name = "argosytest-verdict.service"
	s.write(name, "[Service]\nType=oneshot\nExecStartPre=/bin/echo my last words\nExecStart=/bin/false\n")
	s.run(systemd.Start, name, "failed")
	if err := s.node.Journal.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	lines, err := s.node.Journal.Tail(t.Context(), name, 10)
	if err != nil || !systemd.ToldAll(name, lines) || !slices.Contains(lines, "my last words") {
		t.Errorf("tail: %q, %v", lines, err)
	}
	if before := lines[:slices.Index(lines, "my last words")+1]; systemd.ToldAll(name, before) {
		t.Errorf("no verdict, and all is told: %q", before)
	}
}

func testJournalForms(t *testing.T, s *suite) {
	const name = "argosytest-forms.service"
	s.write(name, "[Service]\nType=oneshot\nExecStart=/bin/echo hello in a form\n")
	s.run(systemd.Start, name, "done")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for form, want := range map[string]string{
		"": "hello in a form", "cat": "hello in a form", "json": `"MESSAGE":"hello in a form"`, systemd.JournalExport: "MESSAGE=hello in a form\n",
	} {
		all := ""
		err := s.node.Journal.Follow(ctx, name, systemd.JournalView{Lines: 100, Follow: true, Form: form}, func(piece string) error {
			if all += piece + "\n"; strings.Contains(all, want) {
				return context.Canceled
			}
			return nil
		})
		if err != context.Canceled { //nolint:errorlint // it comes back as it was returned
			t.Errorf("as %q: %v\n%s", form, err, all)
		}
	}
	for _, form := range []string{"html", "json --file=/etc/shadow", "-f"} {
		if err := s.node.Journal.Follow(ctx, name, systemd.JournalView{Form: form}, func(string) error { return nil }); cluster.KindOf(err) != cluster.Invalid {
			t.Errorf("as %q: %v", form, err)
		}
	}
}

func testStrangeNames(t *testing.T, s *suite) {
	for _, name := range []cluster.UnitName{`argosytest-a_b.c:d\x2de.service`, "argosytest-t@1.service", "argosytest-x.target"} {
		text := forever
		if name.Type() == "target" {
			text = "[Unit]\nDescription=a target\n"
		}
		s.write(name, text)
		s.run(systemd.Start, name, "done")
		if u := s.observe(name); u.Active != "active" || !u.Ours {
			t.Errorf("%+v", u)
		}
	}
}
