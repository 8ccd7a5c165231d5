package systemdtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// print adds a line to a unit's journal.
func (f *Fake) print(name cluster.UnitName, line string) {
	f.lines[name] = append(f.lines[name], line)
	close(f.news)
	f.news = make(chan struct{})
}

// printLines adds what a command printed.
func (f *Fake) printLines(name cluster.UnitName, text string) {
	for line := range strings.Lines(text) {
		f.print(name, strings.TrimSuffix(line, "\n"))
	}
}

// Sync implements systemd.Journal: what is printed is there at once.
func (f *Fake) Sync(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enter(ctx, "sync", "")
}

// Tail implements systemd.Journal.
func (f *Fake) Tail(ctx context.Context, name cluster.UnitName, n int) ([]string, error) {
	pass(f.JournalLag)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "tail", name); err != nil {
		return nil, err
	}
	lines := f.lines[name]
	return slices.Clone(lines[max(0, len(lines)-n):]), nil
}

// inForm puts a line into a form, as far as the forms differ here.
func inForm(form, line string) string {
	switch form {
	case "json":
		return fmt.Sprintf(`{"MESSAGE":%q}`, line)
	case systemd.JournalExport:
		return "MESSAGE=" + line + "\n\n"
	}
	return line
}

// Follow implements systemd.Journal.
func (f *Fake) Follow(ctx context.Context, name cluster.UnitName, view systemd.JournalView, line func(string) error) error {
	if err := systemd.CheckJournalForm(view.Form); err != nil {
		return err
	}
	f.mu.Lock()
	at := max(0, len(f.lines[name])-view.Lines)
	f.mu.Unlock()
	for {
		f.mu.Lock()
		lines, news := slices.Clone(f.lines[name][at:]), f.news
		at += len(lines)
		f.mu.Unlock()
		for _, text := range lines {
			if err := line(inForm(view.Form, text)); err != nil {
				return err
			}
		}
		if !view.Follow {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
