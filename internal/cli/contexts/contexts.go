// Package contexts keeps the list of clusters that the command line can talk
// to: ~/.config/argosy/contexts.json, a name for each, and which is current.
//
// The command line reads it; "lab up" and "context" write it. Writers go
// through Update, which holds a lock on the file, so that two labs that come up
// at once both find their way in. Everything here is about the caller's own
// files; the package never talks to a cluster.
package contexts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"argosy/internal/cluster"
)

// Local is the name of the context that is always there: the daemon of this
// machine, at LocalSocket. It is not kept in the file.
const Local = "local"

// LocalSocket is where the daemon of a machine listens.
const LocalSocket = "/run/argosy/argosy.sock"

// Context is one way to reach a cluster: through a unix socket, through what
// forwards to one, or through its servers with a client certificate.
type Context struct {
	Name string `json:"name"`
	// Socket is the path of a daemon's unix socket; with one, the rest is not used.
	Socket string `json:"socket,omitempty"`
	// Command is a program with its arguments whose standard input and output
	// are a connection to such a socket ("ssh NODE argosy fd-forward").
	Command []string `json:"command,omitempty"`
	// Plain is the host:port of something that forwards to such a socket
	// ("ssh -L"). There is no TLS on the way.
	Plain string `json:"plain,omitempty"`
	// Addresses are the servers, host:port, tried in turn.
	Addresses []string `json:"addresses,omitempty"`
	// CA, Certificate and Key are paths of PEM files: the cluster's authority,
	// and who the caller is.
	CA          string `json:"ca,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
}

// Check returns an Invalid error if the context cannot be used as it is.
func (c Context) Check() error {
	switch {
	case c.Name == "":
		return cluster.Errorf(cluster.Invalid, "a context needs a name")
	case c.Name == Local:
		return cluster.Errorf(cluster.Invalid, "the name %q is that of this machine's own daemon", Local)
	case c.Socket != "" || len(c.Command) > 0 || c.Plain != "":
		return nil
	case len(c.Addresses) == 0:
		return cluster.Errorf(cluster.Invalid, "context %s has neither a socket nor addresses", c.Name)
	case c.CA == "" || c.Certificate == "" || c.Key == "":
		return cluster.Errorf(cluster.Invalid, "context %s needs the files of an authority, a certificate and a key to reach its addresses", c.Name)
	}
	return nil
}

// File is what the contexts file holds. The zero File is an empty one.
type File struct {
	// Current is the context that is used when none is named; "" for none.
	Current  string    `json:"current,omitempty"`
	Contexts []Context `json:"contexts"` // sorted by name
}

// Path returns where the contexts file is: in $XDG_CONFIG_HOME/argosy, or in
// ~/.config/argosy. getenv is os.Getenv, except in tests.
func Path(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "argosy", "contexts.json"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config", "argosy", "contexts.json"), nil
	}
	return "", cluster.Errorf(cluster.Invalid, "no place for the contexts file: neither HOME nor XDG_CONFIG_HOME is set")
}

// Load reads the file; one that does not exist is empty.
func Load(path string) (File, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		return File{}, cluster.Errorf(cluster.Internal, "contexts: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a misspelt key would silently lead to another cluster
	var f File
	if err := decoder.Decode(&f); err != nil {
		return File{}, cluster.Errorf(cluster.Invalid, "%s: %w", path, err)
	}
	return f, nil
}

// Save replaces the file in one step, readable by its owner only.
func Save(path string, f File) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: %w", err)
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), ".contexts-*")
	if err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: %w", err)
	}
	_, err = fresh.Write(append(text, '\n'))
	err = errors.Join(err, fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: %w", errors.Join(err, os.Remove(fresh.Name())))
	}
	return nil
}

// Update reads the file, lets change alter it and saves it, while no other
// Update runs. If change returns an error, nothing is saved.
func Update(path string, change func(*File) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: %w", err)
	}
	// A file of its own is locked: the contexts file is replaced, not written.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: %w", err)
	}
	defer lock.Close() //nolint:errcheck // nothing was written to it; closing unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return cluster.Errorf(cluster.Internal, "contexts: lock: %w", err)
	}
	f, err := Load(path)
	if err != nil {
		return err
	}
	if err := change(&f); err != nil {
		return err
	}
	return Save(path, f)
}

// Get returns the context of a name, or a NotFound error that lists the names
// there are.
func (f *File) Get(name string) (Context, error) {
	if name == Local {
		return Context{Name: Local, Socket: LocalSocket}, nil
	}
	if i, ok := f.find(name); ok {
		return f.Contexts[i], nil
	}
	return Context{}, cluster.Errorf(cluster.NotFound, "no context %q", name).
		WithHint("argosy context ls shows those there are")
}

// Set adds a context, or replaces the one of its name. The first one becomes
// the current one.
func (f *File) Set(c Context) error {
	if err := c.Check(); err != nil {
		return err
	}
	i, ok := f.find(c.Name)
	if ok {
		f.Contexts[i] = c
	} else {
		f.Contexts = slices.Insert(f.Contexts, i, c)
	}
	if f.Current == "" {
		f.Current = c.Name
	}
	return nil
}

// Use makes a context the current one.
func (f *File) Use(name string) error {
	if _, err := f.Get(name); err != nil {
		return err
	}
	f.Current = name
	return nil
}

// Remove takes a context out; if it was the current one, none is current then.
func (f *File) Remove(name string) error {
	i, ok := f.find(name)
	if !ok {
		_, err := f.Get(name)
		return err
	}
	f.Contexts = slices.Delete(f.Contexts, i, i+1)
	if f.Current == name {
		f.Current = ""
	}
	return nil
}

func (f *File) find(name string) (int, bool) {
	return slices.BinarySearchFunc(f.Contexts, name, func(c Context, name string) int { return cmp.Compare(c.Name, name) })
}
