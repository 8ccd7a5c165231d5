package etcdctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// The exit codes of version 3.
const (
	v3BadArgs = 128
	v3Refused = 1
)

const v3Long = `Verbs of version 3 of etcd's API. Those of version 2 are there, too: set, ls, mk,
mkdir, rm, update, exec-watch and their like are always meant so, get, watch and
member with ETCDCTL_API=2 or when nothing says otherwise.`

func etcdVersion() string { return version.Version }

func commas(list []string) string { return strings.Join(list, ",") }

// v3 is the tree of version 3.
func (a *app) v3() *cobra.Command {
	a.badArgs, a.begin = v3BadArgs, "Error: "
	root := a.newRoot("Keys in the cluster's store", v3Long)
	flags := root.PersistentFlags()
	flags.StringVarP(&a.output, "write-out", "w", "simple", "the form: `simple` or json")
	flags.DurationVar(&a.timeout, "command-timeout", 5*time.Second, "give up on a request after this long")
	flags.Duration("dial-timeout", 2*time.Second, "means nothing here: --command-timeout bounds it all")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.output != "simple" && a.output != "json" {
			return fmt.Errorf("there is no form %q: simple or json", a.output)
		}
		return nil
	}
	root.AddCommand(
		a.v3Put(), a.v3Get(), a.v3Del(), a.v3Txn(), a.v3Watch(), a.v3Lease(), a.v3Member(), a.v3Endpoint(),
		a.verb("version", "Print the version", cobra.NoArgs, v3Refused, func(*cobra.Command, []string) error { return a.version(3) }),
	)
	return root
}

// dial makes a client. It does not connect yet.
func (a *app) dial(endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second})
}

// with calls do with a client, and with a context that bounds one request.
func (a *app) with(ctx context.Context, do func(ctx context.Context, c *clientv3.Client) error) error {
	c, err := a.dial(a.first()...)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return do(ctx, c)
}

// say prints an answer: as JSON, or as simple does.
func (a *app) say(answer any, simple func()) error {
	if a.output != "json" {
		simple()
		return nil
	}
	text, err := json.Marshal(answer)
	if err == nil {
		a.printf("%s\n", text)
	}
	return err
}

func (a *app) items(kvs []*mvccpb.KeyValue, valueOnly bool) {
	for _, kv := range kvs {
		if !valueOnly {
			a.printf("%s\n", kv.Key)
		}
		a.printf("%s\n", kv.Value)
	}
}

func (a *app) v3Put() *cobra.Command {
	var lease string
	var prev bool
	cmd := a.verb("put KEY [VALUE]", "Set a key; without a value, to the standard input", cobra.RangeArgs(1, 2), v3Refused, func(cmd *cobra.Command, args []string) error {
		value, err := a.valueOf(args)
		if err != nil {
			return err
		}
		id, err := parseLease(lease)
		if err != nil {
			return err
		}
		opts := []clientv3.OpOption{clientv3.WithLease(id)}
		if prev {
			opts = append(opts, clientv3.WithPrevKV())
		}
		return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
			r, err := c.Put(ctx, args[0], value, opts...)
			if err != nil {
				return err
			}
			return a.say(r, func() {
				a.printf("OK\n")
				if r.PrevKv != nil {
					a.items([]*mvccpb.KeyValue{r.PrevKv}, false)
				}
			})
		})
	})
	cmd.Flags().StringVar(&lease, "lease", "0", "the lease, in hexadecimal, that the key ends with")
	cmd.Flags().BoolVar(&prev, "prev-kv", false, "print what was there before")
	return cmd
}

func parseLease(text string) (clientv3.LeaseID, error) {
	id, err := strconv.ParseInt(text, 16, 64)
	if err != nil {
		return 0, &exitError{v3BadArgs, fmt.Errorf("%.40q is no lease: a number in hexadecimal is", text)}
	}
	return clientv3.LeaseID(id), nil
}

// spanFlags say which keys are meant.
type spanFlags struct{ prefix, fromKey bool }

func (f *spanFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.prefix, "prefix", false, "all that begin with the key")
	cmd.Flags().BoolVar(&f.fromKey, "from-key", false, "all from the key on")
}

func (f *spanFlags) options(args []string) (opts []clientv3.OpOption, err error) {
	if len(args) > 1 {
		opts = append(opts, clientv3.WithRange(args[1]))
	}
	if f.prefix {
		opts = append(opts, clientv3.WithPrefix())
	}
	if f.fromKey {
		opts = append(opts, clientv3.WithFromKey())
	}
	if len(opts) > 1 {
		return nil, &exitError{v3BadArgs, errors.New("an end of a range, --prefix and --from-key do not go together")}
	}
	return opts, nil
}

func (a *app) v3Get() *cobra.Command {
	var span spanFlags
	var keysOnly, countOnly, valueOnly bool
	var limit, rev int64
	var order, by, consistency string
	cmd := a.verb("get KEY [END]", "Print keys and their values", cobra.RangeArgs(1, 2), v3Refused, func(cmd *cobra.Command, args []string) error {
		opts, err := span.options(args)
		if err != nil {
			return err
		}
		sorting, err := parseSort(order, by)
		if err != nil {
			return err
		}
		opts = append(append(opts, sorting...), clientv3.WithLimit(limit), clientv3.WithRev(rev))
		if keysOnly {
			opts = append(opts, clientv3.WithKeysOnly())
		}
		if countOnly {
			opts = append(opts, clientv3.WithCountOnly())
		}
		if consistency == "s" {
			opts = append(opts, clientv3.WithSerializable())
		}
		return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
			r, err := c.Get(ctx, args[0], opts...)
			if err != nil {
				return err
			}
			return a.say(r, func() {
				if countOnly {
					a.printf("%d\n", r.Count)
				}
				a.items(r.Kvs, valueOnly)
			})
		})
	})
	span.bind(cmd)
	cmd.Flags().BoolVar(&keysOnly, "keys-only", false, "without the values")
	cmd.Flags().BoolVar(&countOnly, "count-only", false, "only how many there are")
	cmd.Flags().BoolVar(&valueOnly, "print-value-only", false, "without the keys")
	cmd.Flags().Int64Var(&limit, "limit", 0, "not more than so many")
	cmd.Flags().Int64Var(&rev, "rev", 0, "as it was at this revision")
	cmd.Flags().StringVar(&order, "order", "", "ASCEND or DESCEND")
	cmd.Flags().StringVar(&by, "sort-by", "", "KEY, VERSION, CREATE, MODIFY or VALUE")
	cmd.Flags().StringVar(&consistency, "consistency", "l", "l: what a quorum agrees on; s: what the server knows")
	return cmd
}

func parseSort(order, by string) ([]clientv3.OpOption, error) {
	orders := map[string]clientv3.SortOrder{"ASCEND": clientv3.SortAscend, "DESCEND": clientv3.SortDescend}
	targets := map[string]clientv3.SortTarget{
		"": clientv3.SortByKey, "KEY": clientv3.SortByKey, "VERSION": clientv3.SortByVersion, "CREATE": clientv3.SortByCreateRevision,
		"MODIFY": clientv3.SortByModRevision, "VALUE": clientv3.SortByValue,
	}
	target, known := targets[strings.ToUpper(by)]
	direction, named := orders[strings.ToUpper(order)]
	switch {
	case !known || order != "" && !named:
		return nil, &exitError{v3BadArgs, fmt.Errorf("sort by %q, order %q: there is no such thing", by, order)}
	case order == "" && by == "":
		return nil, nil
	case order == "":
		direction = clientv3.SortAscend
	}
	return []clientv3.OpOption{clientv3.WithSort(target, direction)}, nil
}

func (a *app) v3Del() *cobra.Command {
	var span spanFlags
	var prev bool
	cmd := a.verb("del KEY [END]", "Remove keys", cobra.RangeArgs(1, 2), v3Refused, func(cmd *cobra.Command, args []string) error {
		opts, err := span.options(args)
		if err != nil {
			return err
		}
		if prev {
			opts = append(opts, clientv3.WithPrevKV())
		}
		return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
			r, err := c.Delete(ctx, args[0], opts...)
			if err != nil {
				return err
			}
			return a.say(r, func() { a.printf("%d\n", r.Deleted); a.items(r.PrevKvs, false) })
		})
	})
	span.bind(cmd)
	cmd.Flags().BoolVar(&prev, "prev-kv", false, "print what was there before")
	return cmd
}

func (a *app) v3Watch() *cobra.Command {
	var span spanFlags
	var rev int64
	var prev bool
	cmd := a.verb("watch KEY [END] [-- COMMAND [ARG...]]", "Print the changes of keys, or run a command for each", cobra.MinimumNArgs(1), v3Refused, func(cmd *cobra.Command, args []string) error {
		var line []string
		if at := cmd.ArgsLenAtDash(); at > 0 {
			args, line = args[:at], args[at:]
		}
		opts, err := span.options(args)
		if err != nil {
			return err
		}
		if prev {
			opts = append(opts, clientv3.WithPrevKV())
		}
		return a.watch(cmd.Context(), args[0], line, append(opts, clientv3.WithRev(rev)))
	})
	span.bind(cmd)
	cmd.Flags().Int64Var(&rev, "rev", 0, "from this revision on")
	cmd.Flags().BoolVar(&prev, "prev-kv", false, "print what was there before")
	return cmd
}

// watch prints what happens, or runs a command for each change, until it is interrupted.
func (a *app) watch(ctx context.Context, key string, line []string, opts []clientv3.OpOption) error {
	c, err := a.dial(a.first()...)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for r := range c.Watch(ctx, key, opts...) {
		if err := r.Err(); err != nil {
			return err
		}
		if len(line) == 0 {
			if err := a.say(r, func() { a.events(r.Events) }); err != nil {
				return err
			}
			continue
		}
		for _, e := range r.Events {
			err := a.execute(ctx, line, fmt.Sprintf("ETCD_WATCH_REVISION=%d", r.Header.Revision),
				fmt.Sprintf("ETCD_WATCH_EVENT_TYPE=%q", e.Type), fmt.Sprintf("ETCD_WATCH_KEY=%q", e.Kv.Key), fmt.Sprintf("ETCD_WATCH_VALUE=%q", e.Kv.Value))
			if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil // interrupted
	}
	return errors.New("the watch ended")
}

func (a *app) events(events []*clientv3.Event) {
	for _, e := range events {
		a.printf("%s\n", e.Type)
		if e.PrevKv != nil {
			a.printf("%s\n%s\n", e.PrevKv.Key, e.PrevKv.Value)
		}
		a.printf("%s\n%s\n", e.Kv.Key, e.Kv.Value)
	}
}
