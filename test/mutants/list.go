package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one way to break a promise, and the test that must notice. In a
// list it is a stanza; an empty line ends it, '#' begins a comment:
//
//	promise: An empty state moves and stops nothing.
//	file: internal/place/plan.go
//	test: ./internal/place -run TestPlan
//	-	if in.State == nil || len(in.State.Nodes) == 0 {
//	+	if in.State == nil {
//
// The change reads like a diff: '-' is a line that goes, '+' one that comes, a
// blank one that stays. Lines are matched whole, and what is to go or stay must
// occur exactly once in the file. "lab: yes" marks a test on lab nodes.
type mutant struct {
	at       string // file:line of the stanza
	promise  string
	file     string // relative to the module's root
	test     target
	lab      bool
	old, new string // whole lines
}

// target is what is run: the tests of a package whose names match a pattern.
type target struct{ pkg, pattern string }

func (t target) String() string { return t.pkg + " -run " + t.pattern }

// readLists returns the mutants of all lists in a folder.
func readLists(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.mutants"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		list, err := parse(filepath.Base(path), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// parse reads one list; name stands in positions.
func parse(name, text string) ([]mutant, error) {
	var list []mutant
	var m *mutant
	end := func() error {
		if m == nil {
			return nil
		}
		defer func() { m = nil }()
		list = append(list, *m)
		return m.complete()
	}
	for i, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", name, i+1)
		if line == "" {
			if err := end(); err != nil {
				return nil, err
			}
			continue
		}
		if line[0] == '#' {
			continue
		}
		if m == nil {
			m = &mutant{at: at}
		}
		if err := m.add(line); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	return list, end()
}

// add takes one line of a stanza.
func (m *mutant) add(line string) error {
	switch line[0] {
	case ' ':
		m.old += line[1:] + "\n"
		m.new += line[1:] + "\n"
		return nil
	case '-':
		m.old += line[1:] + "\n"
		return nil
	case '+':
		m.new += line[1:] + "\n"
		return nil
	}
	key, value, found := strings.Cut(line, ": ")
	switch {
	case !found || value == "":
		return fmt.Errorf("%q is no \"key: value\" and no line of a change", line)
	case key == "promise":
		m.promise = value
	case key == "file":
		m.file = value
	case key == "lab" && value == "yes":
		m.lab = true
	case key == "test":
		pkg, pattern, found := strings.Cut(value, " -run ")
		if !found || pattern == "" {
			return errors.New("a test is \"PACKAGE -run PATTERN\"")
		}
		m.test = target{pkg, pattern}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// complete says what a stanza lacks.
func (m *mutant) complete() error {
	switch {
	case m.promise == "":
		return fmt.Errorf("%s: no promise", m.at)
	case m.file == "":
		return fmt.Errorf("%s: no file", m.at)
	case m.test.pkg == "":
		return fmt.Errorf("%s: no test", m.at)
	case m.old == "":
		return fmt.Errorf("%s: nothing to find: give a line that stays, at least", m.at)
	case m.old == m.new:
		return fmt.Errorf("%s: changes nothing", m.at)
	}
	return nil
}

// apply returns the text of a file with the promise broken. It refuses a
// mutant that does not fit: the code has moved on and nothing would be shown.
func (m *mutant) apply(text string) (string, error) {
	whole, find := "\n"+text, "\n"+m.old // so that lines are matched whole
	first, last := strings.Index(whole, find), strings.LastIndex(whole, find)
	if first < 0 {
		return "", fmt.Errorf("%s: %s does not have these lines any more:\n%s", m.at, m.file, m.old)
	}
	if first != last {
		return "", fmt.Errorf("%s: %s has these lines more than once:\n%s", m.at, m.file, m.old)
	}
	return text[:first] + m.new + text[first+len(m.old):], nil
}

// fits applies every mutant and returns all that do not fit.
func fits(root string, list []mutant) error {
	var errs []error
	for _, m := range list {
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err == nil {
			_, err = m.apply(string(text))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
