package unitfile

import "strings"

// File is a parsed unit file that keeps every byte of its text.
type File struct {
	name  string
	items []item
}

// itemKind says what a logical line is.
type itemKind int

const (
	filler itemKind = iota + 1 // blank lines and comments, as many as stand together
	header
	assignment
	malformed // only while findings are collected; Parse refuses it
)

// item is one logical line: with its continuation lines and the comments
// between them.
type item struct {
	kind    itemKind
	raw     string // the bytes of the file, line ends included
	line    int    // the first physical line, from 1
	section string
	key     string // of an assignment
	value   string // of an assignment: continued lines joined, blanks around it gone
	open    bool   // the file ends before the continuation does
}

// Assignment is one "Key=Value" of a file.
type Assignment struct {
	Section string
	Key     string
	// Value has its continuation lines joined, as systemd joins them, and no
	// blanks around it. Quotes, escapes and specifiers are as written.
	Value string
	// Line is the first line of the assignment, counted from 1.
	Line int
}

// Name returns the name that was given to Parse.
func (f *File) Name() string { return f.name }

// Bytes returns the text of the file, byte for byte.
func (f *File) Bytes() []byte { return []byte(f.String()) }

// String returns the text of the file, byte for byte.
func (f *File) String() string {
	var b strings.Builder
	for _, it := range f.items {
		b.WriteString(it.raw)
	}
	return b.String()
}

// Sections returns the names of the sections in the order of their first
// headers. A section that appears twice is one section.
func (f *File) Sections() []string {
	seen := map[string]bool{}
	var names []string
	for _, it := range f.items {
		if it.kind == header && !seen[it.section] {
			seen[it.section] = true
			names = append(names, it.section)
		}
	}
	return names
}

// SectionLine returns the line of the section's first header, or 0.
func (f *File) SectionLine(section string) int {
	for _, it := range f.items {
		if it.kind == header && it.section == section {
			return it.line
		}
	}
	return 0
}

// Assignments returns every assignment of a section as written, resets
// included, in the order of the file.
func (f *File) Assignments(section string) []Assignment {
	var all []Assignment
	for _, it := range f.items {
		if it.kind == assignment && it.section == section {
			all = append(all, Assignment{Section: it.section, Key: it.key, Value: it.value, Line: it.line})
		}
	}
	return all
}

// All returns every assignment of the file as written, resets included, in the
// order of the file.
func (f *File) All() []Assignment {
	var all []Assignment
	for _, it := range f.items {
		if it.kind == assignment {
			all = append(all, Assignment{Section: it.section, Key: it.key, Value: it.value, Line: it.line})
		}
	}
	return all
}

// Lookup returns the assignments of a key that are in force: an empty
// assignment resets the list, as in systemd. Keys are case-sensitive.
func (f *File) Lookup(section, key string) []Assignment {
	var all []Assignment
	for _, it := range f.items {
		if it.kind != assignment || it.section != section || it.key != key {
			continue
		}
		if it.value == "" {
			all = nil
			continue
		}
		all = append(all, Assignment{Section: section, Key: key, Value: it.value, Line: it.line})
	}
	return all
}

// Values returns the values of a key that are in force, one for each
// assignment; SplitWords takes them apart.
func (f *File) Values(section, key string) []string {
	var values []string
	for _, a := range f.Lookup(section, key) {
		values = append(values, a.Value)
	}
	return values
}

// Value returns the value of a key that takes only one: the last, or "" if
// there is none in force.
func (f *File) Value(section, key string) string {
	all := f.Lookup(section, key)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Value
}

// Line returns the line of the assignment that Value returns, or 0.
func (f *File) Line(section, key string) int {
	all := f.Lookup(section, key)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Line
}
