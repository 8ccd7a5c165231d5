package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const stanza = `# a comment
promise: Two is never one.
file: x/y.go
test: ./x -run TestTwo/it_is
 func two() int {
-	return 2
+	return 1
`

func TestALineOfAListIsAKeyOrAChange(t *testing.T) {
	got, err := parse("x.mutants", stanza+"\n\npromise: On nodes too.\nfile: z.go\nlab: yes\ntest: ./test/lab -run TestZ\n-a\n")
	want := []mutant{
		{
			at: "x.mutants:2", promise: "Two is never one.", file: "x/y.go", test: target{"./x", "TestTwo/it_is"},
			old: "func two() int {\n\treturn 2\n", new: "func two() int {\n\treturn 1\n",
		},
		{at: "x.mutants:10", promise: "On nodes too.", file: "z.go", test: target{"./test/lab", "TestZ"}, lab: true, old: "a\n"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mutant{}, target{})); diff != "" || err != nil {
		t.Errorf("error %v, mutants (-want +got):\n%s", err, diff)
	}
}

func TestListsThatWouldShowNothingAreRefused(t *testing.T) {
	without := func(line string) string { return strings.Replace(stanza, line+"\n", "", 1) }
	for _, tt := range []struct{ name, text, reason string }{
		{"no promise", without("promise: Two is never one."), "x:2: no promise"},
		{"no file", without("file: x/y.go"), "no file"},
		{"no test", without("test: ./x -run TestTwo/it_is"), "no test"},
		{"a test without a pattern", "test: ./x", "x:1: a test is"},
		{"a change that changes nothing", without("-\treturn 2") + "-\treturn 1\n", "changes nothing"},
		{"a change that finds nothing", "promise: p\nfile: f\ntest: ./x -run T\n+x\n", "nothing to find"},
		{"an unknown key", "color: red", "unknown key"},
		{"free text", "hello", "no \"key: value\""},
		{"a key without a value", "lab: no", "unknown key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse("x", tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, want a refusal with %q", err, tt.reason)
			}
		})
	}
}

func TestAMutantFitsExactlyOnePlace(t *testing.T) {
	m := mutant{at: "x:1", file: "y.go", old: "a\nb\n", new: "c\n"}
	for _, tt := range []struct{ name, text, want, reason string }{
		{"at the beginning", "a\nb\nd\n", "c\nd\n", ""},
		{"at the end", "d\na\nb\n", "d\nc\n", ""},
		{"in the middle", "d\na\nb\nd\n", "d\nc\nd\n", ""},
		{"nowhere", "a\nd\nb\n", "", "does not have these lines"},
		{"twice", "a\nb\na\nb\n", "", "more than once"},
		{"only within a line", "xa\nb\n", "", "does not have these lines"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := m.apply(tt.text)
			if got != tt.want || (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %q and %v, want %q and %q", got, err, tt.want, tt.reason)
			}
		})
	}
}
