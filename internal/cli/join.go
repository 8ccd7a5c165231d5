package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

const joinLong = `Make this machine a node of a cluster, with a token that "argosy token create"
printed there. The machine trusts nothing before it has checked the cluster's
authority against the token. A join that broke off may be tried again with the
same token. With "-" the token is read from standard input, so that it stands in
no list of processes.`

const joinExample = `  argosy join TOKEN
  argosy join - < token.txt
  argosy join --address 10.0.0.2 TOKEN`

// tokenMax is how long a token on standard input may be, in bytes.
const tokenMax = 16 << 10

func newJoin(a *app) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "join TOKEN|-",
		Short: "Make this machine a node of a cluster",
		Long:  joinLong, Example: joinExample,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			request := wire.JoinRequest{Token: args[0]}
			if request.Address, err = parseAddress(address); err != nil {
				return err
			}
			if request.Token == "-" {
				if request.Token, err = readToken(a.env.Stdin); err != nil {
					return err
				}
			}
			if err := a.ensureDaemon(cmd.Context()); err != nil {
				return err
			}
			return a.here(cmd, func(ctx context.Context, b Backend) error {
				identity, err := b.Join(ctx, request)
				if err != nil {
					return err
				}
				if err := a.settle(ctx, b); err != nil {
					return err
				}
				a.notef("joined cluster %s; this machine is %s (%s)", identity.Cluster, identity.Name, identity.Node.Short())
				return nil
			})
		},
	}
	bindAddress(cmd, &address)
	return cmd
}

func readToken(from io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(from, tokenMax)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", cluster.Errorf(cluster.Invalid, "standard input: %w", err)
	}
	token := strings.TrimSpace(line)
	if token == "" {
		return "", misuse("no token on standard input")
	}
	return token, nil
}
