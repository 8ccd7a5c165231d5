package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"argosy/internal/api/wire"
	"argosy/internal/cli/table"
	"argosy/internal/loop"
)

// The forms of output.
const (
	outputTable = "table"
	outputWide  = "wide"
	outputJSON  = "json"
	outputYAML  = "yaml"
	outputName  = "name"
)

// outputs lists the forms of output of a listing.
func outputs() []string { return []string{outputTable, outputWide, outputJSON, outputYAML, outputName} }

// column is one column of a listing of T.
type column[T any] struct {
	name     string // for --fields; its capitals are the title
	flexible bool
	value    func(row T, full bool) string
}

// listing is what a verb lists: its columns and where the rows come from.
type listing[T any] struct {
	columns []column[T]
	fields  string // shown by "table", comma-separated
	wide    string // shown by "wide"
	// name is what "-o name" prints for a row; rows of one name are one.
	name func(T) string
	// key tells the rows of a watch apart; nil: their names do.
	key func(T) string
	// fetch returns the API's message and the rows of it. A listing of what this
	// machine has in files has here instead: no cluster is asked for it.
	fetch func(ctx context.Context, b Backend) (message any, rows []T, err error)
	here  func() (message any, rows []T, err error)
	// change returns the part of a watch message that belongs to the listing,
	// nil if none does, and its rows. What no watch of the cluster tells of is
	// looked at again and again instead, and gone makes the row of what has
	// vanished meanwhile. What has a stream of its own has follow, which calls each
	// with what changed.
	change func(wire.Change) (message any, rows []T)
	gone   func(T) T
	follow func(ctx context.Context, b Backend, each func(message any, rows []T) error) error
}

// keyOf tells the rows of a watch apart.
func (l listing[T]) keyOf(row T) string {
	if l.key != nil {
		return l.key(row)
	}
	return l.name(row)
}

// text is everything that a row says.
func (l listing[T]) text(row T) string {
	var all strings.Builder
	for _, c := range l.columns {
		all.WriteString(c.value(row, true) + "\x00")
	}
	return all.String()
}

// listFlags are those of every listing.
type listFlags struct {
	output   string
	fields   string
	watch    bool
	noLegend bool
	full     bool
}

// bindList gives a verb the flags of its listing.
func bindList[T any](cmd *cobra.Command, f *listFlags, l listing[T]) {
	flags := cmd.Flags()
	bindOutput(cmd, &f.output, outputs())
	flags.StringVar(&f.fields, "fields", "", "show these columns: `"+fieldNames(l.columns)+"`")
	flags.BoolVar(&f.noLegend, "no-legend", false, "leave out the line of titles")
	flags.BoolVarP(&f.full, "full", "l", false, "cut nothing")
	flags.BoolVarP(&f.watch, "watch", "w", false, "go on and print what changes, until interrupted")
	complete(cmd, "fields", fixedValues(strings.Split(fieldNames(l.columns), ",")))
}

// bindOutput gives a verb -o with its forms.
func bindOutput(cmd *cobra.Command, output *string, forms []string) {
	cmd.Flags().StringVarP(output, "output", "o", forms[0], "print as `"+strings.Join(forms, "|")+"`")
	complete(cmd, "output", fixedValues(forms))
}

// checkOutput returns a misuse error if the form is not one of those given.
func checkOutput(output string, forms []string) error {
	if !slices.Contains(forms, output) {
		return misuse("-o %s: use %s", output, strings.Join(forms, ", "))
	}
	return nil
}

func fieldNames[T any](columns []column[T]) string {
	var all []string
	for _, c := range columns {
		all = append(all, c.name)
	}
	return strings.Join(all, ",")
}

// chosen returns the columns to show.
func (l listing[T]) chosen(f listFlags) ([]column[T], error) {
	fields := f.fields
	if fields == "" {
		fields = l.fields
		if f.output == outputWide {
			fields = l.wide
		}
	}
	var columns []column[T]
	for field := range strings.SplitSeq(fields, ",") {
		i := slices.IndexFunc(l.columns, func(c column[T]) bool { return c.name == field })
		if i < 0 {
			return nil, misuse("--fields: no column %q; there are %s", field, fieldNames(l.columns))
		}
		columns = append(columns, l.columns[i])
	}
	return columns, nil
}

// show prints a listing in the form that the flags say.
func show[T any](ctx context.Context, a *app, f listFlags, l listing[T]) error {
	if err := checkOutput(f.output, outputs()); err != nil {
		return err
	}
	columns, err := l.chosen(f)
	if err != nil {
		return err
	}
	printer := newPrinter(a, f, l, columns)
	look := func(context.Context) (any, []T, error) { return l.here() }
	var b Backend
	if l.here == nil {
		if b, err = a.connect(ctx); err != nil {
			return err
		}
		look = func(ctx context.Context) (any, []T, error) {
			request, cancel := a.request(ctx)
			defer cancel()
			return l.fetch(request, b)
		}
	}
	switch {
	case f.watch && l.follow != nil:
		return l.follow(ctx, b, printer.print)
	case f.watch && l.change == nil:
		return printer.lookAgain(ctx, look)
	case f.watch:
		return a.watch(ctx, b, func(change wire.Change) error {
			if message, rows := l.change(change); message != nil {
				return printer.print(message, rows)
			}
			return nil
		})
	}
	message, rows, err := look(ctx)
	if err != nil {
		return err
	}
	return printer.print(message, rows)
}

// printer prints the rows of a listing, once or as they change.
type printer[T any] struct {
	app     *app
	flags   listFlags
	listing listing[T]
	columns []column[T]
	table   *table.Table
	// seen holds what was printed last of each row of a watch: a watch begun
	// anew tells everything again.
	seen map[string]string
}

func newPrinter[T any](a *app, f listFlags, l listing[T], columns []column[T]) *printer[T] {
	options := table.Options{NoLegend: f.noLegend}
	if a.env.IsTerminal(a.env.Stdout) && !f.full {
		options.Width = a.env.Width
	}
	if a.colour(a.env.Stdout) {
		options.Style = func(_, cell string) (before, after string) {
			if style := styleOf(cell); style != "" {
				return style, styleReset
			}
			return "", ""
		}
	}
	var shown []table.Column
	for _, c := range columns {
		shown = append(shown, table.Column{Title: strings.ToUpper(c.name), Flexible: c.flexible})
	}
	return &printer[T]{app: a, flags: f, listing: l, columns: columns, table: table.New(shown, options), seen: map[string]string{}}
}

// lookEvery is how often what no watch tells of is looked at.
const lookEvery = time.Second

// lookAgain prints a listing, and then whatever is found changed, until ctx ends.
// The first look must succeed.
func (p *printer[T]) lookAgain(ctx context.Context, look func(context.Context) (any, []T, error)) error {
	pace := loop.Pace{Every: lookEvery}
	var before map[string]T
	lost := false
	for {
		if pace.Wait(ctx) != nil {
			return nil
		}
		message, rows, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (before == nil || !retryable(err)):
			return err
		case err != nil:
			if !lost {
				p.app.notef("lost the connection (%s); trying again", err)
			}
			lost = true
			continue
		}
		lost = false
		changed, now := p.listing.changes(before, rows)
		if before == nil || len(changed) > 0 {
			if err := p.print(message, changed); err != nil {
				return err
			}
		}
		before = now
	}
}

// changes returns the rows that say something else than before, those of what
// has vanished included, and all rows by their keys.
func (l listing[T]) changes(before map[string]T, rows []T) (changed []T, now map[string]T) {
	now = make(map[string]T, len(rows))
	for _, row := range rows {
		key := l.keyOf(row)
		now[key] = row
		if old, known := before[key]; !known || l.text(old) != l.text(row) {
			changed = append(changed, row)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, there := now[key]; !there {
			changed = append(changed, l.gone(before[key]))
		}
	}
	return changed, now
}

func (p *printer[T]) print(message any, rows []T) error {
	switch p.flags.output {
	case outputJSON, outputYAML:
		return p.app.encode(p.flags.output, message, p.flags.watch)
	case outputName:
		var last string
		for _, row := range rows {
			if name := p.listing.name(row); name != last {
				p.app.printf("%s\n", name)
				last = name
			}
		}
		return nil
	}
	p.app.printf("%s", p.table.Text(p.cells(rows)))
	return nil
}

// cells returns the rows as text; in a watch, only those that say something new.
func (p *printer[T]) cells(rows []T) [][]string {
	var all [][]string
	for _, row := range rows {
		cells := make([]string, 0, len(p.columns))
		for _, c := range p.columns {
			cells = append(cells, c.value(row, p.flags.full))
		}
		if p.flags.watch {
			key, text := p.listing.keyOf(row), strings.Join(cells, "\x00")
			if p.seen[key] == text {
				continue
			}
			p.seen[key] = text
		}
		all = append(all, cells)
	}
	return all
}

// encode prints a message of the API as it is: indented, or in a stream one
// message to a line (JSON) or to a document (YAML).
func (a *app) encode(output string, message any, stream bool) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if !stream && output == outputJSON {
		encoder.SetIndent("", "  ")
	}
	if err := encoder.Encode(message); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if output == outputJSON {
		a.printf("%s", text.Bytes())
		return nil
	}
	document, err := yaml.JSONToYAML(text.Bytes())
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if stream {
		a.printf("---\n")
	}
	a.printf("%s", document)
	return nil
}

// noteStale says on standard error that a listing may be old.
func (a *app) noteStale(stale bool, age float64) {
	if stale {
		a.notef("stale: this is what was known %.0f s ago; the servers have no quorum, or cannot reach it", age)
	}
}
