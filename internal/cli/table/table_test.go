package table

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func columns() []Column {
	return []Column{{Title: "UNIT", Flexible: true}, {Title: "ACTIVE"}, {Title: "PROBLEM", Flexible: true}}
}

func TestText(t *testing.T) {
	cases := map[string]struct {
		options Options
		rows    [][]string
		want    string
	}{
		"columns are as wide as their widest cell, and nothing follows the last": {
			rows: [][]string{{"web@1.service", "active", "none"}, {"db.service", "failed", "exit code 1"}},
			want: `
UNIT           ACTIVE  PROBLEM
web@1.service  active  none
db.service     failed  exit code 1
`,
		},
		"an empty or missing cell is a dash, so that every line has all fields": {
			rows: [][]string{{"db.service", ""}},
			want: `
UNIT        ACTIVE  PROBLEM
db.service  -       -
`,
		},
		"without a legend the titles do not count": {
			options: Options{NoLegend: true},
			rows:    [][]string{{"a", "b", "c"}},
			want:    "\na  b  c\n",
		},
		"no rows leave the legend alone": {
			want: "\nUNIT  ACTIVE  PROBLEM\n",
		},
		"on a narrow terminal the widest flexible column is cut first": {
			options: Options{Width: 40},
			rows:    [][]string{{"web@1.service", "active", "0 of 3 nodes: 3 lack region=eu"}},
			want: `
UNIT           ACTIVE  PROBLEM
web@1.service  active  0 of 3 nodes: 3 …
`,
		},
		"a terminal that is too narrow for anything cuts no further than says something": {
			options: Options{Width: 5},
			rows:    [][]string{{"web@1.service", "activating", "0 of 3 nodes: 3 lack region=eu"}},
			want: `
UNIT        ACTIVE      PROBLEM
web@1.ser…  activating  0 of 3 no…
`,
		},
		"control characters cannot reach the terminal": {
			rows: [][]string{{"a", "b", "x\x1b[31m\ny\tz"}},
			want: `
UNIT  ACTIVE  PROBLEM
a     b       x·[31m y z
`,
		},
		"styles do not count for the width": {
			options: Options{Style: func(title, cell string) (string, string) {
				if title == "ACTIVE" {
					return "<", ">"
				}
				return "", ""
			}},
			rows: [][]string{{"a", "b", "c"}},
			want: `
UNIT  ACTIVE  PROBLEM
a     <b>       c
`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := "\n" + New(columns(), c.options).Text(c.rows)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLaterRowsStandUnderTheFirst(t *testing.T) {
	table := New(columns(), Options{})
	got := "\n" + table.Text([][]string{{"web@1.service", "active", ""}}) + table.Text([][]string{{"db.service", "failed", "x"}})
	want := `
UNIT           ACTIVE  PROBLEM
web@1.service  active  -
db.service     failed  x
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoRowIsWiderThanTheTerminalUnlessItsColumnsAreAtTheirLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(30, 120).Draw(t, "width")
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.StringMatching(`[a-zä-ü ]{0,60}`), 2, 2), 0, 5).Draw(t, "rows")
		all := []Column{{Title: "A", Flexible: true}, {Title: "B", Flexible: true}}
		for line := range strings.Lines(New(all, Options{Width: width}).Text(rows)) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Fatalf("%d columns on a terminal of %d: %q", n, width, line)
			}
		}
	})
}
