package converge_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/systemd"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const text = "[Service]\nExecStart=/bin/daemon\n"

// want is web.service wanted launched, with changes.
func want(changes ...func(*cluster.Assignment)) *cluster.Assignment {
	a := &cluster.Assignment{
		Name: "web.service", UID: "u1", Text: text, Hash: cluster.HashText(text), Desired: cluster.Launched, Epoch: 1,
	}
	for _, change := range changes {
		change(a)
	}
	return a
}

func loaded(a *cluster.Assignment)     { a.Desired = cluster.Loaded }
func restarted(a *cluster.Assignment)  { a.Restarts++ }
func anotherUID(a *cluster.Assignment) { a.UID = "u2" }
func moved(a *cluster.Assignment)      { a.Epoch++ }
func changed(a *cluster.Assignment) {
	a.Text += "#\n"
	a.Hash = cluster.HashText(a.Text)
}

// seen is web.service as systemd shows it, in a state, with the usual text.
func seen(active string, changes ...func(*systemd.Unit)) systemd.Unit {
	u := systemd.Unit{Name: "web.service", Load: "loaded", Active: active, Ours: true, FileHash: cluster.HashText(text)}
	for _, change := range changes {
		change(&u)
	}
	return u
}

func stale(u *systemd.Unit)   { u.Stale = true }
func noFile(u *systemd.Unit)  { u.FileHash = "" }
func refused(u *systemd.Unit) { u.Load = "bad-setting" }

var nowhere = systemd.Unit{Name: "web.service", Load: "not-found", Active: "inactive"}

// carriedOut is the memory of a node that started want.
func carriedOut(a *cluster.Assignment, changes ...func(*converge.Known)) *converge.Known {
	k := &converge.Known{Key: converge.KeyOf(*a), Started: &converge.Started{Key: converge.KeyOf(*a)}}
	for _, change := range changes {
		change(k)
	}
	return k
}

func startFailed(k *converge.Known)  { k.Started.Result = "failed" }
func written(k *converge.Known)      { k.Hash = "" }
func neverStarted(k *converge.Known) { k.Started = nil }

// asked is the memory of a node that has asked for a start, or for the stop of
// what it started, and was not told of its end.
func asked(a *cluster.Assignment, kind converge.Kind, changes ...func(*converge.Known)) *converge.Known {
	k := carriedOut(a, changes...).Asks(converge.Step{Kind: kind}, a)
	return &k
}

func decide(a *cluster.Assignment, u systemd.Unit, k *converge.Known, hold bool) converge.Decision {
	in := converge.Input{Seen: []systemd.Unit{u}, Memory: converge.Memory{}, Now: now}
	if hold {
		in.Hold = "because"
	}
	if a != nil {
		in.Want = append(in.Want, *a)
	}
	if k != nil {
		in.Memory["web.service"] = *k
	}
	return converge.Plan(in)[0]
}

func kinds(d converge.Decision) []converge.Kind {
	kinds := []converge.Kind{}
	for _, s := range d.Steps {
		kinds = append(kinds, s.Kind)
	}
	return kinds
}

const (
	stop, remove, write, reload = converge.Stop, converge.Remove, converge.Write, converge.Reload
	reset, start, restart       = converge.ResetFailed, converge.Start, converge.Restart
)

func TestDecisions(t *testing.T) {
	type steps = []converge.Kind
	for _, tt := range []struct {
		name  string
		want  *cluster.Assignment
		seen  systemd.Unit
		known *converge.Known
		steps steps
	}{
		{"a new unit is written and started, without a reload", want(), nowhere, nil, steps{write, start}},
		{"a new unit that is only to be loaded is written", want(loaded), nowhere, nil, steps{write}},
		{"a unit that runs as wanted is left alone", want(), seen("active"), carriedOut(want()), steps{}},
		{"a unit that runs is adopted by a node that remembers nothing", want(restarted), seen("active"), nil, steps{}},
		{"a unit that is starting is left alone", want(), seen("activating"), nil, steps{}},
		{"a changed text stops, writes, reloads and starts", want(changed), seen("active"), carriedOut(want()), steps{stop, write, reload, start}},
		{"a changed text of a unit that ended runs it again", want(changed), seen("inactive"), carriedOut(want()), steps{write, reload, start}},
		{"a changed text of a loaded unit is only read again", want(changed, loaded), seen("inactive"), carriedOut(want(), neverStarted), steps{write, reload}},
		{"a crash after the write goes on with the reload", want(changed), seen("inactive", stale, func(u *systemd.Unit) { u.FileHash = want(changed).Hash }), carriedOut(want()), steps{reload, start}},
		{"a unit that a socket started between write and reload is stopped first", want(), seen("active", stale), carriedOut(want(), written), steps{stop, reload, start}},
		{"so is one of a text that was never carried out", want(), seen("active", stale), carriedOut(want(changed)), steps{stop, reload, start}},
		{"whatever the host enables stops no unit", want(), seen("active", stale), carriedOut(want()), steps{reload}},
		{"nor one that is starting", want(), seen("activating", stale), carriedOut(want()), steps{reload}},
		{"nor one that a socket activated", want(loaded), seen("active", stale), carriedOut(want(), neverStarted), steps{reload}},
		{"nor one that is adopted: nothing runs on while its file changes", want(), seen("active", stale), nil, steps{reload}},
		{"loaded instead of launched stops", want(loaded), seen("active"), carriedOut(want()), steps{stop}},
		{"what a socket activated of a loaded unit runs on", want(loaded), seen("active"), carriedOut(want(), neverStarted), steps{}},
		{"a start whose end was not waited for is stopped", want(loaded), seen("activating"), asked(want(), start, neverStarted), steps{stop}},
		{"also one that waits for other units", want(loaded), seen("inactive"), asked(want(), start, neverStarted), steps{stop}},
		{"and one that is not wanted at all", nil, seen("inactive", noFile), asked(want(), start, neverStarted), steps{stop}},
		{"and one for another unit of the same name", want(anotherUID), seen("activating"), asked(want(), start), steps{stop, start}},
		{"a stop whose end was not waited for is not forgotten", want(loaded), seen("active"), asked(want(), stop), steps{stop}},
		{"a start whose end was not waited for goes on", want(moved), seen("activating"), asked(want(), start, neverStarted), steps{}},
		{"or is asked for again", want(moved), seen("inactive"), asked(want(), start, neverStarted), steps{start}},
		{"a unit that is stopping and wanted again is waited for", want(), seen("deactivating"), asked(want(), stop), steps{}},
		{"and started then", want(), seen("inactive"), asked(want(), stop), steps{start}},
		{"a restart that was asked for", want(restarted), seen("active"), carriedOut(want()), steps{restart}},
		{"a restart of a unit that ended starts it", want(restarted), seen("inactive"), carriedOut(want()), steps{start}},
		{"a restart of a failed unit resets and starts it", want(restarted), seen("failed"), carriedOut(want(), startFailed), steps{reset, start}},
		{"a unit that ended by itself is not started again", want(), seen("inactive"), carriedOut(want()), steps{}},
		{"nor because it was placed anew", want(moved), seen("inactive"), carriedOut(want()), steps{}},
		{"a unit that failed is not hammered", want(), seen("failed"), carriedOut(want(), startFailed), steps{}},
		{"a unit that failed gets another chance when it is placed anew", want(moved), seen("failed"), carriedOut(want()), steps{reset, start}},
		{"a running unit does not mind being placed anew", want(moved), seen("active"), carriedOut(want()), steps{}},
		{"another unit of the same name and text: the old one stops first", want(anotherUID), seen("active"), carriedOut(want()), steps{stop, start}},
		{"another unit of the same name, the old one ended", want(anotherUID), seen("inactive"), carriedOut(want()), steps{start}},
		{"after a power cut everything is written and started", want(), nowhere, nil, steps{write, start}},
		{"a unit that is not wanted stops and goes", nil, seen("active"), carriedOut(want()), steps{stop, remove}},
		{"a unit that is stopping and not wanted is waited for", nil, seen("deactivating"), nil, steps{stop, remove}},
		{"a failed unit that is not wanted goes, and its failure too", nil, seen("failed"), nil, steps{remove, reset}},
		{"a process whose file is gone already stops", nil, seen("active", noFile, stale), nil, steps{stop}},
		{"an old definition that something holds is read away", nil, seen("inactive", noFile, stale), nil, steps{reload}},
		{"a refused file is not started", want(), seen("inactive", refused), nil, steps{}},
		{"a refused file that changed is tried", want(changed), seen("inactive", refused), nil, steps{write, reload, start}},
		{"a unit of the host is not touched when its name is wanted", want(), seen("active", noFile, func(u *systemd.Unit) { u.Ours = false }), nil, steps{}},
		{"nor when it is not", nil, seen("active", noFile, func(u *systemd.Unit) { u.Ours = false }), nil, steps{}},
		{"nor when it is masked", want(), seen("inactive", noFile, func(u *systemd.Unit) { u.Ours, u.Load = false, "masked" }), nil, steps{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(tt.want, tt.seen, tt.known, false)
			if diff := cmp.Diff(tt.steps, kinds(d)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, s := range d.Steps {
				if s.Reason == "" {
					t.Errorf("%s has no reason", s.Kind)
				}
			}
			if len(d.Steps) == 0 && d.Settled == nil && !d.Gone && d.Problem == "" {
				t.Error("nothing to do, and nothing said")
			}
		})
	}
}

func TestAHeldNodeOnlyWritesFiles(t *testing.T) {
	for _, tt := range []struct {
		name string
		d    converge.Decision
		want []converge.Kind
	}{
		{"a new unit", decide(want(), nowhere, nil, true), []converge.Kind{write}},
		{"a changed unit that runs", decide(want(changed), seen("active"), carriedOut(want()), true), []converge.Kind{}},
		{"a unit that is not wanted", decide(nil, seen("active"), nil, true), []converge.Kind{}},
		{"a restart", decide(want(restarted), seen("active"), carriedOut(want()), true), []converge.Kind{}},
	} {
		if diff := cmp.Diff(tt.want, kinds(tt.d)); diff != "" || tt.d.Problem == "" {
			t.Errorf("%s (-want +got):\n%s problem %q", tt.name, diff, tt.d.Problem)
		}
	}
}

// What keeps systemd from all other work is given up, and nothing else is: not
// what has come up, nor what waits for long by its own wish.
func TestAUnitThatNeverComesUpIsGivenUpWhileSystemdIsLate(t *testing.T) {
	late, usual := 3*time.Second, want()
	before := func(restarts int, ago time.Duration) converge.Restarting {
		r := converge.Restarting{}
		r.Seen([]systemd.Unit{seen("activating", func(u *systemd.Unit) { u.AutoRestarts = restarts })}, now.Add(-ago))
		return r
	}
	look := func(before converge.Restarting, want *cluster.Assignment, seen systemd.Unit, lag time.Duration) converge.Kind {
		d := converge.Plan(converge.Input{
			Want: []cluster.Assignment{*want}, Seen: []systemd.Unit{seen}, Lag: lag, Restarting: before, Now: now,
			Memory: converge.Memory{"web.service": *carriedOut(usual)},
		})[0]
		return append(kinds(d), "")[0]
	}
	again := func(n int, delay time.Duration) func(*systemd.Unit) {
		return func(u *systemd.Unit) { u.AutoRestarts, u.RestartDelay = n, delay }
	}
	for _, tt := range []struct {
		name string
		want *cluster.Assignment
		seen systemd.Unit
		lag  time.Duration
		step converge.Kind
	}{
		{"it has started again five times", want(), seen("activating", again(5, 0)), late, converge.GiveUp},
		{"four times may be bad luck", want(), seen("activating", again(4, 0)), late, ""},
		{"its own limit is two", want(), seen("activating", again(2, 0), func(u *systemd.Unit) { u.StartLimit = 2 }), late, converge.GiveUp},
		{"its own limit is a thousand", want(), seen("activating", again(5, 0), func(u *systemd.Unit) { u.StartLimit = 1000 }), late, converge.GiveUp},
		{"systemd has time for it", want(), seen("activating", again(500, 0)), time.Second, ""},
		{"it waits for longer than systemd needs", want(), seen("activating", again(500, late)), late, ""},
		{"it runs", want(), seen("active", again(500, 0)), late, ""},
		{"its new text may be better", want(changed), seen("activating", again(500, 0)), late, stop},
		{"a socket started what is only to be loaded", want(loaded), seen("activating", again(5, 0)), late, stop},
		{"it belongs to the host", want(), seen("activating", again(500, 0), func(u *systemd.Unit) { u.Ours = false }), late, ""},
	} {
		if got := look(before(tt.seen.AutoRestarts-1, 30*time.Second), tt.want, tt.seen, tt.lag); got != tt.step {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.step)
		}
	}
	sick, fresh := seen("activating", again(500, 0)), converge.Restarting{}
	fresh.Started("web.service", now.Add(-time.Second))
	if got := look(fresh, want(), sick, late); got != converge.GiveUp {
		t.Errorf("it has started again since it was started: %q", got)
	}
	for name, before := range map[string]converge.Restarting{
		"nobody knows when it started again":               {},
		"it may have started again at any time of an hour": before(499, time.Hour),
		"it has not started again of late":                 before(500, time.Second),
	} {
		if got := look(before, want(), sick, late); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}

	known, _ := carriedOut(want()).Did(converge.Step{Kind: converge.GiveUp, Unit: "web.service"}, want(), converge.Outcome{Result: "done"})
	if !cluster.JobFailed(known.Started.Result) {
		t.Errorf("that is no failed start: %+v", known.Started)
	}
	if d := decide(want(), seen("inactive"), &known, false); len(d.Steps) != 0 || d.Problem == "" {
		t.Errorf("then it is left alone, and said why: %+v", d)
	}
	if d := decide(want(restarted), seen("inactive"), &known, false); len(d.Steps) == 0 {
		t.Error("another try is not made")
	}
}

func TestWhatANodeRemembersOfAStep(t *testing.T) {
	begin := converge.Step{Kind: start, Unit: "web.service"}
	for _, tt := range []struct {
		name    string
		out     converge.Outcome
		goOn    bool
		failed  bool // counts as a start that failed
		trouble string
	}{
		{"a start that went well", converge.Outcome{Result: "done"}, true, false, ""},
		{"a condition that was not met", converge.Outcome{Result: "skipped"}, true, false, ""},
		{"a start that failed", converge.Outcome{Result: "failed"}, true, true, ""},
		{"a requirement that failed may be mended", converge.Outcome{Result: "dependency"}, false, false, "start: a unit that it requires did not start"},
		{"a missing requirement may come", converge.Outcome{Err: errors.New("Unit db.service not found.")}, false, false, "start: Unit db.service not found."},
		{"a job that somebody canceled", converge.Outcome{Result: "canceled"}, false, false, `start: systemd's job ended as "canceled"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, goOn := converge.Known{}.Did(begin, want(), tt.out)
			if goOn != tt.goOn || (k.Started != nil && cluster.JobFailed(k.Started.Result)) != tt.failed {
				t.Errorf("goes on: %v, %+v", goOn, k)
			}
			if got := k.Trouble; (got != nil) != (tt.trouble != "") || got != nil && got.Detail != tt.trouble {
				t.Errorf("trouble %+v, want %q", got, tt.trouble)
			}
		})
	}
}

func TestTroubleIsTriedAgainEverMoreRarelyUntilSomethingElseIsWanted(t *testing.T) {
	k, at := converge.Known{}, now
	var waits []time.Duration
	for range 9 {
		k, _ = k.Did(converge.Step{Kind: start, Unit: "web.service"}, want(), converge.Outcome{Err: errors.New("no"), At: at})
		waits = append(waits, k.Trouble.Until.Sub(at))
		at = k.Trouble.Until
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	k.Trouble.Until = now.Add(s)
	if d := decide(want(), seen("inactive"), &k, false); len(d.Steps) != 0 || !d.Again.Equal(now.Add(s)) || d.Problem == "" {
		t.Errorf("before its time: %+v", d)
	}
	for name, change := range map[string]func(*cluster.Assignment){"restart": restarted, "epoch": moved, "text": changed, "UID": anotherUID} {
		if d := decide(want(change), seen("inactive"), &k, false); len(d.Steps) == 0 {
			t.Errorf("another %s does not count", name)
		}
	}
	k.Trouble.Until = now
	if d := decide(want(), seen("inactive"), &k, false); len(d.Steps) == 0 || d.Problem == "" {
		t.Errorf("at its time: %+v", d)
	}
}

func TestTroubleIsOverOnceTheStepWentWell(t *testing.T) {
	bad, well := converge.Outcome{Err: errors.New("no"), At: now}, converge.Outcome{Result: "done", At: now}
	for _, tt := range []struct {
		trouble, step converge.Kind
		over          bool
	}{
		{converge.Stop, converge.Stop, true},
		{converge.Write, converge.Write, true},
		{converge.Start, converge.Stop, false}, // else it would be tried at once for ever
		{converge.Stop, converge.Start, true},  // whatever it was, the unit runs
	} {
		k, _ := converge.Known{}.Did(converge.Step{Kind: tt.trouble}, want(), bad)
		k, _ = k.Did(converge.Step{Kind: tt.step}, want(), well)
		if over := k.Trouble == nil; over != tt.over {
			t.Errorf("trouble with %s, then %s went well: over: %v", tt.trouble, tt.step, over)
		}
	}
}

// What keeps a unit stale on a host is not to have systemd reload for ever.
func TestAReloadInVainIsTriedAgainEverMoreRarely(t *testing.T) {
	k := *carriedOut(want())
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		k = k.ReloadedInVain(want(), now)
		if d := decide(want(), seen("active", stale), &k, false); len(d.Steps) != 0 || !d.Again.Equal(now.Add(wait)) || d.Problem == "" {
			t.Errorf("%+v, want another try after %s", d, wait)
		}
	}
	if d := decide(want(), seen("active"), &k, false); d.Settled == nil || d.Settled.Trouble != nil {
		t.Errorf("once it is not stale any more: %+v", d)
	}
	if d := decide(want(changed), seen("active", stale), &k, false); len(d.Steps) == 0 {
		t.Error("another text does not count")
	}
}

func TestTheListOfStepsIsByPhaseWithOneReload(t *testing.T) {
	in := converge.Input{Now: now}
	for _, name := range []cluster.UnitName{"b.service", "a.service"} {
		in.Want = append(in.Want, *want(changed, func(a *cluster.Assignment) { a.Name = name }))
		in.Seen = append(in.Seen, seen("active", func(u *systemd.Unit) { u.Name = name }))
	}
	in.Seen = append(in.Seen, seen("active", func(u *systemd.Unit) { u.Name = "c.service" }))
	var got []string
	for _, s := range converge.Steps(converge.Plan(in)) {
		got = append(got, string(s.Kind)+" "+string(s.Unit))
	}
	if diff := cmp.Diff([]string{
		"stop a.service", "stop b.service", "stop c.service", "remove c.service",
		"write a.service", "write b.service", "reload ", "start a.service", "start b.service",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
