package bus

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"argosy/internal/cluster"
)

// files is our folder of unit files and the links to them.
type files struct {
	dir, links string

	mu     sync.Mutex
	hashes map[cluster.UnitName]hashed
}

// hashed is a hash of a file as it was once seen.
type hashed struct {
	stamp fileStamp
	hash  cluster.Hash
}

type fileStamp struct {
	inode uint64
	size  int64
	mtime time.Time
}

// Write implements systemd.Manager.
func (b *Bus) Write(_ context.Context, name cluster.UnitName, text string) error {
	if err := cluster.CheckUnitName(name); err != nil {
		return err
	}
	return b.files.write(name, text)
}

// SetEnvironment implements systemd.Manager.
func (b *Bus) SetEnvironment(_ context.Context, name cluster.UnitName, variables []string) error {
	if err := cluster.CheckUnitName(name); err != nil {
		return err
	}
	return b.environments.set(name, variables)
}

// Environment implements systemd.Manager.
func (b *Bus) Environment(_ context.Context, name cluster.UnitName) ([]string, error) {
	return b.environments.read(name)
}

// Text implements systemd.Manager.
func (b *Bus) Text(_ context.Context, name cluster.UnitName) (string, error) {
	text, err := os.ReadFile(b.files.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// Remove implements systemd.Manager.
func (b *Bus) Remove(_ context.Context, name cluster.UnitName) error {
	if err := cluster.CheckUnitName(name); err != nil {
		return err
	}
	return errors.Join(b.files.remove(name), b.environments.remove(name))
}

func (f *files) path(name cluster.UnitName) string { return filepath.Join(f.dir, string(name)) }
func (f *files) link(name cluster.UnitName) string { return filepath.Join(f.links, string(name)) }

// linked reports whether our link exists; a file or link of somebody else in
// its place is an error.
func (f *files) linked(name cluster.UnitName) (bool, error) {
	target, err := os.Readlink(f.link(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && target == f.path(name):
		return true, nil
	case err != nil && !errors.Is(err, syscall.EINVAL):
		return false, err
	}
	return false, cluster.Errorf(cluster.Exists, "%s is not ours", f.link(name)).
		WithHint("the name belongs to the host; give the unit another one")
}

// write makes the file, then the link: a link is never dangling.
func (f *files) write(name cluster.UnitName, text string) error {
	linked, err := f.linked(name)
	if err != nil {
		return err
	}
	if f.hash(name) != cluster.HashText(text) {
		if err := f.replace(name, text); err != nil {
			return err
		}
	}
	if linked {
		return nil
	}
	if err := os.MkdirAll(f.links, 0o755); err != nil {
		return err
	}
	return os.Symlink(f.path(name), f.link(name))
}

// replace writes a file whole or not at all.
func (f *files) replace(name cluster.UnitName, text string) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(f.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = f.moveOn(name, temp.Name())
	}
	if err == nil {
		err = os.Rename(temp.Name(), f.path(name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// moveOn gives a new file a later time than the old one has: systemd tells a
// changed file by its time alone, and the kernel's ticks are coarse.
func (f *files) moveOn(name cluster.UnitName, temp string) error {
	old, err := os.Stat(f.path(name))
	if err != nil {
		return nil //nolint:nilerr // there is no old one
	}
	fresh, err := os.Stat(temp)
	if err != nil || fresh.ModTime().After(old.ModTime()) {
		return err
	}
	later := old.ModTime().Add(time.Millisecond)
	return os.Chtimes(temp, later, later)
}

// remove takes the link first: a link is never dangling.
func (f *files) remove(name cluster.UnitName) error {
	linked, err := f.linked(name)
	if err != nil && cluster.KindOf(err) != cluster.Exists {
		return err
	}
	if linked {
		if err := os.Remove(f.link(name)); err != nil {
			return err
		}
	}
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// names returns the units that have a file in our folder.
func (f *files) names() ([]cluster.UnitName, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []cluster.UnitName
	for _, entry := range entries {
		name := cluster.UnitName(entry.Name())
		if !strings.HasPrefix(entry.Name(), ".") && cluster.CheckUnitName(name) == nil {
			names = append(names, name)
		}
	}
	return names, err
}

// hash returns the hash of a unit's file, "" if there is none. A file that has
// the inode, size and time of before is not read again.
func (f *files) hash(name cluster.UnitName) cluster.Hash {
	info, err := os.Stat(f.path(name))
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		delete(f.hashes, name)
		return ""
	}
	stamp := fileStamp{size: info.Size(), mtime: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		stamp.inode = sys.Ino
	}
	if known, ok := f.hashes[name]; ok && known.stamp == stamp {
		return known.hash
	}
	text, err := os.ReadFile(f.path(name))
	if err != nil {
		return ""
	}
	f.hashes[name] = hashed{stamp, cluster.HashText(string(text))}
	return f.hashes[name].hash
}

// owns reports whether a fragment path of systemd's is ours: it names our link
// (systemd does not resolve links), or what it points to. If the link is gone,
// it was ours: what else lies in that folder is not removed while it is loaded.
func (f *files) owns(fragment string) bool {
	if filepath.Dir(fragment) == f.dir {
		return true
	}
	if filepath.Dir(fragment) != f.links {
		return false
	}
	target, err := os.Readlink(fragment)
	return errors.Is(err, fs.ErrNotExist) || err == nil && filepath.Dir(target) == f.dir
}
