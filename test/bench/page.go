package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// page is the page of the reference: an introduction and parts with a title.
type page struct{ parts []part }

type part struct{ title, text string }

const pageHead = `# Performance

Made by ` + "`make bench`" + `. All parts of a measurement run on one machine and compete for its cores; figures are
compared within one run only.
`

// readPage reads what the page says now; of one that there is not, nothing.
func readPage(path string) (page, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return page{}, err
	}
	var p page
	for _, piece := range strings.Split(string(text), "\n## ")[1:] {
		title, rest, _ := strings.Cut(piece, "\n")
		p.parts = append(p.parts, part{title, strings.TrimSpace(rest)})
	}
	return p, nil
}

// set replaces the part of a title.
func (p *page) set(title, text string) {
	at := slices.IndexFunc(p.parts, func(p part) bool { return p.title == title })
	if at < 0 {
		at = len(p.parts)
		p.parts = append(p.parts, part{title: title})
	}
	p.parts[at].text = strings.TrimSpace(text)
}

// String returns the page, its parts in the order of sections.
func (p *page) String() string {
	var out strings.Builder
	out.WriteString(pageHead)
	for _, s := range sections() {
		for _, part := range p.parts {
			if part.title == s.title {
				fmt.Fprintf(&out, "\n## %s\n\n%s\n", part.title, part.text)
			}
		}
	}
	return out.String()
}

// table is what was measured: what, how much, and a note.
type table struct{ rows [][3]string }

func (t *table) row(what, value, note string) {
	fmt.Fprintf(os.Stderr, "%-60s %-24s %s\n", what, value, note)
	t.rows = append(t.rows, [3]string{what, value, note})
}

func (t *table) String() string {
	var out strings.Builder
	out.WriteString("| what | measured | note |\n|---|---|---|\n")
	for _, row := range t.rows {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", row[0], row[1], row[2])
	}
	return out.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }

// rate words how many were done in a second.
func rate(n int, took time.Duration) string { return fmt.Sprintf("%.0f/s", float64(n)/took.Seconds()) }

// spread shows the middle and the worst of several times.
func spread(times []time.Duration, word func(time.Duration) string) string {
	if len(times) == 0 {
		return "-"
	}
	slices.Sort(times)
	return fmt.Sprintf("median %s, worst %s", word(times[len(times)/2]), word(times[len(times)-1]))
}

// fastest returns the least of the times that something takes.
func fastest(times int, do func()) time.Duration {
	best := time.Duration(0)
	for i := range times {
		start := time.Now()
		do()
		if took := time.Since(start); i == 0 || took < best {
			best = took
		}
	}
	return best
}

// growth shows what something costs beside what half as many cost.
func growth(more, less time.Duration) string {
	return fmt.Sprintf("%.1f times the row above", more.Seconds()/less.Seconds())
}
