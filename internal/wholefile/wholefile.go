// Package wholefile replaces files whole or not at all: who reads one, or finds it after
// a crash, has the text before or the new one.
package wholefile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write replaces a file, and returns when it would survive a power cut. Its folder must
// be there.
func Write(path string, text []byte, mode os.FileMode) error {
	if err := replace(path, text, mode, (*os.File).Sync); err != nil {
		return err
	}
	// The rename itself must survive, too.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // was only read
	return dir.Sync()
}

// WriteSoon replaces a file that a power cut may take back: one that is told anew, or
// does not outlive the boot.
func WriteSoon(path string, text []byte, mode os.FileMode) error {
	return replace(path, text, mode, func(*os.File) error { return nil })
}

// Update makes a file hold a text, in a folder that is made if need be, and reports
// whether it held another or was not there. It is as durable as Write.
func Update(path string, text []byte, mode os.FileMode) (changed bool, err error) {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	return true, Write(path, text, mode)
}

func replace(path string, text []byte, mode os.FileMode, settle func(*os.File) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err == nil {
		err = errors.Join(temp.Chmod(mode), settle(temp))
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp.Name()))
	}
	return nil
}
