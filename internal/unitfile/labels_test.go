package unitfile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestParseRequirements(t *testing.T) {
	type reqs = []unitfile.Requirement
	for _, tt := range []struct {
		name, text string
		want       reqs
		printed    string // "" if as written
	}{
		{"a value", "disk=ssd", reqs{{Key: "disk", Values: []string{"ssd"}}}, ""},
		{"a value, as programmers write it", "disk == ssd", reqs{{Key: "disk", Values: []string{"ssd"}}}, "disk=ssd"},
		{"another value", "zone!=a", reqs{{Key: "zone", Op: unitfile.NotIn, Values: []string{"a"}}}, ""},
		{"one of several, sorted, each once", "zone in (b,a, b)", reqs{{Key: "zone", Values: []string{"a", "b"}}}, "zone in (a, b)"},
		{"a list of one", "zone in (a)", reqs{{Key: "zone", Values: []string{"a"}}}, "zone=a"},
		{"none of several", "zone not in (a, b)", reqs{{Key: "zone", Op: unitfile.NotIn, Values: []string{"a", "b"}}}, ""},
		{"a label that is set", "gpu", reqs{{Key: "gpu", Op: unitfile.Exists}}, ""},
		{"a label that is not set", "! gpu", reqs{{Key: "gpu", Op: unitfile.Absent}}, "!gpu"},
		{"numbers", "mem>=32G, mem < 64G, cpus>2, cpus<=8", reqs{
			{Key: "mem", Op: unitfile.AtLeast, Values: []string{"32G"}},
			{Key: "mem", Op: unitfile.Less, Values: []string{"64G"}},
			{Key: "cpus", Op: unitfile.More, Values: []string{"2"}},
			{Key: "cpus", Op: unitfile.AtMost, Values: []string{"8"}},
		}, "mem>=32G, mem<64G, cpus>2, cpus<=8"},
		{"keys may have slashes and dots", "example.com/rack-1_x=7", reqs{{Key: "example.com/rack-1_x", Values: []string{"7"}}}, ""},
		{"a quoted value may hold what separates", `room="east, wing (2)"`, reqs{{Key: "room", Values: []string{"east, wing (2)"}}}, ""},
		{"keys that begin like words", "inside in (a), note not in (b)", reqs{
			{Key: "inside", Values: []string{"a"}}, {Key: "note", Op: unitfile.NotIn, Values: []string{"b"}},
		}, "inside=a, note!=b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := unitfile.ParseRequirements(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var printed []string
			for _, r := range got {
				printed = append(printed, r.String())
			}
			want := tt.printed
			if want == "" {
				want = tt.text
			}
			if all := strings.Join(printed, ", "); all != want {
				t.Errorf("prints as %q, not as %q", all, want)
			}
		})
	}
}

func TestBadRequirements(t *testing.T) {
	for text, want := range map[string]string{
		"":                `"" is no label expression: it does not begin with the key of a label`,
		"a=b,":            `"" is no label expression: it does not begin with the key of a label`,
		"=b":              `"=b" is no label expression: it does not begin with the key of a label`,
		"a=":              `"a=" is no label expression: a value is missing`,
		"a=b=c":           `"a=b=c" is no label expression: a value with such characters stands in double quotes`,
		"a=two words":     `"a=two words" is no label expression: a value with such characters stands in double quotes`,
		`a="b`:            `"a=\"b" is no label expression: a quote or a parenthesis is not closed`,
		`a="b"c`:          `"a=\"b\"c" is no label expression: the quotes are not around one whole value`,
		"a in (b":         `"a in (b" is no label expression: a quote or a parenthesis is not closed`,
		"a in b)":         `"a in b)" is no label expression: a quote or a parenthesis is not closed`,
		"a in ()":         `"a in ()" is no label expression: a value is missing`,
		"a in (b,,c)":     `"a in (b,,c)" is no label expression: a value is missing`,
		"a in b":          `"a in b" is no label expression: the key is followed by nothing that is known`,
		"a notin (b)":     `"a notin (b)" is no label expression: the key is followed by nothing that is known`,
		"a ~ b":           `"a ~ b" is no label expression: the key is followed by nothing that is known`,
		"mem>=much":       `"mem>=much" is no label expression: "much" is not a number`,
		"mem>=1e9":        `"mem>=1e9" is no label expression: "1e9" is not a number`,
		"!":               `"!" is no label expression: after ! stands the key of a label`,
		"!a=b":            `"!a=b" is no label expression: after ! stands the key of a label`,
		"zone in (a) (b)": `"zone in (a) (b)" is no label expression: there is more than one list`,
	} {
		_, err := unitfile.ParseRequirements(text)
		switch {
		case err == nil:
			t.Errorf("%q was taken", text)
		case err.Error() != want:
			t.Errorf("%q: %v, not %s", text, err, want)
		case cluster.HintOf(err) == "":
			t.Errorf("%q: no hint", text)
		}
	}
}

func TestMet(t *testing.T) {
	labels := map[string]string{"disk": "ssd", "zone": "a", "mem": "32G", "cpus": "8", "word": "many", "empty": ""}
	look := func(key string) (string, bool) { v, there := labels[key]; return v, there }
	for text, want := range map[string]bool{
		"disk=ssd": true, "disk=hdd": false, "rack=1": false,
		"disk!=hdd": true, "disk!=ssd": false, "rack!=1": true,
		"zone in (a, b)": true, "zone in (b, c)": false, "rack in (1, 2)": false,
		"zone not in (b, c)": true, "zone not in (a, b)": false, "rack not in (1)": true,
		"zone": true, "rack": false, "empty": true, "!zone": false, "!rack": true,
		"mem>=32G": true, "mem>=33G": false, "mem>=32768M": true, "mem>31.5G": true, "mem>32G": false,
		"mem<=32G": true, "mem<32G": false, "mem<33G": true, "cpus>=8": true, "cpus<=7": false,
		"word>=1": false, "word<1": false, "rack>=0": false, "rack<1": false,
	} {
		all, err := unitfile.ParseRequirements(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := all[0].Met(look); got != want {
			t.Errorf("%s is %t", text, got)
		}
	}
}

func FuzzParseRequirements(f *testing.F) {
	for _, seed := range []string{"disk=ssd", "zone in (a, b), !gpu", "mem>=32G", `a="b, c"`, "a not in (b)", "((", `"`, "a in (\"", "!"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := unitfile.ParseRequirements(text)
		if err != nil {
			return
		}
		for _, r := range all {
			if !unitfile.IsLabelKey(r.Key) {
				t.Errorf("%q has the key %q", text, r.Key)
			}
			if (r.Op == unitfile.Exists || r.Op == unitfile.Absent) != (len(r.Values) == 0) {
				t.Errorf("%q became %+v", text, r)
			}
			again, err := unitfile.ParseRequirements(r.String())
			if diff := cmp.Diff([]unitfile.Requirement{r}, again); err != nil || diff != "" {
				t.Errorf("%q prints as %q, which is read as (-want +got): %v\n%s", text, r, err, diff)
			}
			r.Met(func(string) (string, bool) { return "1", true }) // does not panic
		}
	})
}
