package unitfile

import (
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// Set returns a copy of the file in which a key has exactly these values, one
// assignment each, at the place of its first assignment; without values the key
// is gone. The rest of the file stays as it is, byte for byte.
func (f *File) Set(section, key string, values ...string) (*File, error) {
	items := slices.Clone(f.items)
	at := slices.IndexFunc(items, func(it item) bool { return it.assigns(section, key) })
	if at < 0 {
		at = insertionPoint(items, section, key)
	}
	items = slices.DeleteFunc(items, func(it item) bool { return it.assigns(section, key) })
	return f.edited(items, at, section, key, values)
}

// Add returns a copy of the file with one more assignment: after the last one
// of the key, else at the end of the section, else in a new section at the end
// of the file. The rest of the file stays as it is, byte for byte.
func (f *File) Add(section, key, value string) (*File, error) {
	return f.edited(slices.Clone(f.items), insertionPoint(f.items, section, key), section, key, []string{value})
}

func (it item) assigns(section, key string) bool {
	return it.kind == assignment && it.section == section && it.key == key
}

// insertionPoint returns the index at which a new assignment goes, or -1 if the
// file does not have the section.
func insertionPoint(items []item, section, key string) int {
	ofKey, ofSection := -1, -1
	for i, it := range items {
		if it.assigns(section, key) {
			ofKey = i + 1
		}
		if it.section == section && (it.kind == header || it.kind == assignment) {
			ofSection = i + 1
		}
	}
	if ofKey >= 0 {
		return ofKey
	}
	return ofSection
}

// edited inserts the values and reads the outcome anew, so that lines are
// counted afresh and no edit makes a file that Parse would refuse.
func (f *File) edited(items []item, at int, section, key string, values []string) (*File, error) {
	newline := f.newline()
	var inserted []item
	if at < 0 && len(values) > 0 {
		at = len(items)
		if at > 0 {
			inserted = append(inserted, item{kind: filler, raw: newline})
		}
		inserted = append(inserted, item{kind: header, raw: "[" + section + "]" + newline})
	}
	for _, value := range values {
		if err := checkEdit(section, key, value); err != nil {
			return nil, err
		}
		inserted = append(inserted, item{kind: assignment, raw: key + "=" + value + newline})
	}
	if len(inserted) > 0 {
		if at > 0 {
			items[at-1].raw = closed(items[at-1], newline)
		}
		items = slices.Insert(items, at, inserted...)
	}
	edited := File{name: f.name, items: items}
	return Parse(f.name, edited.Bytes())
}

// newline returns the line end that the file uses.
func (f *File) newline() string {
	for _, it := range f.items {
		if line, raw := cutLine(it.raw); raw != line {
			return raw[len(line):]
		}
	}
	return "\n"
}

// closed returns an item's text with a line end, and with a blank line after a
// continuation that the file's end cut short: the next line would be part of it.
func closed(it item, newline string) string {
	raw := it.raw
	if !strings.HasSuffix(raw, "\n") && !strings.HasSuffix(raw, "\r") {
		raw += newline
	}
	if it.open {
		raw += newline
	}
	return raw
}

// checkEdit refuses names and values that would not be read back as they are.
func checkEdit(section, key, value string) error {
	text := "[" + section + "]\n" + key + "=" + value
	f, err := Parse("edit", []byte(text))
	if err != nil {
		return cluster.Errorf(cluster.Invalid, "%s=%s cannot stand in [%s]: %w", clip(key, quoteMax), quote(value), clip(section, quoteMax), err)
	}
	if len(f.items) == 2 && !f.items[1].open && f.items[1].assigns(section, key) && f.items[1].value == value {
		return nil
	}
	return cluster.Errorf(cluster.Invalid, "%s=%s cannot stand in [%s]: it would not be read back as it is", clip(key, quoteMax), quote(value), clip(section, quoteMax)).
		WithHint(`no line breaks, no blanks around it, no "\" at its end`)
}
