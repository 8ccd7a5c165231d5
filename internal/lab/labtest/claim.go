package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"argosy/internal/lab"
)

// base is where the labs of tests are, apart from those of people. Each test's
// lab has a folder of its own in it, so that several test programs can run on
// one machine.
const base = "/var/lib/argosy-lab-test"

// owner is the file in a folder that the test which uses it holds a lock on.
// The lock ends with the test's process, however that ends.
const owner = "owner"

// StateDir makes a state folder for the labs of one test, which end with it.
// What killed test programs have left is cleaned up on the way.
func StateDir(t *testing.T) (stateDir string) {
	t.Helper()
	if err := os.MkdirAll(base, 0o755); err != nil {
		t.Fatal(err)
	}
	// One at a time: between making a folder and locking it, it looks abandoned.
	gate, err := lockFile(filepath.Join(base, "gate"), unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Close() }()
	if err := sweep(); err != nil {
		t.Fatalf("clean up what an earlier run has left: %v", err)
	}
	stateDir, err = os.MkdirTemp(base, "run-") //nolint:usetesting // the next run must find it if this one is killed
	if err != nil {
		t.Fatal(err)
	}
	held, err := lockFile(filepath.Join(stateDir, owner), unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer func() { _ = held.Close() }()
		if os.Getenv("ARGOSY_KEEP_LAB") != "" { // until the next test sweeps
			t.Logf("kept: argosy lab ls --state %s", stateDir)
			return
		}
		if err := end(stateDir); err != nil {
			t.Errorf("end the lab: %v", err)
		}
	})
	return stateDir
}

// sweep ends the labs in folders that no living test has locked.
func sweep() error {
	folders, err := filepath.Glob(filepath.Join(base, "run-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, folder := range folders {
		held, err := lockFile(filepath.Join(folder, owner), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
			continue // somebody's, or just gone
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, end(folder), held.Close())
	}
	return errors.Join(errs...)
}

// end ends the labs in a state folder and removes it.
func end(stateDir string) error {
	labs, err := lab.List(stateDir)
	if err != nil {
		return err
	}
	for _, l := range labs {
		// Not the test's context: that has ended by now.
		if err := l.Down(context.Background()); err != nil {
			return err
		}
	}
	return os.RemoveAll(stateDir)
}

// lockFile opens a file and locks it as flock(2) has it.
func lockFile(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return file, nil
}
