package unitfile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/unitfile"
)

func TestEdits(t *testing.T) {
	add := func(section, key, value string) func(*unitfile.File) (*unitfile.File, error) {
		return func(f *unitfile.File) (*unitfile.File, error) { return f.Add(section, key, value) }
	}
	set := func(section, key string, values ...string) func(*unitfile.File) (*unitfile.File, error) {
		return func(f *unitfile.File) (*unitfile.File, error) { return f.Set(section, key, values...) }
	}
	tests := []struct {
		name, text string
		edit       func(*unitfile.File) (*unitfile.File, error)
		want       string
	}{
		{"add after the last of the key", "[S]\nK=1\nL=2\n# c\n", add("S", "K", "2"), "[S]\nK=1\nK=2\nL=2\n# c\n"},
		{"add at the end of the section, before blanks and comments", "[S]\nL=2\n\n# of T\n[T]\n", add("S", "K", "1"), "[S]\nL=2\nK=1\n\n# of T\n[T]\n"},
		{"add to a section without assignments", "[S]\n\n[T]\n", add("S", "K", "1"), "[S]\nK=1\n\n[T]\n"},
		{"add a section at the end", "[S]\nL=2", add("T", "K", "1"), "[S]\nL=2\n\n[T]\nK=1\n"},
		{"add to nothing", "", add("T", "K", "1"), "[T]\nK=1\n"},
		{"add to a section that comes twice", "[S]\n[T]\n[S]\nL=1\n", add("S", "K", "1"), "[S]\n[T]\n[S]\nL=1\nK=1\n"},
		{"add with the line ends of the file", "[S]\r\nL=2\r\n", add("S", "K", "1"), "[S]\r\nL=2\r\nK=1\r\n"},
		{"add after a continuation that the end cut short", "[S]\nL=2\\", add("S", "K", "1"), "[S]\nL=2\\\n\nK=1\n"},
		{"add after such a continuation with a comment", "[S]\nL=2\\\n# c\n", add("S", "K", "1"), "[S]\nL=2\\\n# c\n\nK=1\n"},
		{"add an empty value, which resets", "[S]\nK=1\n", add("S", "K", ""), "[S]\nK=1\nK=\n"},
		{"set in place of the first", "[S]\nK=1\\\n 2\nL=x\nK=3\n", set("S", "K", "4", "5"), "[S]\nK=4\nK=5\nL=x\n"},
		{"set what is not there", "[S]\nL=x\n", set("S", "K", "4"), "[S]\nL=x\nK=4\n"},
		{"set to nothing", "[S]\nK=1\nL=x\nK=3\n", set("S", "K"), "[S]\nL=x\n"},
		{"set what is not there to nothing", "[S]\nL=x", set("T", "K"), "[S]\nL=x"},
		{"other sections stay", "[T]\nK=9\n[S]\nK=1\n", set("S", "K", "2"), "[T]\nK=9\n[S]\nK=2\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustParse(t, tt.text)
			edited, err := tt.edit(f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, edited.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if f.String() != tt.text {
				t.Errorf("the edit changed the original to %q", f.String())
			}
		})
	}
}

func TestEditsRefuseWhatWouldNotBeReadBack(t *testing.T) {
	f := mustParse(t, "[S]\nK=1\n")
	for _, tt := range []struct{ name, section, key, value string }{
		{"a line break in the value", "S", "K", "a\nb=c"},
		{"blanks around the value", "S", "K", " a"},
		{"a value that continues", "S", "K", `a\`},
		{"a NUL in the value", "S", "K", "a\x00"},
		{"no key", "S", "", "a"},
		{"a key with '='", "S", "K=a", "b"},
		{"a key that is a comment", "S", "#K", "b"},
		{"a key that is a header", "S", "[K", "b]"},
		{"no section", "", "K", "b"},
		{"a section with a line break", "S]\n[T", "K", "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if edited, err := f.Add(tt.section, tt.key, tt.value); err == nil {
				t.Errorf("Add made %q", edited)
			}
			if edited, err := f.Set(tt.section, tt.key, tt.value); err == nil {
				t.Errorf("Set made %q", edited)
			}
		})
	}
}
