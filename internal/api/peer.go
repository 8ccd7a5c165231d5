package api

import (
	"context"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"argosy/internal/cluster"
)

// uidKey is the context key of the user at the other end of a unix socket.
type uidKey struct{}

func withUID(ctx context.Context, uid int) context.Context {
	return context.WithValue(ctx, uidKey{}, uid)
}

// notePeer keeps with a connection on a unix socket who made it (SO_PEERCRED, see
// unix(7)); it is an http.Server's ConnContext.
func notePeer(ctx context.Context, c net.Conn) context.Context {
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx // nobody is known, and nobody is root
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil { //nolint:gosec // a descriptor
			ctx = withUID(ctx, int(peer.Uid))
		}
	})
	return ctx
}

// onlyRoot refuses a caller on a unix socket that is neither root nor this
// daemon's own user: a group that may open the socket may run units, which are
// on record, but gets no shell.
func onlyRoot(ctx context.Context) error {
	if uid, ok := ctx.Value(uidKey{}).(int); ok && (uid == 0 || uid == os.Geteuid()) {
		return nil
	}
	return cluster.Errorf(cluster.Denied, "only root may open a terminal through this socket").WithHint("use sudo, or a context with an operator's certificate")
}
