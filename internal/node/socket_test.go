package node

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// someGroup is a group that owns nothing here.
const someGroup = 54321

func groupOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Gid)
}

// The group argosy gets to the socket, and through the folder if that keeps
// others out; a folder that is open to all is left as it is.
func TestTheSocketIsTheGroups(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files to a group that it is not in")
	}
	group := &user.Group{Gid: "54321"}
	for _, tt := range []struct {
		name           string
		open           bool // the folder is there, and open to all
		lookup         func(string) (*user.Group, error)
		folder, socket int
		warned         bool
	}{
		{"a machine with the group", false, func(string) (*user.Group, error) { return group, nil }, someGroup, someGroup, false},
		{"a folder of others", true, func(string) (*user.Group, error) { return group, nil }, 0, someGroup, false},
		{"a machine without it", false, func(n string) (*user.Group, error) { return nil, user.UnknownGroupError(n) }, 0, 0, false},
		{"a machine whose groups cannot be read", false, func(string) (*user.Group, error) { return nil, errors.New("ill") }, 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "run")
			if tt.open {
				if err := os.Mkdir(folder, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			socket := filepath.Join(folder, "s")
			var said strings.Builder
			d := &Daemon{cfg: Config{Sockets: []string{socket}}, deps: Deps{Log: slog.New(slog.NewTextHandler(&said, nil)), Group: tt.lookup}}
			d.local.set(http.NotFoundHandler())
			stop, err := d.listenLocal()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			if f, s := groupOf(t, folder), groupOf(t, socket); f != tt.folder || s != tt.socket {
				t.Errorf("the folder is group %d's and the socket %d's, want %d and %d", f, s, tt.folder, tt.socket)
			}
			if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("the socket: %v, %v", info.Mode(), err)
			}
			if warned := strings.Contains(said.String(), "ill"); warned != tt.warned {
				t.Errorf("said %q", said.String())
			}
		})
	}
}
