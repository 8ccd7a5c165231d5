package node

import (
	"context"
	"time"

	"argosy/internal/permit"
)

// PermitSocket is where the permit process listens.
const PermitSocket = "/run/argosy/permit.sock"

// PermitMarker stands while the node holds a permit.
const PermitMarker = "/run/argosy/permit"

// permitProcess tells the permit process of renewals. It is an agent.Permit:
// which renewals count is the agent's to say.
type permitProcess struct {
	socket string
	valid  time.Duration // Timings.Valid of the cluster
}

// Sending reads the clocks that the permit process counts by.
func (p permitProcess) Sending() func(context.Context) {
	sent, err := permit.Now()
	return func(ctx context.Context) {
		if err != nil {
			return
		}
		// Without a permit process there is nothing that a permit protects.
		_ = permit.Extend(ctx, p.socket, sent, p.valid)
	}
}
