package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// scaled asks for replicas and returns what became of each instance.
func scaled(b *bench, template cluster.UnitName, replicas int) ([]string, *wire.Problem) {
	var answer wire.DesiredAnswer
	problem := b.call("POST", wire.PathScale, wire.ScaleRequest{Template: template, Replicas: replicas}, &answer)
	var out []string
	for _, o := range answer.Units {
		text := string(o.Name) + " " + o.Done
		if o.Warning != "" {
			text += ": " + o.Warning
		}
		out = append(out, text)
	}
	return out, problem
}

func TestScale(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{
		{Name: "web@.service", Text: hello},
		{Name: "web@blue.service", Text: hello, Desired: cluster.Launched},
		{Name: "web@02.service", Text: hello, Desired: cluster.Launched},
		{Name: "web@2.service", Text: hello + "# its own\n", Desired: cluster.Launched},
		{Name: "webs@1.service", Text: hello, Desired: cluster.Launched},
	}}); problem != nil {
		t.Fatal(problem)
	}
	for _, step := range []struct {
		replicas int
		want     []string
	}{
		{3, []string{"web@1.service created", "web@2.service unchanged: web@2.service has another text than its template, and keeps it", "web@3.service created"}},
		{1, []string{"web@1.service unchanged", "web@2.service destroyed", "web@3.service destroyed"}},
		{2, []string{"web@1.service unchanged", "web@2.service created"}},
		{0, []string{"web@1.service destroyed", "web@2.service destroyed"}},
	} {
		got, problem := scaled(b, "web@.service", step.replicas)
		if problem != nil {
			t.Fatalf("%d replicas: %+v", step.replicas, problem)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%d replicas (-want +got):\n%s", step.replicas, diff)
		}
	}
	var names []string
	for _, u := range b.units() {
		names = append(names, string(u.Name))
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"web@.service", "web@02.service", "web@blue.service", "webs@1.service"}, names); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestAStoppedInstanceIsLaunchedAgainByScaling(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{
		{Name: "web@.service", Text: hello}, {Name: "web@1.service", Text: hello, Desired: cluster.Loaded},
	}}); problem != nil {
		t.Fatal(problem)
	}
	got, problem := scaled(b, "web@.service", 1)
	if diff := cmp.Diff([]string{"web@1.service changed"}, got); problem != nil || diff != "" {
		t.Errorf("%+v %s", problem, diff)
	}
}

func TestMoreReplicasThanOneTransactionHolds(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, one("web@.service", hello)); problem != nil {
		t.Fatal(problem)
	}
	if got, problem := scaled(b, "web@.service", 500); problem != nil || len(got) != 500 || len(b.units()) != 501 {
		t.Errorf("%+v: %d of %d", problem, len(got), len(b.units()))
	}
	if got, problem := scaled(b, "web@.service", 0); problem != nil || len(got) != 500 || len(b.units()) != 1 {
		t.Errorf("%+v: %d of %d", problem, len(got), len(b.units()))
	}
}

func TestWhatCannotBeScaledIsSaid(t *testing.T) {
	b := newBench(t)
	if _, problem := submit(b, wire.SubmitRequest{Units: []wire.SubmitUnit{
		{Name: "web@.service", Text: hello}, {Name: "slot@.service", Text: hello + "[X-Fleet]\nMachineID=%i\n"},
	}}); problem != nil {
		t.Fatal(problem)
	}
	for _, test := range []struct {
		template cluster.UnitName
		replicas int
		code     cluster.Kind
		says     string
	}{
		{"web@.service", -1, cluster.Invalid, "-1 replicas: from 0 to 10000"},
		{"web@.service", 10_001, cluster.Invalid, "10001 replicas"},
		{"web@.service", 2001, cluster.Invalid, "2001 units in one request"},
		{"web.service", 1, cluster.Invalid, "web.service is no template"},
		{"other@.service", 1, cluster.NotFound, "no unit other@.service"},
		{"../web@.service", 1, cluster.Invalid, "web@"},
		{"slot@.service", 2, cluster.Invalid, "MachineID=1 can be no node's ID"},
	} {
		_, problem := scaled(b, test.template, test.replicas)
		if problem == nil || problem.Code != fmt.Sprint(test.code) || !strings.Contains(problem.Detail, test.says) {
			t.Errorf("%s %d: %+v", test.template, test.replicas, problem)
		}
	}
	if n := len(b.units()); n != 2 {
		t.Errorf("%d units are stored", n)
	}
}
