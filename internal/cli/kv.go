package cli

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cli/table"
	"argosy/internal/cluster"
)

// The key space of applications: seven small verbs, in this file and in kvwatch.go.

const kvGetLong = `Print the value of a key of the key space that applications share, or with
--prefix the keys that begin with something and their values. A value goes out as
it is, with a line end behind it.`

const kvPutLong = `Set a key. Without a value it is read from standard input, as it is. With --ttl
the key goes by itself after that time, unless it is set again.`

const kvLsLong = `List the keys that begin with something, or all. With -w, what changes is listed,
too.`

const kvRmLong = `Remove a key, or with --prefix all that begin with it.`

const kvCasLong = `Set a key if it is as expected: if it is not there (--absent), has a value
(--value), or was changed last at a revision (--revision). If it is not, nothing
is written and the exit code is 1.`

func newKV(a *app) *cobra.Command {
	return newVerbGroup("kv", "Read, write and follow the key space of applications",
		newKVGet(a), newKVPut(a), newKVLs(a), newKVRm(a), newKVCas(a), newKVWatch(a), newKVExecWatch(a))
}

// keys asks the cluster for keys.
func (a *app) keys(ctx context.Context, q client.KeysQuery) (wire.Keys, error) {
	b, err := a.connect(ctx)
	if err != nil {
		return wire.Keys{}, err
	}
	ctx, cancel := a.request(ctx)
	defer cancel()
	return b.Keys(ctx, q)
}

// writeKey writes a key.
func (a *app) writeKey(ctx context.Context, w wire.KeyWrite) (wire.KeyAnswer, error) {
	b, err := a.connect(ctx)
	if err != nil {
		return wire.KeyAnswer{}, err
	}
	ctx, cancel := a.request(ctx)
	defer cancel()
	return b.WriteKey(ctx, w)
}

// keyNames proposes keys.
func (a *app) keyNames(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ask(cmd.Context(), a, func(ctx context.Context, b Backend) ([]string, error) {
		all, err := b.Keys(ctx, client.KeysQuery{Key: word, Prefix: true, KeysOnly: true, Limit: completionMax})
		var names []string
		for _, item := range all.Items {
			names = append(names, item.Key.String())
		}
		return names, err
	}), cobra.ShellCompDirectiveNoFileComp
}

// completionMax is how many keys are proposed at a time.
const completionMax = 500

func newKVGet(a *app) *cobra.Command {
	var q client.KeysQuery
	var output string
	forms := []string{"value", outputJSON, outputYAML}
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Print the value of a key",
		Long: kvGetLong, Example: "  argosy kv get /app/motd\n  argosy kv get /app/ --prefix\n  argosy kv get /app/motd -o json",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
			q.Key = args[0]
			found, err := a.keys(cmd.Context(), q)
			switch {
			case err != nil:
				return err
			case !q.Prefix && len(found.Items) == 0:
				return noKey(q.Key)
			case output != forms[0] && q.Prefix:
				return a.encode(output, found, false)
			case output != forms[0]:
				return a.encode(output, found.Items[0], false)
			}
			for _, item := range found.Items {
				if q.Prefix {
					a.printf("%s\n", item.Key)
				}
				a.printf("%s\n", item.Value)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&q.Prefix, "prefix", false, "print all that begin with KEY, each with its key before it")
	cmd.Flags().Int64Var(&q.Limit, "limit", 0, "print no more than so many")
	bindOutput(cmd, &output, forms)
	return cmd
}

func noKey(key string) error {
	return cluster.Errorf(cluster.NotFound, "there is no key %q", key).WithHint("argosy kv ls lists the keys")
}

// bindTTL gives a verb --ttl.
func bindTTL(cmd *cobra.Command, ttl *time.Duration) {
	cmd.Flags().DurationVar(ttl, "ttl", 0, "let the key go after this time, in whole seconds (default: never)")
}

// keyValue is the value on a command line, or standard input.
func (a *app) keyValue(args []string) (wire.Bytes, error) {
	if len(args) > 1 {
		return wire.BytesOf(args[1]), nil
	}
	text, err := io.ReadAll(a.env.Stdin)
	return wire.BytesOf(string(text)), err
}

func newKVPut(a *app) *cobra.Command {
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "put KEY [VALUE]", Short: "Set a key",
		Long: kvPutLong, Example: "  argosy kv put /app/motd hello\n  argosy kv put /app/page < page.html\n  argosy kv put /app/here yes --ttl 30s",
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.keyValue(args)
			if err != nil {
				return err
			}
			answer, err := a.writeKey(cmd.Context(), wire.KeyWrite{Key: wire.BytesOf(args[0]), Value: value, TTL: ttl})
			if err == nil {
				a.notef("set at revision %d", answer.Revision)
			}
			return err
		},
	}
	bindTTL(cmd, &ttl)
	return cmd
}

func newKVCas(a *app) *cobra.Command {
	var w wire.KeyWrite
	var c wire.KeyCondition
	var value string
	var rev int64
	cmd := &cobra.Command{
		Use: "cas KEY [VALUE]", Short: "Set a key if it is as expected",
		Long: kvCasLong, Example: "  argosy kv cas /app/owner me --absent\n  argosy kv cas /app/owner you --value me --ttl 1m\n  argosy kv cas /app/count 8 --revision 117",
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if w.Value, err = a.keyValue(args); err != nil {
				return err
			}
			if cmd.Flags().Changed("value") {
				expected := wire.BytesOf(value)
				c.Value = &expected
			}
			if c.Changed = cluster.Revision(rev); !c.Absent && c.Value == nil && c.Changed == 0 {
				return misuse("what is expected: --absent, --value or --revision")
			}
			w.Key, w.If = wire.BytesOf(args[0]), &c
			answer, err := a.writeKey(cmd.Context(), w)
			if err == nil {
				a.notef("set at revision %d", answer.Revision)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&c.Absent, "absent", false, "if there is no such key")
	cmd.Flags().StringVar(&value, "value", "", "if it has this `value`")
	cmd.Flags().Int64Var(&rev, "revision", 0, "if it was changed last at this `revision`")
	bindTTL(cmd, &w.TTL)
	return cmd
}

func newKVRm(a *app) *cobra.Command {
	var prefix bool
	cmd := &cobra.Command{
		Use: "rm KEY", Short: "Remove a key, or all that begin with it",
		Long: kvRmLong, Example: "  argosy kv rm /app/motd\n  argosy kv rm /app/ --prefix",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := a.writeKey(cmd.Context(), wire.KeyWrite{Key: wire.BytesOf(args[0]), Delete: true, Prefix: prefix})
			if err == nil && answer.Removed == 0 && !prefix {
				err = noKey(args[0])
			}
			if err == nil {
				a.notef("removed %d at revision %d", answer.Removed, answer.Revision)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&prefix, "prefix", false, "remove all that begin with KEY")
	return cmd
}

// keyRow is a key of a listing; gone if it is not there any more.
type keyRow struct {
	wire.KeyItem
	gone bool
}

func newKVLs(a *app) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use: "ls [PREFIX]", Short: "List keys",
		Long: kvLsLong, Example: "  argosy kv ls\n  argosy kv ls /services/ -o wide\n  argosy kv ls /services/ -w",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.keyNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), a, f, keyListing(a, strings.Join(args, "")))
		},
	}
	bindList(cmd, &f, keyListing(a, ""))
	return cmd
}

func keyListing(a *app, prefix string) listing[keyRow] {
	text := func(value func(keyRow) string) func(keyRow, bool) string {
		return func(r keyRow, _ bool) string { return value(r) }
	}
	q := client.KeysQuery{Key: prefix, Prefix: true}
	fetch := func(ctx context.Context, b Backend) (wire.Keys, []keyRow, error) {
		found, err := b.Keys(ctx, q)
		var rows []keyRow
		for _, item := range found.Items {
			rows = append(rows, keyRow{KeyItem: item})
		}
		return found, rows, err
	}
	return listing[keyRow]{
		columns: []column[keyRow]{
			{"key", false, text(func(r keyRow) string { return r.Key.String() })},
			{"value", true, text(keyRow.text)},
			{"changed", false, text(func(r keyRow) string { return strconv.FormatInt(int64(r.Changed), 10) })},
			{"created", false, text(func(r keyRow) string { return strconv.FormatInt(int64(r.Created), 10) })},
			{"version", false, text(func(r keyRow) string { return strconv.FormatInt(r.Version, 10) })},
			{"lease", false, text(func(r keyRow) string { return leaseText(r.Lease) })},
			{"bytes", false, text(func(r keyRow) string { return strconv.Itoa(len(r.Value.String())) })},
		},
		fields: "key,changed,value",
		wide:   "key,changed,created,version,lease,bytes,value",
		name:   func(r keyRow) string { return r.Key.String() },
		fetch:  func(ctx context.Context, b Backend) (any, []keyRow, error) { return fetch(ctx, b) },
		follow: func(ctx context.Context, b Backend, each func(any, []keyRow) error) error {
			request, cancel := a.request(ctx)
			found, rows, err := fetch(request, b)
			cancel()
			if err == nil {
				err = each(found, rows)
			}
			if err != nil {
				return err
			}
			q.After = found.Revision
			return a.followKeys(ctx, b, q, func(m wire.KeyEvents) error {
				var rows []keyRow
				for _, e := range m.Events {
					rows = append(rows, keyRow{e.KeyItem, e.Deleted})
				}
				return each(m, rows)
			})
		},
	}
}

// text is a value on one line.
func (r keyRow) text() string {
	if r.gone {
		return "(gone)"
	}
	return table.Clean(r.Value.String())
}

func leaseText(lease int64) string {
	if lease == 0 {
		return ""
	}
	return strconv.FormatInt(lease, 16)
}
