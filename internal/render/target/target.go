// Package target puts filled templates where programs read them: whole or not at all,
// and only if the program that is to read one finds it good.
package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"argosy/internal/cluster"
)

// Target is where one template goes.
type Target struct {
	Path string
	// Mode is that of the file; 0: that of the file it replaces, or else 0644. Its owner
	// stays who it was.
	Mode os.FileMode
	// Check is a shell command that finds a new text good or not, before it takes
	// effect; {{.src}} in it is the path of the new text. After is the one that Use runs.
	// "": none.
	Check, After string
}

// CommandMax is how long a command may take.
const CommandMax = time.Minute

// Put makes a text the file's, and reports whether it was another. An error leaves the
// file as it was.
func (t Target) Put(ctx context.Context, text []byte) (changed bool, err error) {
	path, old, err := t.resolve()
	if err != nil {
		return false, err
	}
	if old != nil && t.isSame(path, old, text) {
		return false, nil
	}
	temp, err := t.stage(path, old, text)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(temp) }() // is gone after a rename
	if t.Check != "" {
		if err := shell(ctx, strings.NewReplacer("{{.src}}", quoted(temp), "{{ .src }}", quoted(temp)).Replace(t.Check)); err != nil {
			return false, cluster.Errorf(cluster.Invalid, "the new %s is not good, the one before is kept: %w", t.Path, err)
		}
	}
	if err := replace(temp, path, text); err != nil {
		return false, err
	}
	return true, nil
}

// Use has the text that was put made use of; if that fails, it is to be tried again.
func (t Target) Use(ctx context.Context) error {
	if t.After == "" {
		return nil
	}
	if err := shell(ctx, t.After); err != nil {
		return cluster.Errorf(cluster.Unavailable, "%s is in place, and %s: %w", t.Path, t.After, err)
	}
	return nil
}

// resolve follows links, so that what they point to is replaced, and not the link.
func (t Target) resolve() (path string, old os.FileInfo, err error) {
	path = t.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if to, err := os.Readlink(path); err == nil { // to what is not there yet
		if path = to; !filepath.IsAbs(to) {
			path = filepath.Join(filepath.Dir(t.Path), to)
		}
	}
	old, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil, nil
	case err == nil && !old.Mode().IsRegular():
		err = cluster.Errorf(cluster.Invalid, "%s is no file", t.Path)
	}
	return path, old, err
}

func (t Target) isSame(path string, old os.FileInfo, text []byte) bool {
	if t.Mode != 0 && old.Mode().Perm() != t.Mode.Perm() || old.Size() != int64(len(text)) {
		return false
	}
	have, err := os.ReadFile(path)
	return err == nil && bytes.Equal(have, text)
}

// stage writes the new text next to the file, where a check finds what it may name
// relative to it.
func (t Target) stage(path string, old os.FileInfo, text []byte) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if errors.Is(err, fs.ErrNotExist) {
		return "", cluster.Errorf(cluster.NotFound, "there is no folder %s", filepath.Dir(path)).WithHint("make it: nothing is known of its owner and mode here")
	}
	if err != nil {
		return "", err
	}
	mode := t.Mode
	if mode == 0 {
		mode = 0o644
		if old != nil {
			mode = old.Mode().Perm()
		}
	}
	_, err = f.Write(text)
	if owner, ok := ownerOf(old); ok && err == nil {
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// ownerOf returns the owner of a file that is not ours.
func ownerOf(old os.FileInfo) (*syscall.Stat_t, bool) {
	if old == nil {
		return nil, false
	}
	owner, ok := old.Sys().(*syscall.Stat_t)
	return owner, ok && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid())
}

// replace puts the new file in the old one's place. A file that is mounted into a
// container cannot be replaced: it is written over, as confd does.
func replace(temp, path string, text []byte) error {
	err := os.Rename(temp, path)
	if !errors.Is(err, syscall.EBUSY) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// quoted is a path as the shell reads it.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// saidMax is how much of what a command says last is told, in bytes.
const saidMax = 400

// shell runs a command of the operator's and returns what is wrong, with its last words.
func shell(ctx context.Context, command string) error {
	ctx, cancel := context.WithTimeout(ctx, CommandMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	// A group of its own, so that all of it ends when its time is over.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it left others behind, as one that starts a daemon does
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("it took longer than %s", CommandMax)
	}
	words := strings.TrimSpace(strings.ToValidUTF8(string(said[max(0, len(said)-saidMax):]), ""))
	if words == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, words)
}
