package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// wanted is one unit that the user named: by its name, or by a path.
type wanted struct {
	name cluster.UnitName
	// dir is the folder in which a file of the name, or of its template, counts.
	dir string
	// explicit is set if the argument had a folder in it: then it means a file.
	explicit bool
}

// source is a text that can be handed to the cluster.
type source struct {
	path string // for messages
	text string
}

// parseNames takes arguments apart that name units: each once, in their order.
func parseNames(args []string) ([]cluster.UnitName, error) {
	var all []cluster.UnitName
	seen := map[cluster.UnitName]bool{}
	for _, arg := range args {
		names, err := unitfile.ExpandNames(arg)
		if err != nil {
			return nil, misuse("%s", sentence(err))
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return all, nil
}

// parseWanted takes arguments apart that name units or files.
func parseWanted(args []string) ([]wanted, error) {
	var all []wanted
	seen := map[cluster.UnitName]bool{}
	for _, arg := range args {
		dir, base := filepath.Split(arg)
		names, err := unitfile.ExpandNames(base)
		if err != nil {
			return nil, misuse("%s", sentence(err))
		}
		if err := fileNamed(arg, base); err != nil {
			return nil, err
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			all = append(all, wanted{name: name, dir: filepath.Clean(dir), explicit: dir != ""})
		}
	}
	return all, nil
}

// fileNamed refuses an argument that is a file but no unit file: the name with
// ".service" behind it would otherwise be looked for, which puzzles everybody.
func fileNamed(arg, base string) error {
	if cluster.UnitName(base).Type() != "" {
		return nil
	}
	if info, err := os.Stat(arg); err == nil && info.Mode().IsRegular() && filepath.Ext(base) != "" {
		return misuse("%s: the name of a unit file ends in its type, as in %s.service", arg, base[:len(base)-len(filepath.Ext(base))])
	}
	return nil
}

// sentence returns an error with its hint as one text.
func sentence(err error) string {
	if hint := cluster.HintOf(err); hint != "" {
		return fmt.Sprintf("%s (%s)", err, hint)
	}
	return err.Error()
}

// local returns the file of a unit, or that of its template next to it; nil if
// there is neither.
func (w wanted) local() (*source, error) {
	for _, name := range []cluster.UnitName{w.name, w.name.Template()} {
		if name == "" {
			continue
		}
		found, err := readSource(filepath.Join(w.dir, string(name)))
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// readSource reads a unit file, nil if there is none. It reads no more than a
// unit may be long, and nothing that is no regular file (a fifo would block).
func readSource(path string) (*source, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cluster.Errorf(cluster.Invalid, "%w", err)
	case !info.Mode().IsRegular():
		return nil, cluster.Errorf(cluster.Invalid, "%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "%w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, cluster.UnitTextMax+1))
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "%w", err)
	}
	return &source{path: path, text: string(text)}, nil
}

// findings returns what is wrong with a text, line by line for a person, and
// how many of the lines are errors.
func (s source) findings(name cluster.UnitName) (lines []string, errors int) {
	for _, finding := range unitfile.Check(name, s.text) {
		where := s.path
		if finding.Line > 0 {
			where = fmt.Sprintf("%s:%d", s.path, finding.Line)
		}
		line := fmt.Sprintf("%s: %s: %s", where, finding.Severity, finding.Message)
		if finding.Hint != "" {
			line += " (" + finding.Hint + ")"
		}
		lines = append(lines, line)
		if finding.Severity == unitfile.SeverityError {
			errors++
		}
	}
	return lines, errors
}
