// Package table lays out the listings of the command line: columns, how wide
// they are, and what is cut when the terminal is too narrow. It is pure: rows
// go in, text comes out.
package table

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// gap parts the columns.
const gap = "  "

// cutMin is the narrowest that a column is cut to: less says nothing any more.
const cutMin = 10

// Column is one column of a table.
type Column struct {
	Title string
	// Flexible columns are cut when the table is wider than the terminal.
	Flexible bool
}

// Options say how a table looks.
type Options struct {
	// Width is that of the terminal in columns; 0 cuts nothing, as for a file.
	Width    int
	NoLegend bool
	// Style returns the escape sequences before and after a cell, or two empty
	// strings; nil styles nothing.
	Style func(title, cell string) (before, after string)
}

// Table turns rows into lines. Rows may come in several calls (a watch): the
// columns stay where they are, or grow.
type Table struct {
	columns []Column
	options Options
	widths  []int
	begun   bool
}

// New makes a table without rows.
func New(columns []Column, options Options) *Table {
	t := &Table{columns: columns, options: options, widths: make([]int, len(columns))}
	if !options.NoLegend {
		for i, column := range columns {
			t.widths[i] = utf8.RuneCountInString(column.Title)
		}
	}
	return t
}

// Text returns the lines of rows, after the legend at the first call. Empty
// cells are shown as "-", so that a line always has all its fields. Missing
// cells count as empty.
func (t *Table) Text(rows [][]string) string {
	shown := make([][]string, 0, len(rows))
	for _, row := range rows {
		shown = append(shown, t.cells(row))
	}
	widths := t.fit()
	var text strings.Builder
	if !t.begun && !t.options.NoLegend {
		titles := make([]string, len(t.columns))
		for i, column := range t.columns {
			titles[i] = column.Title
		}
		t.line(&text, widths, titles, false)
	}
	t.begun = true
	for _, row := range shown {
		t.line(&text, widths, row, true)
	}
	return text.String()
}

// cells returns a row as it is shown, and lets the columns grow to hold it.
func (t *Table) cells(row []string) []string {
	cells := make([]string, len(t.columns))
	for i := range t.columns {
		if i < len(row) {
			cells[i] = Clean(row[i])
		}
		if cells[i] == "" {
			cells[i] = "-"
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
	}
	return cells
}

// fit returns the widths to use: the widest flexible column gives way first.
func (t *Table) fit() []int {
	widths := append([]int(nil), t.widths...)
	if t.options.Width <= 0 {
		return widths
	}
	total := len(gap) * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > t.options.Width; total-- {
		widest := -1
		for i, w := range widths {
			if t.columns[i].Flexible && w > cutMin && (widest < 0 || w >= widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return widths
		}
		widths[widest]--
	}
	return widths
}

// line writes one line; nothing follows its last cell.
func (t *Table) line(to *strings.Builder, widths []int, cells []string, styled bool) {
	for i, cell := range cells {
		shown := Cut(cell, widths[i])
		before, after := "", ""
		if styled && t.options.Style != nil {
			before, after = t.options.Style(t.columns[i].Title, cell)
		}
		to.WriteString(before + shown + after)
		if i < len(cells)-1 {
			to.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(shown)) + gap)
		}
	}
	to.WriteByte('\n')
}

// Cut shortens a text to so many runes, the last one "…" if anything is missing.
func Cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width <= 0 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}

// Clean returns a text as one line without control characters: what a unit
// says must not move the cursor of whoever reads it.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == utf8.RuneError:
			return '·'
		}
		return r
	}, text)
}
