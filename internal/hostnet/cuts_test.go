package hostnet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCutRules(t *testing.T) {
	const fresh = "table bridge argosy_cuts {}\ndelete table bridge argosy_cuts\n"
	const head = fresh + "table bridge argosy_cuts {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n"
	for _, test := range []struct {
		name string
		cuts []Cut
		want string
	}{
		{"no cut leaves no table", nil, fresh},
		{"one direction between two", []Cut{{From: "node-1", To: "node-3"}}, head + "\t\tiifname \"node-1\" oifname \"node-3\" drop\n\t}\n}\n"},
		{"one from everybody takes a rule for each direction", []Cut{{From: "node-2"}, {To: "node-2"}},
			head + "\t\tiifname \"node-2\" drop\n\t\toifname \"node-2\" drop\n\t}\n}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, cutRules(test.cuts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
