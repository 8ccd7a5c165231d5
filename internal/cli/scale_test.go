package cli

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

func TestScaleWaitsForWhatComesAndWhatGoes(t *testing.T) {
	instance := func(name cluster.UnitName) wire.UnitView {
		v := hello(cluster.Launched)
		v.Name = name
		v = saying(placedOn(v, 2), 2, "active", "running", 312)
		return v
	}
	f := &fake{
		units: units(instance("web@1.service"), instance("web@2.service"), instance("other.service")),
		scaled: wire.DesiredAnswer{Revision: 10, Units: []wire.Outcome{
			{Name: "web@1.service", Done: "unchanged"}, {Name: "web@2.service", Done: "destroyed"},
		}},
		watches: [][]wire.Change{{full(instance("web@1.service"))}, {full(instance("web@1.service"))}},
	}
	synctest.Test(t, func(t *testing.T) {
		got := run(t, f, "argosy scale web@ 1")
		want := result{err: "web@1.service  unchanged\nweb@2.service  destroyed\nweb@1.service  active (running) on node-2\nweb@2.service  destroyed\n"}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff("units; scale web@.service 1; watch; watch", strings.Join(f.requests, "; ")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestScaleWantsATemplateAndANumber(t *testing.T) {
	for line, code := range map[string]int{
		"argosy scale web@":        2,
		"argosy scale web@ many":   2,
		"argosy scale web@ -1":     2,
		"argosy scale web@{1,2} 1": 2,
	} {
		if got := run(t, &fake{}, line); got.code != code {
			t.Errorf("%s ends with %d: %s", line, got.code, got.err)
		}
	}
}
