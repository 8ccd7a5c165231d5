package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// socketGroup is the group whose members may use the unix sockets as root may
// (but for a terminal, which is root's alone). A machine need not have it.
const socketGroup = "argosy"

// groupID returns the number of a group, false if the machine has none of the
// name. lookup is user.LookupGroup, except in tests.
func groupID(name string, lookup func(string) (*user.Group, error)) (gid int, there bool, err error) {
	group, err := lookup(name)
	if _, unknown := errors.AsType[user.UnknownGroupError](err); unknown || errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look up the group %s: %w", name, err)
	}
	gid, err = strconv.Atoi(group.Gid)
	return gid, err == nil, err
}

// letIn opens a socket to a group, and the folder that it lies in, if that keeps
// others out. A folder that lets everybody through belongs to somebody else.
func letIn(socket string, gid int) error {
	folder := filepath.Dir(socket)
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o007 == 0 {
		if err := os.Chown(folder, -1, gid); err != nil {
			return err
		}
	}
	return os.Chown(socket, -1, gid)
}
