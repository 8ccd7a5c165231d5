package sim

import (
	"maps"
	"slices"

	"github.com/rogpeppe/go-internal/txtar"
)

// Archive returns a script and the files that it names as one text, as
// test/scripts keeps them: what a failed run prints can be put there and played.
func Archive(script string, files map[string]string) string {
	a := &txtar.Archive{Comment: []byte(script)}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(files[name])})
	}
	return string(txtar.Format(a))
}

// ParseArchive is the inverse of Archive.
func ParseArchive(text []byte) (script string, files map[string]string) {
	a := txtar.Parse(text)
	files = map[string]string{}
	for _, f := range a.Files {
		files[f.Name] = string(f.Data)
	}
	return string(a.Comment), files
}
