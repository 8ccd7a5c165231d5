package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

const tokenCreateLong = `Make a token that lets machines join, and print it: one line to paste behind
"argosy join". It names the cluster, its authority and its servers. It is shown
this once; the cluster keeps only a digest of its secret.`

const tokenCreateExample = `  argosy token create
  argosy token create --ttl 1h --uses 5`

const tokenLsExample = `  argosy token ls
  argosy token ls -o json
  argosy token ls -w`

const tokenRmExample = `  argosy token rm 7f3k2a`

func newToken(a *app) *cobra.Command {
	return newVerbGroup("token", "Make, list and revoke tokens for joining", newTokenCreate(a), newTokenLs(a), newTokenRm(a))
}

func newTokenCreate(a *app) *cobra.Command {
	var request wire.TokenRequest
	var output string
	forms := []string{outputTable, outputJSON, outputYAML}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token that lets machines join",
		Long:  tokenCreateLong, Example: tokenCreateExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
			if request.TTL <= 0 || request.Uses <= 0 {
				return misuse("a token needs a time and a number of uses above zero")
			}
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			ctx, cancel := a.request(cmd.Context())
			defer cancel()
			answer, err := b.CreateToken(ctx, request)
			if err != nil {
				return err
			}
			if output != outputTable {
				return a.encode(output, answer, false)
			}
			a.printf("%s\n", answer.Token)
			a.notef("good for %d machine(s) until %s; there: argosy join TOKEN", request.Uses, answer.Record.Expires.UTC().Format(time.RFC3339))
			return nil
		},
	}
	cmd.Flags().DurationVar(&request.TTL, "ttl", 15*time.Minute, "how long it is good for")
	cmd.Flags().IntVar(&request.Uses, "uses", 1, "how many machines may join with it")
	bindOutput(cmd, &output, forms)
	return cmd
}

func newTokenLs(a *app) *cobra.Command {
	var f listFlags
	l := tokenListing(a)
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the tokens",
		Long:  "List the tokens for joining. Their secrets are not kept and cannot be shown.", Example: tokenLsExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd.Context(), a, f, l) },
	}
	bindList(cmd, &f, l)
	return cmd
}

// tokenRow is a token, or one that is not there any more.
type tokenRow struct {
	cluster.Token
	gone bool
}

func tokenListing(a *app) listing[tokenRow] {
	text := func(value func(tokenRow) string) func(tokenRow, bool) string {
		return func(t tokenRow, _ bool) string { return value(t) }
	}
	return listing[tokenRow]{
		columns: []column[tokenRow]{
			{"id", false, text(func(t tokenRow) string { return t.ID })},
			{"uses", false, text(func(t tokenRow) string { return strconv.Itoa(t.Uses) })},
			{"expires", false, text(func(t tokenRow) string { return timeText(t.Expires) })},
			{"state", false, text(func(t tokenRow) string { return tokenState(t, a.env.Now()) })},
			{"created", false, text(func(t tokenRow) string { return timeText(t.Created) })},
			{"usedby", true, func(t tokenRow, full bool) string { return usedBy(t.Token, full) }},
		},
		fields: "id,state,uses,expires",
		wide:   "id,state,uses,expires,created,usedby",
		name:   func(t tokenRow) string { return t.ID },
		fetch: func(ctx context.Context, b Backend) (any, []tokenRow, error) {
			tokens, err := b.Tokens(ctx)
			rows := make([]tokenRow, 0, len(tokens))
			for _, t := range tokens {
				rows = append(rows, tokenRow{Token: t})
			}
			return tokens, rows, err
		},
		gone: func(t tokenRow) tokenRow { return tokenRow{t.Token, true} },
	}
}

func tokenState(t tokenRow, now time.Time) string {
	switch {
	case t.gone:
		return "gone"
	case !now.Before(t.Expires):
		return "expired"
	case t.Uses <= 0:
		return "used up"
	}
	return "good"
}

func usedBy(t cluster.Token, full bool) string {
	var all []string
	for _, id := range t.UsedBy {
		if full {
			all = append(all, string(id))
		} else {
			all = append(all, id.Short())
		}
	}
	return strings.Join(all, ",")
}

func newTokenRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID",
		Short: "Revoke a token",
		Long:  "Revoke a token. Machines that joined with it stay.", Example: tokenRmExample,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			ctx, cancel := a.request(cmd.Context())
			defer cancel()
			if err := b.RemoveToken(ctx, args[0]); err != nil {
				return err
			}
			a.notef("token %s revoked", args[0])
			return nil
		},
	}
}
