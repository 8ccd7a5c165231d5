package cli

import (
	"strings"
	"testing"
)

func TestParametersAreSetAndGivenBack(t *testing.T) {
	f := &fake{}
	got := run(t, f, "argosy parameters web@2 weight=0 note= role- --service=web")
	if got.code != 0 || got.err != "web@2.service  changed\n" {
		t.Errorf("%+v", got)
	}
	if want := `parameters web@2.service {"service":"web","parameters":{"note":"","role":null,"weight":"0"}}`; strings.Join(f.requests, "; ") != want {
		t.Errorf("%q, want %s", f.requests, want)
	}
}

func TestWhatIsNoParameterIsMisuse(t *testing.T) {
	for _, line := range []string{
		"argosy parameters web@2", "argosy parameters web@2 weight", "argosy parameters web@2 a=1 a=2",
		"argosy parameters web@2 =1", "argosy parameters web@{1,2} a=1",
	} {
		f := &fake{}
		if got := run(t, f, line); got.code != 2 || len(f.requests) > 0 {
			t.Errorf("%s ends with %d: %s", line, got.code, got.err)
		}
	}
}
