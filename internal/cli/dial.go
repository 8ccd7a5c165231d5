package cli

import (
	"context"
	"os"

	"argosy/internal/api/client"
	"argosy/internal/cli/contexts"
	"argosy/internal/cluster"
	"argosy/internal/pki"
)

var _ Backend = (*client.Client)(nil)

// dialAPI makes a client of the API. It does not connect yet.
func dialAPI(_ context.Context, target contexts.Context) (Backend, error) {
	if target.Socket != "" {
		if _, err := os.Stat(target.Socket); err != nil {
			return nil, cluster.Errorf(cluster.Unavailable, "no daemon listens at %s", target.Socket).
				WithHint("systemctl start argosy starts this machine's; argosy context ls shows other clusters, argosy lab up makes one")
		}
		return client.New(client.Config{Socket: target.Socket}), nil
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
