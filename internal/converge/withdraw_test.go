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

func TestWhatIsAnnouncedIsWithdrawnBeforeItStops(t *testing.T) {
	const withdraw = converge.Withdraw
	for _, tt := range []struct {
		name  string
		want  *cluster.Assignment
		seen  systemd.Unit
		known *converge.Known
		hold  string
		steps []converge.Kind
		stops bool
	}{
		{"a unit that is left alone", want(), seen("active"), carriedOut(want()), "", []converge.Kind{}, false},
		{"one that is only to be loaded", want(loaded), seen("active"), carriedOut(want()), "", []converge.Kind{withdraw, stop}, true},
		{"one that is not wanted", nil, seen("active"), carriedOut(want()), "", []converge.Kind{withdraw, stop, remove}, true},
		{"one of another text", want(changed), seen("active"), carriedOut(want()), "", []converge.Kind{withdraw, stop, write, reload, start}, true},
		{"one that is to start again", want(restarted), seen("active"), carriedOut(want()), "", []converge.Kind{withdraw, restart}, true},
		{"one that is to start again once systemd has read its file", want(restarted), seen("active", stale), carriedOut(want()), "", []converge.Kind{reload, withdraw, restart}, true},
		{"one that only starts", want(), seen("inactive"), nil, "", []converge.Kind{start}, false},
		{"one whose file only is read again", want(), seen("active", stale), carriedOut(want()), "", []converge.Kind{reload}, false},
		{"one that is to stop, and may not yet", want(loaded), seen("active"), carriedOut(want()), "because", []converge.Kind{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := converge.Input{Seen: []systemd.Unit{tt.seen}, Memory: converge.Memory{}, Now: now, Hold: tt.hold, Announced: map[cluster.UnitName]bool{"web.service": true}}
			if tt.want != nil {
				in.Want = append(in.Want, *tt.want)
			}
			if tt.known != nil {
				in.Memory["web.service"] = *tt.known
			}
			d := converge.Plan(in)[0]
			if diff := cmp.Diff(tt.steps, kinds(d)); diff != "" || d.Stops != tt.stops {
				t.Errorf("stops %v (-want +got):\n%s", d.Stops, diff)
			}
			for i, s := range d.Steps {
				if s.Kind == withdraw && (s.Unit != "web.service" || s.Reason != d.Steps[i+1].Reason) {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

// While a stop that failed waits for its next try, the unit is still one that stops:
// nobody is to be sent there meanwhile.
func TestAUnitThatCouldNotBeStoppedStillStops(t *testing.T) {
	known, _ := carriedOut(want()).Did(converge.Step{Kind: stop}, want(loaded), converge.Outcome{Err: errors.New("no"), At: now})
	if d := decide(want(loaded), seen("active"), &known, false); len(d.Steps) != 0 || !d.Stops {
		t.Errorf("%+v", d)
	}
}

func TestASickUnitIsStartedAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		want  *cluster.Assignment
		seen  systemd.Unit
		steps []converge.Kind
	}{
		{"one that runs", want(), seen("active"), []converge.Kind{restart}},
		{"not one that is on its way up", want(), seen("activating"), []converge.Kind{}},
		{"nor one that has ended meanwhile", want(), seen("inactive"), []converge.Kind{}},
		{"nor one that only is to be loaded", want(loaded), seen("active"), []converge.Kind{stop}},
	} {
		in := converge.Input{
			Want: []cluster.Assignment{*tt.want}, Seen: []systemd.Unit{tt.seen}, Memory: converge.Memory{"web.service": *carriedOut(want())},
			Now: now.Add(time.Hour), Sick: map[cluster.UnitName]string{"web.service": "HTTP 500"},
		}
		d := converge.Plan(in)[0]
		if diff := cmp.Diff(tt.steps, kinds(d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if len(d.Steps) > 0 && d.Steps[0].Kind == restart && d.Steps[0].Reason != "it is not healthy: HTTP 500" {
			t.Errorf("%+v", d.Steps)
		}
	}
}
