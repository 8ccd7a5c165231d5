package api

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/store"
)

const hello = "[Service]\nExecStart=/bin/sleep infinity\n"

func submit(b *bench, req wire.SubmitRequest) (wire.SubmitAnswer, *wire.Problem) {
	var answer wire.SubmitAnswer
	problem := b.call("POST", wire.PathUnits, req, &answer)
	return answer, problem
}

func one(name cluster.UnitName, text string) wire.SubmitRequest {
	return wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: name, Text: text}}}
}

// A submission of which anything is wrong is refused with the place and the
// reason, and nothing of it is stored.
func TestWhatIsWrongWithASubmissionIsSaidAndNothingIsStored(t *testing.T) {
	for _, tt := range []struct {
		name string
		unit wire.SubmitUnit
		says []string
	}{
		{"a line that is none", wire.SubmitUnit{Name: "a.service", Text: hello + "nonsense\n"}, []string{"a.service:3:", "nonsense"}},
		{"a section that does not end", wire.SubmitUnit{Name: "a.service", Text: "[Service\n"}, []string{"a.service:1:"}},
		{"a text that is binary", wire.SubmitUnit{Name: "a.service", Text: hello + "X=\x00\n"}, []string{"a.service:3:", "control character"}},
		{"a text that is too long", wire.SubmitUnit{Name: "a.service", Text: hello + strings.Repeat("# long\n", 50_000)}, []string{"a.service", "limit is 262144"}},
		{"an unknown key of ours", wire.SubmitUnit{Name: "a.service", Text: hello + "[X-Argosy]\nReplicsa=3\n"}, []string{"a.service:4:", "Replicsa"}},
		{"a key of fleet's that contradicts another", wire.SubmitUnit{Name: "a.service", Text: hello + "[X-Fleet]\nGlobal=true\nMachineOf=b.service\n"}, []string{"a.service:", "Global"}},
		{"a name without a type", wire.SubmitUnit{Name: "hello", Text: hello}, []string{"hello"}},
		{"a name that is a path", wire.SubmitUnit{Name: "../etc/passwd.service", Text: hello}, []string{"passwd"}},
		{"a template that is to run", wire.SubmitUnit{Name: "a@.service", Text: hello, Desired: cluster.Launched}, []string{"a@.service is a template"}},
		{"a state that there is not", wire.SubmitUnit{Name: "a.service", Text: hello, Desired: "running"}, []string{"running"}},
		{"a unit that stands there twice", wire.SubmitUnit{Name: "good.service", Text: hello}, []string{"good.service stands in the request twice"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			_, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: "good.service", Text: hello}, tt.unit}})
			if problem == nil || problem.Code != "invalid" {
				t.Fatalf("got %+v", problem)
			}
			for _, words := range tt.says {
				if !strings.Contains(problem.Detail, words) {
					t.Errorf("the reason does not say %q: %s", words, problem.Detail)
				}
			}
			if stored := b.units(); len(stored) != 0 {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	b := newBench(t)
	_, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{
		{Name: "a.service", Text: "nonsense\n"}, {Name: "b.service", Text: hello + "[X-Argosy]\nNoSuch=1\n"},
	}})
	if problem == nil || !strings.Contains(problem.Detail, "a.service:1:") || !strings.Contains(problem.Detail, "b.service:4:") {
		t.Errorf("got %+v", problem)
	}
}

func TestASubmissionIsBoundedInNumber(t *testing.T) {
	b := newBench(t)
	var req wire.SubmitRequest
	for i := range unitsMax + 1 {
		req.Units = append(req.Units, wire.SubmitUnit{Name: cluster.UnitName(fmt.Sprintf("a%d.service", i)), Text: hello})
	}
	if _, problem := submit(b, req); problem == nil || !strings.Contains(problem.Detail, "2001 units") {
		t.Errorf("got %+v", problem)
	}
	req.Units = req.Units[:300] // more than one transaction holds
	if answer, problem := submit(b, req); problem != nil || len(answer.Units) != 300 || len(b.units()) != 300 {
		t.Errorf("%+v; %d stored", problem, len(b.units()))
	}
}

// What becomes of a unit that is submitted again, as fleet has it.
func TestSubmittingAgain(t *testing.T) {
	b := newBench(t)
	other := hello + "Environment=X=1\n"
	step := func(req wire.SubmitRequest, done, text string, desired cluster.Desired) cluster.Unit {
		t.Helper()
		answer, problem := submit(b, req)
		if problem != nil {
			t.Fatalf("%+v", problem)
		}
		u := b.units()["a.service"]
		if answer.Units[0].Done != done || u.Text != text || u.Hash != cluster.HashText(text) || u.Desired != desired {
			t.Errorf("%+v; stored %+v", answer.Units[0], u)
		}
		if (answer.Units[0].Warning != "") != (u.Text != req.Units[0].Text) {
			t.Errorf("warning %q", answer.Units[0].Warning)
		}
		return u
	}
	first := step(one("a.service", hello), "created", hello, cluster.Inactive)
	again := step(one("a.service", hello), "unchanged", hello, cluster.Inactive)
	if again.Revision != first.Revision {
		t.Error("the same submission wrote something")
	}
	step(one("a.service", other), "unchanged", hello, cluster.Inactive)
	launched := one("a.service", hello)
	launched.Units[0].Desired = cluster.Launched
	step(launched, "changed", hello, cluster.Launched)
	replace := one("a.service", other)
	replace.Replace = true
	if u := step(replace, "replaced", other, cluster.Launched); u.UID != first.UID {
		t.Error("a unit that was replaced is another unit")
	}
	if problem := b.call("POST", wire.PathDestroy, wire.NamesRequest{Names: []cluster.UnitName{"a.service"}}, nil); problem != nil {
		t.Fatalf("%+v", problem)
	}
	if u := step(one("a.service", hello), "created", hello, cluster.Inactive); u.UID == first.UID {
		t.Error("a unit that was destroyed and submitted again is the same one")
	}
}

// Two people change the same unit: the second is told, and nothing of the
// first's change is lost.
func TestAChangeComputedFromAnOlderUnitIsRefused(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, one("a.service", hello)); problem != nil {
		t.Fatal(problem)
	}
	// Somebody else's change, which this server's mirror cannot see yet.
	seen := b.server.Mirror.State()
	u := b.units()["a.service"]
	changes := []change{submission(wire.SubmitUnit{Name: "a.service", Text: hello + "# mine\n"}, u, true, true)}
	u.Text = hello + "# theirs\n"
	b.put(store.PutUnit(u))
	_, err := b.server.write(t.Context(), seen.Revision, changes)
	if cluster.KindOf(err) != cluster.Conflict || b.units()["a.service"].Text != u.Text {
		t.Errorf("%v; stored %q", err, b.units()["a.service"].Text)
	}
}

// A report that was late at one server does not undo a newer one.
func TestAReportComputedFromAnOlderOneIsRefused(t *testing.T) {
	b := newBench(t)
	seen := b.server.Mirror.State()
	report := func(labels map[string]string) cluster.Report {
		return cluster.Report{Node: there, Address: netip.MustParseAddr("10.0.0.2"), Labels: labels}
	}
	if err := b.server.storeReport(t.Context(), seen, report(map[string]string{"disk": "ssd"})); err != nil {
		t.Fatal(err)
	}
	if err := b.server.storeReport(t.Context(), seen, report(nil)); cluster.KindOf(err) != cluster.Conflict {
		t.Errorf("the late one: %v", err)
	}
}

// What JSON would write in six bytes each is still one transaction.
func TestALargeTextOfBracketsIsStored(t *testing.T) {
	b := newBench(t)
	text := hello + "# " + strings.Repeat("<", 200<<10) + "\n"
	if _, problem := submit(b, one("a.service", text)); problem != nil {
		t.Fatal(problem)
	}
	if got := b.units()["a.service"].Text; got != text {
		t.Errorf("stored %d bytes of %d", len(got), len(text))
	}
}

// A text that is not stored closes no circle.
func TestASubmissionThatKeepsTheStoredTextClosesNoCircle(t *testing.T) {
	b := newBench(t)
	for _, request := range []wire.SubmitRequest{one("a.service", hello), one("b.service", hello+"[X-Fleet]\nMachineOf=a.service\n")} {
		if _, problem := submit(b, request); problem != nil {
			t.Fatal(problem)
		}
	}
	circle := one("a.service", hello+"[X-Fleet]\nMachineOf=b.service\n")
	if _, problem := submit(b, circle); problem != nil {
		t.Errorf("the stored text is kept, and refused: %v", problem)
	}
	circle.Replace = true
	if _, problem := submit(b, circle); problem == nil {
		t.Error("a text that is stored closes one")
	}
}

func TestVerbsOnUnits(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		in         any
		problem    string // code and words; "" if it is done
	}{
		{"stop what does not run", wire.PathDesired, wire.DesiredRequest{Names: []cluster.UnitName{"a.service"}, Desired: cluster.Loaded}, ""},
		{"what there is not", wire.PathDesired, wire.DesiredRequest{Names: []cluster.UnitName{"a.service", "no.service"}, Desired: cluster.Launched}, "not-found no.service"},
		{"start a template", wire.PathDesired, wire.DesiredRequest{Names: []cluster.UnitName{"t@.service"}, Desired: cluster.Launched}, "invalid template"},
		{"restart what is not launched", wire.PathRestart, wire.NamesRequest{Names: []cluster.UnitName{"a.service"}}, "conflict nothing to restart"},
		{"destroy what there is not", wire.PathDestroy, wire.NamesRequest{Names: []cluster.UnitName{"no.service"}}, "not-found no.service"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: "a.service", Text: hello}, {Name: "t@.service", Text: hello}}}); problem != nil {
				t.Fatal(problem)
			}
			before := b.units()
			problem := b.call("POST", tt.path, tt.in, nil)
			if tt.problem == "" {
				if problem != nil {
					t.Errorf("%+v", problem)
				}
				return
			}
			code, words, _ := strings.Cut(tt.problem, " ")
			if problem == nil || problem.Code != code || !strings.Contains(problem.Detail, words) {
				t.Errorf("got %+v", problem)
			}
			if diff := cmp.Diff(before, b.units()); diff != "" {
				t.Errorf("something was done:\n%s", diff)
			}
		})
	}
}

func TestAnUnknownTokenIsNotRevokedInSilence(t *testing.T) {
	b := newBench(t)
	if problem := b.call("DELETE", "/v1/tokens/nosuch", nil, nil); problem == nil || problem.Code != "not-found" {
		t.Errorf("got %+v", problem)
	}
	var made wire.TokenAnswer
	if problem := b.call("POST", wire.PathTokens, wire.TokenRequest{}, &made); problem != nil {
		t.Fatal(problem)
	}
	if problem := b.call("DELETE", "/v1/tokens/"+made.Record.ID, nil, nil); problem != nil || len(b.server.Mirror.State().Tokens) != 0 {
		t.Errorf("%+v; tokens %v", problem, b.server.Mirror.State().Tokens)
	}
}

func TestAUnitIsNamedOnceInARequest(t *testing.T) {
	b := newBench(t)
	b.put(placed("a.service", hello)...)
	twice := []cluster.UnitName{"a.service", "a.service"}
	for path, in := range map[string]any{
		wire.PathDesired: wire.DesiredRequest{Names: twice, Desired: cluster.Loaded},
		wire.PathRestart: wire.NamesRequest{Names: twice},
		wire.PathDestroy: wire.NamesRequest{Names: twice},
	} {
		if p := b.call("POST", path, in, nil); p == nil || p.Code != "invalid" || p.Detail != "a.service stands in the request twice" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
