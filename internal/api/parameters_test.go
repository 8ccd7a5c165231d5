package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

const publishing = hello + "[X-Argosy]\nPublish=web 80 version=1 role=front\nPublish=web 80/udp\n"

// patched asks for parameters, given as KEY=VALUE or KEY-.
func patched(b *bench, unit cluster.UnitName, service string, parameters ...string) (done string, problem *wire.Problem) {
	patch := wire.ParametersPatch{Service: service, Parameters: map[string]*string{}}
	for _, p := range parameters {
		if key, value, set := strings.Cut(p, "="); set {
			patch.Parameters[key] = &value
		} else {
			patch.Parameters[strings.TrimSuffix(key, "-")] = nil
		}
	}
	var answer wire.DesiredAnswer
	problem = b.call("PATCH", strings.Replace(wire.PathParameters, "{name}", string(unit), 1), patch, &answer)
	if problem == nil {
		done = answer.Units[0].Done
	}
	return done, problem
}

func TestParametersCountUntilThereIsAnotherText(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, one("web.service", publishing)); problem != nil {
		t.Fatal(problem)
	}
	for _, step := range []struct {
		parameters []string
		done       string
		want       map[string]map[string]string
	}{
		{[]string{"version=2", "weight=5"}, "changed", map[string]map[string]string{"web": {"version": "2", "weight": "5"}}},
		{[]string{"version=2"}, "unchanged", map[string]map[string]string{"web": {"version": "2", "weight": "5"}}},
		{[]string{"weight-", "note="}, "changed", map[string]map[string]string{"web": {"version": "2", "note": ""}}},
		{[]string{"version-", "note-", "never-"}, "changed", nil},
		{[]string{"version=3"}, "changed", map[string]map[string]string{"web": {"version": "3"}}},
	} {
		done, problem := patched(b, "web.service", "", step.parameters...)
		if problem != nil || done != step.done {
			t.Fatalf("%v: %q, %+v", step.parameters, done, problem)
		}
		if diff := cmp.Diff(step.want, b.units()["web.service"].Parameters); diff != "" {
			t.Errorf("%v (-want +got):\n%s", step.parameters, diff)
		}
	}
	for _, text := range []string{publishing, publishing + "# another\n"} {
		if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{{Name: "web.service", Text: text}}, Replace: true}); problem != nil {
			t.Fatal(problem)
		}
		if kept := b.units()["web.service"].Parameters != nil; kept != (text == publishing) {
			t.Errorf("parameters are kept: %v, text %q", kept, text)
		}
	}
}

func TestParametersThatNobodyCouldReadAreRefused(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{
		{Name: "web.service", Text: publishing}, {Name: "mute.service", Text: hello}, {Name: "two.service", Text: publishing + "Publish=db 81\n"},
	}}); problem != nil {
		t.Fatal(problem)
	}
	many := make([]string, 15)
	for i := range many {
		many[i] = fmt.Sprintf("k%d=", i)
	}
	for _, tt := range []struct {
		unit       cluster.UnitName
		service    string
		parameters []string
		code       cluster.Kind
		says       string
	}{
		{"no.service", "", []string{"a=1"}, cluster.NotFound, "no.service"},
		{"mute.service", "", []string{"a=1"}, cluster.Invalid, "mute.service publishes nothing"},
		{"two.service", "", []string{"a=1"}, cluster.Invalid, "two.service publishes several services: db, web"},
		{"two.service", "cache", []string{"a=1"}, cluster.Invalid, `publishes no service "cache", only db, web`},
		{"web.service", "", []string{"a b=1"}, cluster.Invalid, `"a b=1" is no parameter`},
		{"web.service", "", []string{"a=\x1b[31m"}, cluster.Invalid, "is no parameter"},
		{"web.service", "", []string{"a=" + strings.Repeat("x", 254)}, cluster.Invalid, "is no parameter"},
		{"web.service", "", many, cluster.Invalid, "17 parameters of web; the limit is 16"},
	} {
		if _, problem := patched(b, tt.unit, tt.service, tt.parameters...); problem == nil || problem.Code != fmt.Sprint(tt.code) || !strings.Contains(problem.Detail, tt.says) {
			t.Errorf("%s %v: %+v, want %s", tt.unit, tt.parameters, problem, tt.says)
		}
	}
}
