package unitfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestExpandNames(t *testing.T) {
	tests := []struct{ name, arg, want string }{
		{"a name stands for itself", "web.timer", "web.timer"},
		{"a name without a type is a service", "web", "web.service"},
		{"a range counts", "web@{1..3}.service", "web@1.service web@2.service web@3.service"},
		{"a range without a type", "web@{1..3}", "web@1.service web@2.service web@3.service"},
		{"a range counts down", "w{3..1}", "w3.service w2.service w1.service"},
		{"a range with leading zeros keeps their width", "w{08..10}", "w08.service w09.service w10.service"},
		{"a range with a step", "w{0..8..3}", "w0.service w3.service w6.service"},
		{"a range of letters", "w{a..c}", "wa.service wb.service wc.service"},
		{"a range of one", "w{7..7}", "w7.service"},
		{"a list", "{db,web}.service", "db.service web.service"},
		{"a list may hold nothing", "web{,-old}", "web.service web-old.service"},
		{"a list may hold lists and ranges", "{db,web@{1..2},{a,b}}", "db.service web@1.service web@2.service a.service b.service"},
		{"two pairs of braces give every combination", "{a,b}{1..2}", "a1.service a2.service b1.service b2.service"},
		{"types may be a list", "web.{service,timer}", "web.service web.timer"},
		{"each name once", "{a,b,a}", "a.service b.service"},
		{"a template", "web@.service", "web@.service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, err := unitfile.ExpandNames(tt.arg)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, join(names)); diff != "" {
				t.Errorf("ExpandNames(%s), -want +got:\n%s", tt.arg, diff)
			}
		})
	}
}

func join(names []cluster.UnitName) string { return strings.Trim(fmt.Sprint(names), "[]") }

func TestExpandNamesRefuses(t *testing.T) {
	tests := []struct{ name, arg, want string }{
		{"nothing", "", "a unit needs a name"},
		{"an empty alternative", "{a,}", "a unit needs a name"},
		{"a brace that is not closed", "web@{1..3", `"web@{1..3": '{' without '}'`},
		{"a brace that is not opened", "web@1..3}", `"web@1..3}": '}' without '{'`},
		{"one alternative", "web@{1}", `"web@{1}": {1} is neither a range nor a list`},
		{"letters to numbers", "w{a..3}", `"w{a..3}": {a..3}: a range goes from number to number or from letter to letter`},
		{"letters of two cases", "w{a..C}", `"w{a..C}": {a..C}: a range goes from number to number or from letter to letter`},
		{"negative numbers", "w{-1..1}", `"w{-1..1}": {-1..1}: a range goes from number to number or from letter to letter`},
		{"a step of nothing", "w{1..3..0}", `"w{1..3..0}": {1..3..0}: the step must be a number from 1 on`},
		{"more than a thousand", "w{0..1000}", `"w{0..1000}": stands for more than 1000 names`},
		{"numbers without end", "w{0..2147483647}", `"w{0..2147483647}": stands for more than 1000 names`},
		{"numbers over any limit", "w{0..99999999999999999999}", `"w{0..99999999999999999999}": {0..99999999999999999999}: a range goes from number to number or from letter to letter`},
		{"combinations without end", "{1..100}{1..100}", `"{1..100}{1..100}": stands for more than 1000 names`},
		{"lists of ranges without end", "{{1..999},{1..999}}", `"{{1..999},{1..999}}": stands for more than 1000 names`},
		{"braces nested without end", strings.Repeat("{", 40), `"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{": braces nest deeper than 16`},
		{"a comma outside of braces", "a,b", `unit name "a,b.service": ',' is not allowed; use letters, digits and :-_.\@`},
		{"a bad name within", "{a,b c}", `unit name "b c.service": ' ' is not allowed; use letters, digits and :-_.\@`},
		{"an argument of any length", strings.Repeat("a", 20000), "unit names: the argument is 20000 bytes long; the limit is 16384"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, err := unitfile.ExpandNames(tt.arg)
			if err == nil {
				t.Fatalf("took it as %s", join(names))
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if kind := cluster.KindOf(err); kind != cluster.Invalid {
				t.Errorf("kind %s, want invalid", kind)
			}
		})
	}
	if names, err := unitfile.ExpandNames("w{1..1000}"); len(names) != unitfile.NamesMax || err != nil {
		t.Errorf("a thousand names: got %d, %v", len(names), err)
	}
}
