package cli

import (
	"context"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

const initLong = `Form a cluster of this machine alone: an identity, an authority, a store and a
leader. No file has to be written; other machines come in with "argosy join". A
machine that is in a cluster refuses.`

const initExample = `  argosy init
  argosy init --name prod --address 10.0.0.1`

// formTimeout is how long forming or joining may take when the user does not
// say: a store is made, certificates are signed, a server is waited for.
const formTimeout = time.Minute

func newInit(a *app) *cobra.Command {
	var request wire.InitRequest
	var address string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Form a cluster of this machine",
		Long:  initLong, Example: initExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if request.Address, err = parseAddress(address); err != nil {
				return err
			}
			if err := a.ensureDaemon(cmd.Context()); err != nil {
				return err
			}
			return a.here(cmd, func(ctx context.Context, b Backend) error {
				identity, err := b.Init(ctx, request)
				if err != nil {
					return err
				}
				if err := a.settle(ctx, b); err != nil {
					return err
				}
				a.notef("cluster %s formed; this machine is %s (%s)", identity.Cluster, identity.Name, identity.Node.Short())
				a.notef("to add a machine: argosy token create here, then argosy join TOKEN there")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&request.Name, "name", "", "a `name` for the cluster, for people")
	bindAddress(cmd, &address)
	return cmd
}

func bindAddress(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "address", "", "the `IP` address at which other nodes reach this one (default: found by itself)")
}

func parseAddress(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return address, misuse("--address %s: not an IP address", text)
	}
	return address, nil
}

// settle waits until this machine answers as a node of a cluster that has a
// leader, so that whatever is typed next works.
func (a *app) settle(ctx context.Context, b Backend) error {
	for {
		status, err := b.Status(ctx)
		if err == nil && status.Formed && status.Leader != nil {
			return nil
		}
		if loop.Sleep(ctx, settlePoll) != nil {
			return &exitError{exitGaveUp, cluster.Errorf(cluster.Unknown, "this machine is in the cluster now, and does not answer for it yet").
				WithHint("argosy status")}
		}
	}
}

// settlePoll is how often a machine that has just come into a cluster is asked
// whether it answers.
const settlePoll = 50 * time.Millisecond

// here does one thing with this machine's daemon, with time enough for forming
// a cluster.
func (a *app) here(cmd *cobra.Command, do func(context.Context, Backend) error) error {
	b, err := a.connectHere(cmd.Context())
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("timeout") {
		a.flags.timeout = formTimeout
	}
	ctx, cancel := a.request(cmd.Context())
	defer cancel()
	return do(ctx, b)
}
