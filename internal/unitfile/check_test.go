package unitfile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestCheck(t *testing.T) {
	const service = "[Service]\nExecStart=/bin/true\n"
	tests := []struct {
		name string
		unit cluster.UnitName
		text string
		want []string
	}{
		{"a plain service", "a.service", service, nil},
		{"every mistake is named, not only the first", "a.service", "X=1\n[Unit\nA=1\n[Service]\nExecStart\n[X-Argosy]\nB=1\n", []string{
			"line 1: error: X= stands outside of a section (put it below a header like [Unit] or [Service])",
			`line 2: error: section header "[Unit" does not end in ']' (a section header is [Name] alone on its line)`,
			`line 5: error: missing '=' in "ExecStart" (write Key=Value; a long value goes on after a "\" at the end of the line)`,
			"line 7: error: unknown key B= in [X-Argosy] (known there: Away= CPU= DrainTime= Health= HealthGrace= HealthInterval= HealthOnFailure= HealthRetries= HealthTimeout= Memory= Near= Prefer= Priority= Publish= Replicas= Require= Spread=)"}},
		{"a name without a type", "a", service, []string{
			`name: error: unit name "a" does not end in a unit type (one of .service .socket .timer .path .mount .automount .swap .target .slice)`}},
		{"a Quadlet file", "a.container", "[Container]\nImage=x\n", []string{
			`name: error: unit name "a.container" does not end in a unit type (Quadlet files are not supported by this version; submit what podman's quadlet makes of it)`}},
		{"an empty file", "a.target", "", []string{
			"line 1: error: the file is empty, and systemd takes a unit with an empty file for masked"}},
		{"a binary", "a.service", "\x00", []string{
			`line 1: error: byte 0x00 is a control character (unit files are plain text; write it as an escape like \x1b)`}},

		{"no [Service]", "a.service", "[Unit]\nDescription=x\n", []string{
			"line 1: error: no [Service] section (a service needs a [Service] section with an ExecStart=)"}},
		{"no ExecStart", "a.service", "[Unit]\n[Service]\nType=simple\n", []string{"line 2: error: [Service] has no ExecStart="}},
		{"an ExecStart that was reset", "a.service", "[Service]\nExecStart=/bin/true\nExecStart=\n", []string{"line 1: error: [Service] has no ExecStart="}},
		{"a mistyped ExecStart", "a.service", "[Service]\nExecstart=/bin/true\n", []string{
			"line 2: error: [Service] has no ExecStart= (did you mean ExecStart= where Execstart= stands?)"}},
		{"only an ExecStop, and it remains", "a.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/true\n", nil},
		{"only an ExecStop, oneshot by default", "a.service", "[Service]\nRemainAfterExit=yes\nExecStop=/bin/true\n", nil},
		{"only an ExecStop, and it does not remain", "a.service", "[Service]\nType=oneshot\nExecStop=/bin/true\n", []string{
			"line 1: error: [Service] has only an ExecStop=, and would be stopped as soon as it is started (add RemainAfterExit=yes)"}},
		{"only an ExecStop, not oneshot", "a.service", "[Service]\nType=exec\nRemainAfterExit=yes\nExecStop=/bin/true\n", []string{
			"line 1: error: [Service] has no ExecStart=, which only Type=oneshot may lack"}},
		{"only a SuccessAction", "a.service", "[Unit]\nSuccessAction=reboot\n[Service]\nType=oneshot\n", nil},
		{"only a SuccessAction, not oneshot", "a.service", "[Unit]\nSuccessAction=reboot\n[Service]\nType=simple\n", []string{
			"line 3: error: [Service] has no ExecStart=, which only Type=oneshot may lack"}},
		{"a SuccessAction that does nothing", "a.service", "[Unit]\nSuccessAction=none\n[Service]\n", []string{"line 3: error: [Service] has no ExecStart="}},
		{"two ExecStart", "a.service", "[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n", []string{
			"line 3: error: more than one ExecStart=, which only Type=oneshot may have (use ExecStartPre=, or Type=oneshot)"}},
		{"two ExecStart of a oneshot", "a.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nExecStart=/bin/b\n", nil},
		{"a oneshot that restarts always", "a.service", "[Service]\nType=oneshot\nExecStart=/bin/a\nRestart=always\n", []string{
			"line 4: error: Restart=always cannot be combined with Type=oneshot (Restart=on-failure can be combined with it)"}},
		{"a unit that nobody may stop", "a.service", "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=/bin/a\n", []string{"line 2: warning: with RefuseManualStop=, the cluster can never stop, move or destroy the unit (take it out)"}},
		{"a unit that may be stopped", "a.service", "[Unit]\nRefuseManualStop=no\n[Service]\nExecStart=/bin/a\n", nil},
		{"a unit that only others may start", "a.service", "[Unit]\nRefuseManualStart=1\n[Service]\nExecStart=/bin/a\n", []string{"line 2: warning: with RefuseManualStart=, the cluster cannot start the unit (it can be loaded, for other units to start)"}},
		{"a bus service without a bus name", "a.service", "[Service]\nType=dbus\nExecStart=/bin/a\n", []string{"line 2: error: Type=dbus needs a BusName="}},
		{"a mistyped type", "a.service", "[Service]\nType=one-shot\nExecStart=/bin/a\n", []string{
			"line 2: warning: Type=one-shot is not known to systemd, which will ignore it (did you mean Type=oneshot?)"}},
		{"a relative path", "a.service", "[Service]\nExecStart=@bin/a b\n", []string{
			"line 2: error: ExecStart=bin/a is not an absolute path (systemd wants an absolute path, or a name without '/')"}},
		{"a relative path that may fail", "a.service", service + "ExecStartPre=-bin/a\n", []string{
			"line 3: warning: ExecStartPre=-bin/a is not an absolute path, and systemd will leave the command out (systemd wants an absolute path, or a name without '/')"}},
		{"a program of any folder, or of a folder known later", "a.service", "[Service]\nExecStart=sleep 1\nExecStop=%h/bin/a\n", nil},
		{"no program", "a.service", service + "ExecStop=-\n", []string{
			"line 3: error: ExecStop= names no program (systemd wants an absolute path, or a name without '/')"}},
		{"a quote that is not closed", "a.service", "[Service]\nExecStart=/bin/sh -c \"a\n", []string{`line 2: error: ExecStart=: quote " is not closed`}},

		{"a socket that listens nowhere", "a.socket", "[Socket]\nAccept=no\n", []string{
			"line 1: error: [Socket] has no ListenStream= (or another of ListenDatagram= ListenSequentialPacket= ListenFIFO= ListenSpecial= ListenNetlink= ListenMessageQueue= ListenUSBFunction=)"}},
		{"a timer that never elapses", "a.timer", "[Timer]\nPersistent=yes\n", []string{
			"line 1: error: [Timer] has no OnCalendar= (or another of OnActiveSec= OnBootSec= OnStartupSec= OnUnitActiveSec= OnUnitInactiveSec= OnClockChange= OnTimezoneChange=)"}},
		{"a path that watches nothing", "a.path", "[Unit]\n", []string{
			"line 1: error: [Path] has no PathExists= (or another of PathExistsGlob= PathChanged= PathModified= DirectoryNotEmpty=)"}},
		{"a mount of nothing, in a place that is not its name", "a.mount", "[Mount]\nWhere=/srv/b-c\n", []string{
			"line 1: error: [Mount] has no What=", `line 2: error: Where=/srv/b-c does not fit the name of the unit (systemd wants the name srv-b\x2dc.mount)`}},
		{"an automount in no place", "a.automount", "[Automount]\nWhere=a\n", []string{"line 2: error: Where=a is not an absolute path"}},

		{"a section of another type", "a.service", service + "[Timer]\nOnCalendar=daily\n", []string{
			"line 3: warning: section [Timer] is ignored in a .service unit (a .timer unit is a file of its own)"}},
		{"a section of Quadlet", "a.service", service + "[Container]\n", []string{
			"line 3: warning: section [Container] is ignored in a .service unit (it belongs in a Quadlet file)"}},
		{"a mistyped section", "a.service", service + "[Instal]\n", []string{
			"line 3: warning: section [Instal] is not known to systemd, which will ignore it (did you mean [Install]?)"}},
		{"a mistyped section of ours", "a.service", service + "[X-fleet]\n", []string{"line 3: warning: section [X-fleet] is read by nobody (did you mean [X-Fleet]?)"}},
		{"a section of somebody else", "a.service", service + "[X-Backup]\nAnything=goes\n", nil},

		{"an unknown key of fleet", "a.service", service + "[X-Fleet]\nConflict=b.service\nFoo=1\n", []string{
			"line 4: warning: unknown key Conflict= in [X-Fleet] (it does nothing; did you mean Conflicts=?)",
			"line 5: warning: unknown key Foo= in [X-Fleet] (it does nothing)"}},
		{"an old spelling", "a.service", service + "[X-Fleet]\nX-ConditionMachineOf=b.service\n", []string{
			"line 4: warning: X-ConditionMachineOf= is an old spelling (write MachineOf=)"}},
		{"a key of [X-Argosy]", "a.service", service + "[X-Argosy]\nExclusive=yes\n", []string{
			"line 4: error: unknown key Exclusive= in [X-Argosy] (known there: Away= CPU= DrainTime= Health= HealthGrace= HealthInterval= HealthOnFailure= HealthRetries= HealthTimeout= Memory= Near= Prefer= Priority= Publish= Replicas= Require= Spread=)"}},
		{"a key of [X-Argosy] that belongs elsewhere", "a.service", service + "[X-Argosy]\nMachineMetaData=a=b\n", []string{
			"line 4: error: unknown key MachineMetaData= in [X-Argosy] (did you mean MachineMetadata= of [X-Fleet]?)"}},
		{"what PlacingOf warns of, Check warns of", "a.service", service + "[X-Fleet]\nConflicts=web\n", []string{
			"line 4: warning: Conflicts=web matches no unit: unit names have a type (write web.service)"}},
		{"a mount whose place depends on a specifier", "a.mount", "[Mount]\nWhat=/dev/x\nWhere=/srv/%N\n", nil},
		{"options are judged by PlacingOf", "a.service", service + "[X-Fleet]\nMachineMetadata=x\n", []string{
			`line 4: error: MachineMetadata=: "x" is not a pair of key and value (write key=value; with blanks in it, quote the whole pair: "name=two words")`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lines(unitfile.Check(tt.unit, tt.text))); diff != "" {
				t.Errorf("Check, -want +got:\n%s", diff)
			}
		})
	}
}

func TestCheckBoundsWhatItReports(t *testing.T) {
	t.Run("a file of another kind is not reported line by line", func(t *testing.T) {
		findings := unitfile.Check("a.service", strings.Repeat("some prose\n", 10000))
		if len(findings) != unitfile.FindingsMax {
			t.Errorf("%d findings, want %d", len(findings), unitfile.FindingsMax)
		}
		if last := findings[len(findings)-1].Message; last != "and more from here on" {
			t.Errorf("the last finding is %q", last)
		}
	})
	t.Run("a flood of warnings does not hide the error", func(t *testing.T) {
		var text strings.Builder
		text.WriteString("[Service]\nExecStart=/bin/true\n")
		for i := range 5000 {
			fmt.Fprintf(&text, "[Other%d]\n", i)
		}
		text.WriteString("[X-Fleet]\nGlobal=maybe\n")
		if err := unitfile.Refusal("a.service", unitfile.Check("a.service", text.String())); err == nil {
			t.Error("the unit was taken")
		}
	})
}

func TestRefusal(t *testing.T) {
	findings := []unitfile.Finding{
		{Line: 1, Severity: unitfile.SeverityWarning, Message: "w"},
		{Line: 0, Severity: unitfile.SeverityError, Message: "bad name", Hint: "choose another"},
		{Line: 3, Severity: unitfile.SeverityError, Message: "bad line", Hint: "not shown"},
	}
	err := unitfile.Refusal("a.service", findings)
	if diff := cmp.Diff("a.service: bad name\na.service:3: bad line", fmt.Sprint(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if cluster.KindOf(err) != cluster.Invalid || cluster.HintOf(err) != "choose another" {
		t.Errorf("kind %s, hint %q", cluster.KindOf(err), cluster.HintOf(err))
	}
	if err := unitfile.Refusal("a.service", findings[:1]); err != nil {
		t.Errorf("warnings alone refuse: %v", err)
	}
}

// read reads all that a unit's text says to the cluster.
func read(t *testing.T, text string) (unitfile.Placing, unitfile.Published, []unitfile.Finding) {
	t.Helper()
	file := mustParse(t, text)
	placing, findings := unitfile.PlacingOf("a@1.service", file)
	published, more := unitfile.PublishedBy("a@1.service", file)
	return placing, published, append(findings, more...)
}

// The table of keys is what the manual is made of and what the parser obeys:
// each key in it changes the Placing or what is published, and no spelling stands
// twice.
func TestKeysAreThoseThatAreObeyed(t *testing.T) {
	needs := map[string]string{"DrainTime": "Publish=web 80"}
	for _, key := range []string{"Interval", "Timeout", "Grace", "Retries", "OnFailure"} {
		needs["Health"+key] = "Health=tcp://:80"
	}
	var spellings []string
	for _, key := range unitfile.Keys() {
		if key.Meaning == "" || key.Form == "" {
			t.Errorf("%s= lacks a meaning or a form", key.Name)
		}
		for _, spelling := range append([]string{key.Name}, key.Legacy...) {
			spellings = append(spellings, spelling)
			with := "[" + key.Section + "]\n" + spelling + "=" + key.Form
			if needed := needs[key.Name]; needed != "" {
				with = "[X-Argosy]\n" + needed + "\n" + with
			}
			without := strings.TrimSuffix(with, spelling+"="+key.Form)
			got, published, findings := read(t, with)
			before, publishedBefore, _ := read(t, without)
			if cmp.Equal(got, before) && cmp.Equal(published, publishedBefore) || len(findings) > 0 {
				t.Errorf("%s=%s of [%s] changes nothing: %v", spelling, key.Form, key.Section, findings)
			}
		}
	}
	slices.Sort(spellings)
	if n := len(spellings); len(slices.Compact(spellings)) != n || n == 0 {
		t.Errorf("spellings are not distinct: %v", spellings)
	}
}
