package cli

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"argosy/internal/api/client"
	"argosy/internal/cli/contexts"
	"argosy/internal/cli/tunnel"
	"argosy/internal/cluster"
	"argosy/internal/pki"
)

var _ Backend = (*client.Client)(nil)

// dialAPI makes a client of the API. It does not connect yet; its tunnels end
// with ctx.
func dialAPI(ctx context.Context, target contexts.Context) (Backend, error) {
	// Most commands read one answer, show it and end: garbage is hardly worth
	// collecting, which takes a tenth of the time that a long listing does.
	debug.SetGCPercent(400)
	if target.Socket != "" {
		switch err := unix.Access(target.Socket, unix.W_OK); {
		case errors.Is(err, fs.ErrPermission):
			return nil, cluster.Errorf(cluster.Denied, "%s is for root and the group argosy", target.Socket).
				WithHint("usermod -a -G argosy USER lets USER in after logging in anew; groupadd argosy and systemctl restart argosy, if there is no such group yet")
		case err != nil:
			return nil, cluster.Errorf(cluster.Unavailable, "no daemon listens at %s", target.Socket).
				WithHint("systemctl start argosy starts this machine's; argosy context ls shows other clusters, argosy lab up makes one")
		}
		return client.New(client.Config{Socket: target.Socket}), nil
	}
	if len(target.Command) > 0 || target.Plain != "" {
		return client.New(client.Config{Socket: target.Name, Dial: forwarded(ctx, target)}), nil
	}
	var pem [3][]byte
	for i, path := range []string{target.Certificate, target.Key, target.CA} {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, cluster.Errorf(cluster.Invalid, "context %s: %w", target.Name, err)
		}
		pem[i] = text
	}
	settings, err := pki.OperatorTLS(pem[0], pem[1], pem[2])
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "context %s: %w", target.Name, err)
	}
	return client.New(client.Config{Addresses: target.Addresses, TLS: settings}), nil
}

// forwarded dials what forwards to a daemon's socket.
func forwarded(life context.Context, target contexts.Context) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		if len(target.Command) > 0 {
			return tunnel.Dial(life, target.Command) // the connection outlives the request
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", target.Plain)
	}
}
