package unitfile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"an assignment before the first header", "A=1\n[Unit]\n", "x.service:1: A= stands outside of a section (put it below a header like [Unit] or [Service])"},
		{"a header that is not closed", "[Unit]\n[Service\n", `x.service:2: section header "[Service" does not end in ']' (a section header is [Name] alone on its line)`},
		{"a comment behind a header", "[Unit] # here", `x.service:1: section header "[Unit] # here" does not end in ']' (a section header is [Name] alone on its line)`},
		{"a header without a name", "[]", "x.service:1: section header without a name (a section header is [Name] alone on its line)"},
		{"a quote in a header", `["Unit"]`, `x.service:1: section header "[\"Unit\"]" has a character that is not allowed in a name`},
		{"a line without '='", "[Unit]\n\nhello\n", `x.service:3: missing '=' in "hello" (write Key=Value; a long value goes on after a "\" at the end of the line)`},
		{"a line without a key", "[Unit]\n =x\n", `x.service:2: missing key before '=' in "=x" (write Key=Value)`},
		{"a continued line, at its first line", "[Unit]\na\\\nb\n", `x.service:2: missing '=' in "a b" (write Key=Value; a long value goes on after a "\" at the end of the line)`},
		{"a NUL", "[Unit]\nA=1\x00", `x.service:2: byte 0x00 is a control character (unit files are plain text; write it as an escape like \x1b)`},
		{"a control character, even in a comment", "# \x1b[1m\n", `x.service:1: byte 0x1b is a control character (unit files are plain text; write it as an escape like \x1b)`},
		{"a form feed, which systemd takes for no blank", "[Unit]\n\f\n", `x.service:2: byte 0x0c is a control character (unit files are plain text; write it as an escape like \x1b)`},
		{"a program", "\x7fELF\x02\x01\x01\x00", `x.service:1: byte 0x02 is a control character (unit files are plain text; write it as an escape like \x1b)`},
		{"invalid UTF-8, even in a comment", "[Unit]\r\n# caf\xe9\r\n", "x.service:2: byte 0xe9 is not valid UTF-8 (save the file as UTF-8)"},
		{"UTF-16", "\xff\xfe[\x00U\x00", "x.service:1: byte 0xff is not valid UTF-8 (save the file as UTF-8)"},
		{"a byte order mark", "\xef\xbb\xbf[Unit]\n", "x.service:1: the file begins with a byte order mark (save it as UTF-8 without BOM)"},
		{
			"a file over the limit, which it states", "[Unit]\n#" + strings.Repeat("\n", cluster.UnitTextMax),
			"x.service:262138: the file is too long; the limit is 262144 bytes (the limit is passed on this line; keep data out of unit files)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := unitfile.Parse("x.service", []byte(tt.text))
			var typed *unitfile.Error
			if !errors.As(err, &typed) {
				t.Fatalf("Parse: %v, want a *unitfile.Error", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("Parse, -want +got:\n%s", diff)
			}
		})
	}
}

func TestParseTakesTheLargestFile(t *testing.T) {
	text := "[Unit]\nA=" + strings.Repeat("x", cluster.UnitTextMax-9)
	if _, err := unitfile.Parse("x.service", []byte(text)); err != nil {
		t.Errorf("Parse of %d bytes: %v", len(text), err)
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"blanks around key and value do not count", "[S]\n \tK \t=\t v w \t\n", []string{"v w"}},
		{"a value may hold '='", "[S]\nK=a=b=c\n", []string{"a=b=c"}},
		{"several assignments are a list", "[S]\nK=a\nK=b\n", []string{"a", "b"}},
		{"an empty assignment resets the list", "[S]\nK=a\nK=\nK=b\nK=c\n", []string{"b", "c"}},
		{"an empty assignment at the end leaves nothing", "[S]\nK=a\nK=  \n", nil},
		{"keys are case-sensitive", "[S]\nk=a\nK=b\n", []string{"b"}},
		{"sections are case-sensitive", "[s]\nK=a\n[S]\nK=b\n", []string{"b"}},
		{"a section that appears twice is one", "[S]\nK=a\n[T]\nK=x\n[S]\nK=b\n", []string{"a", "b"}},
		{"the backslash of a continued line becomes a blank", "[S]\nK=a\\\nb\n", []string{"a b"}},
		{"blanks of continued lines stay", "[S]\nK=a \\\n  b\n", []string{"a    b"}},
		{"comments between continued lines belong to nobody", "[S]\nK=a\\\n# no\n  ; no\\\nb\\\nc\n", []string{"a b c"}},
		{"a blank line ends a continuation", "[S]\nK=a\\\n\nb=c\n", []string{"a"}},
		{"a continuation may take in what looks like a header", "[S]\nK=a\\\n[T]\n", []string{"a [T]"}},
		{"an escaped backslash continues nothing", "[S]\nK=a\\\\\nb=c\n", []string{`a\\`}},
		{"three backslashes do", "[S]\nK=a\\\\\\\nb\n", []string{`a\\ b`}},
		{"a continuation at the end of the file", "[S]\nK=a\\", []string{"a"}},
		{"a comment at its end continues nothing", "[S]\n# K=x\\\nK=a\n", []string{"a"}},
		{"a '#' within a line is part of the value", "[S]\nK=a # b ; c\n", []string{"a # b ; c"}},
		{"lines may end in CR LF", "[S]\r\nK=a\\\r\nb\r\n\r\n", []string{"a b"}},
		{"lines may end in CR", "[S]\rK=a\rK=b\r", []string{"a", "b"}},
		{"the last line needs no end", "[S]\nK=a", []string{"a"}},
		{"quotes, escapes and specifiers stay as written", "[S]\nK=\"a\\x20b\" %i\n", []string{`"a\x20b" %i`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustParse(t, tt.text)
			if diff := cmp.Diff(tt.want, f.Values("S", "K")); diff != "" {
				t.Errorf("Values, -want +got:\n%s", diff)
			}
			last := ""
			if len(tt.want) > 0 {
				last = tt.want[len(tt.want)-1]
			}
			if got := f.Value("S", "K"); got != last {
				t.Errorf("Value = %q, want the last, %q", got, last)
			}
			if got := f.String(); got != tt.text {
				t.Errorf("String = %q, want the text as it was, %q", got, tt.text)
			}
		})
	}
}

func TestLinesAndSections(t *testing.T) {
	f := mustParse(t, "# first\n[B]\nK=1\\\n# inside\n  2\nL=x\n\n[A]\nK=3\n[B]\nK=4\n")
	if f.Name() != "x.service" {
		t.Errorf("Name = %q", f.Name())
	}
	if diff := cmp.Diff([]string{"B", "A"}, f.Sections()); diff != "" {
		t.Errorf("Sections, -want +got:\n%s", diff)
	}
	want := []unitfile.Assignment{
		{Section: "B", Key: "K", Value: "1   2", Line: 3},
		{Section: "B", Key: "L", Value: "x", Line: 6},
		{Section: "B", Key: "K", Value: "4", Line: 11},
	}
	if diff := cmp.Diff(want, f.Assignments("B")); diff != "" {
		t.Errorf("Assignments, -want +got:\n%s", diff)
	}
	for _, tt := range []struct{ got, want int }{
		{f.Line("B", "K"), 11}, {f.Line("A", "K"), 9}, {f.Line("A", "none"), 0},
		{f.SectionLine("A"), 8}, {f.SectionLine("B"), 2}, {f.SectionLine("none"), 0},
	} {
		if tt.got != tt.want {
			t.Errorf("line %d, want %d", tt.got, tt.want)
		}
	}
}

// mustParse parses a text that is known to be right.
func mustParse(t testing.TB, text string) *unitfile.File {
	t.Helper()
	f, err := unitfile.Parse("x.service", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
