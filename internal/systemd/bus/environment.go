package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"argosy/internal/cluster"
	"argosy/internal/wholefile"
)

// environments are the variables that services are given: a file for each, and a drop-in
// that says where it is. So the unit's own file stays as it was handed in, and other
// variables need no reload.
type environments struct{ dir, links string }

// dropIn is the name of our drop-in; what the host has in the same folder is not touched.
const dropIn = "50-argosy.conf"

// escape makes characters plain that have a meaning in double quotes (systemd.exec(5),
// EnvironmentFile=).
func escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(value)
}

// unescape is the way back.
func unescape(value string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, "\\`", "`", `\$`, `$`).Replace(value)
}

// path is where a unit's variables are. A backslash would hide what follows it: systemd
// takes the name for a pattern. No name of a unit has a plus.
func (e environments) path(name cluster.UnitName) string {
	return filepath.Join(e.dir, strings.ReplaceAll(string(name), `\`, "+"))
}

func (e environments) dropIns(name cluster.UnitName) string {
	return filepath.Join(e.links, string(name)+".d")
}

// set makes the variables, then the drop-in: what it names is there.
func (e environments) set(name cluster.UnitName, variables []string) error {
	if len(variables) == 0 {
		return e.remove(name)
	}
	var text strings.Builder
	for _, v := range variables {
		key, value, _ := strings.Cut(v, "=")
		if strings.ContainsFunc(v, unicode.IsControl) {
			return cluster.Errorf(cluster.Invalid, "variable %.40s of %s is no text of one line", key, name)
		}
		fmt.Fprintf(&text, "%s=\"%s\"\n", key, escape(value))
	}
	if _, err := wholefile.Update(e.path(name), []byte(text.String()), 0o600); err != nil {
		return err
	}
	_, err := wholefile.Update(filepath.Join(e.dropIns(name), dropIn), []byte("[Service]\nEnvironmentFile="+e.path(name)+"\n"), 0o644)
	return err
}

// read returns what set wrote.
func (e environments) read(name cluster.UnitName) (variables []string, err error) {
	text, err := os.ReadFile(e.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
		variables = append(variables, key+"="+unescape(value))
	}
	return variables, err
}

// remove removes the drop-in first, for the same reason.
func (e environments) remove(name cluster.UnitName) error {
	for _, path := range []string{filepath.Join(e.dropIns(name), dropIn), e.path(name)} {
		if err := os.Remove(path); err != nil && !isNone(err) {
			return err
		}
	}
	// Only a folder, and only if it is empty: all else there is the host's.
	if err := syscall.Rmdir(e.dropIns(name)); err != nil && !isNone(err) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove %s: %w", e.dropIns(name), err)
	}
	return nil
}

// isNone reports whether there is nothing of ours at a path, and can be none: what is in
// its way is the host's, or the unit's name is too long for one.
func isNone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}
