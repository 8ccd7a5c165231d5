package cli

import (
	"context"

	"argosy/internal/cli/contexts"
	"argosy/internal/cluster"
)

// dialAPI makes a client of the API.
func dialAPI(_ context.Context, target contexts.Context) (Backend, error) {
	return nil, cluster.Errorf(cluster.Unavailable, "context %s: no client yet", target.Name)
}
