package etcdctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func (a *app) v3Lease() *cobra.Command {
	cmd := &cobra.Command{Use: "lease", Short: "Leases: what keys end with"}
	var keys, once bool
	one := func(use, short string, do func(ctx context.Context, c *clientv3.Client, id clientv3.LeaseID) error) *cobra.Command {
		return a.verb(use, short, cobra.ExactArgs(1), v3Refused, func(cmd *cobra.Command, args []string) error {
			id, err := parseLease(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error { return do(ctx, c, id) })
		})
	}
	left := one("timetolive ID", "Tell how a lease is doing", func(ctx context.Context, c *clientv3.Client, id clientv3.LeaseID) error {
		return a.timeToLive(ctx, c, id, keys)
	})
	left.Flags().BoolVar(&keys, "keys", false, "and what is under it")
	alive := a.verb("keep-alive ID", "Renew a lease until interrupted", cobra.ExactArgs(1), v3Refused, func(cmd *cobra.Command, args []string) error {
		id, err := parseLease(args[0])
		if err != nil {
			return err
		}
		return a.keepAlive(cmd.Context(), id, once)
	})
	alive.Flags().BoolVar(&once, "once", false, "renew it once")
	cmd.AddCommand(
		a.verb("grant TTL", "Make a lease of so many seconds", cobra.ExactArgs(1), v3Refused, func(cmd *cobra.Command, args []string) error {
			ttl, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return &exitError{v3BadArgs, fmt.Errorf("%.40q is no number of seconds", args[0])}
			}
			return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				r, err := c.Grant(ctx, ttl)
				if err != nil {
					return err
				}
				return a.say(r, func() { a.printf("lease %016x granted with TTL(%ds)\n", r.ID, r.TTL) })
			})
		}),
		one("revoke ID", "End a lease and what is under it", func(ctx context.Context, c *clientv3.Client, id clientv3.LeaseID) error {
			r, err := c.Revoke(ctx, id)
			if err != nil {
				return err
			}
			return a.say(r, func() { a.printf("lease %016x revoked\n", id) })
		}),
		left, alive,
		a.verb("list", "List the leases", cobra.NoArgs, v3Refused, func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
				r, err := c.Leases(ctx)
				if err != nil {
					return err
				}
				return a.say(r, func() {
					a.printf("found %d leases\n", len(r.Leases))
					for _, l := range r.Leases {
						a.printf("%016x\n", l.ID)
					}
				})
			})
		}),
	)
	return cmd
}

func (a *app) timeToLive(ctx context.Context, c *clientv3.Client, id clientv3.LeaseID, keys bool) error {
	var opts []clientv3.LeaseOption
	if keys {
		opts = append(opts, clientv3.WithAttachedKeys())
	}
	r, err := c.TimeToLive(ctx, id, opts...)
	if err != nil {
		return err
	}
	return a.say(r, func() {
		if r.TTL < 0 {
			a.printf("lease %016x already expired\n", id)
			return
		}
		a.printf("lease %016x granted with TTL(%ds), remaining(%ds)", r.ID, r.GrantedTTL, r.TTL)
		if keys {
			a.printf(", attached keys(%s)", r.Keys)
		}
		a.printf("\n")
	})
}

// keepAlive renews a lease until it ends or the command is interrupted.
func (a *app) keepAlive(ctx context.Context, id clientv3.LeaseID, once bool) error {
	c, err := a.dial(a.first()...)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	tell := func(r *clientv3.LeaseKeepAliveResponse) error {
		return a.say(r, func() { a.printf("lease %016x keepalived with TTL(%d)\n", r.ID, r.TTL) })
	}
	if once {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		r, err := c.KeepAliveOnce(ctx, id)
		if err != nil {
			return err
		}
		return tell(r)
	}
	alive, err := c.KeepAlive(ctx, id)
	if err != nil {
		return err
	}
	for r := range alive {
		if err := tell(r); err != nil {
			return err
		}
	}
	if ctx.Err() == nil {
		a.printf("lease %016x expired or revoked.\n", id)
	}
	return nil
}

func (a *app) v3Member() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Short: "Tell who the members are"}
	cmd.AddCommand(a.verb("list", "List the members", cobra.NoArgs, v3Refused, func(cmd *cobra.Command, _ []string) error {
		return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
			r, err := c.MemberList(ctx)
			if err != nil {
				return err
			}
			return a.say(r, func() {
				for _, m := range r.Members {
					state := "started"
					if m.Name == "" {
						state = "unstarted"
					}
					a.printf("%x, %s, %s, %s, %s, %v\n", m.ID, state, m.Name, commas(m.PeerURLs), commas(m.ClientURLs), m.IsLearner)
				}
			})
		})
	}))
	return cmd
}

func (a *app) v3Endpoint() *cobra.Command {
	cmd := &cobra.Command{Use: "endpoint", Short: "Tell how the endpoints are"}
	cmd.AddCommand(
		a.verb("health", "Tell whether the endpoints are healthy", cobra.NoArgs, v3Refused, func(cmd *cobra.Command, _ []string) error {
			return a.each(cmd.Context(), func(ctx context.Context, endpoint string, c *clientv3.Client) error {
				begin := time.Now()
				_, err := c.Get(ctx, "health")
				type health struct {
					Endpoint string `json:"endpoint"`
					Health   bool   `json:"health"`
					Took     string `json:"took"`
					Error    string `json:"error,omitempty"`
				}
				took := time.Since(begin)
				if err != nil {
					_ = a.say([]health{{endpoint, false, took.String(), err.Error()}}, func() {
						a.printf("%s is unhealthy: failed to commit proposal: %v\n", endpoint, err)
					})
					return err
				}
				return a.say([]health{{endpoint, true, took.String(), ""}}, func() {
					a.printf("%s is healthy: successfully committed proposal: took = %v\n", endpoint, took)
				})
			})
		}),
		a.verb("status", "Tell what the endpoints are", cobra.NoArgs, v3Refused, func(cmd *cobra.Command, _ []string) error {
			return a.each(cmd.Context(), func(ctx context.Context, endpoint string, c *clientv3.Client) error {
				r, err := c.Status(ctx, endpoint)
				if err != nil {
					fmt.Fprintf(a.env.Stderr, "Failed to get the status of endpoint %s (%v)\n", endpoint, err)
					return err
				}
				type status struct {
					Endpoint string
					Status   *clientv3.StatusResponse
				}
				return a.say([]status{{endpoint, r}}, func() {
					a.printf("%s, %x, %s, %d kB, %v, %v, %d, %d, %d, %s\n", endpoint, r.Header.MemberId, r.Version, r.DbSize/1000,
						r.Leader == r.Header.MemberId, r.IsLearner, r.RaftTerm, r.RaftIndex, r.RaftAppliedIndex, commas(r.Errors))
				})
			})
		}),
	)
	return cmd
}

// each asks every endpoint by itself.
func (a *app) each(ctx context.Context, ask func(ctx context.Context, endpoint string, c *clientv3.Client) error) error {
	failed := 0
	for _, address := range a.first() {
		c, err := a.dial(address)
		if err != nil {
			return err
		}
		within, cancel := context.WithTimeout(ctx, a.timeout)
		if ask(within, strings.TrimPrefix(address, "http://"), c) != nil {
			failed++
		}
		cancel()
		_ = c.Close()
	}
	if failed > 0 {
		return errors.New("unhealthy cluster")
	}
	return nil
}

func (a *app) v3Txn() *cobra.Command {
	cmd := a.verb("txn", "Carry out the transaction that stands in the standard input", cobra.NoArgs, v3Refused, func(cmd *cobra.Command, _ []string) error {
		compares, success, failure, err := a.readTxn()
		if err != nil {
			return &exitError{v3BadArgs, err}
		}
		return a.with(cmd.Context(), func(ctx context.Context, c *clientv3.Client) error {
			r, err := c.Txn(ctx).If(compares...).Then(success...).Else(failure...).Commit()
			if err != nil {
				return err
			}
			return a.say(r, func() { a.outcome(r) })
		})
	})
	cmd.Long = `Three paragraphs, with an empty line behind each: what must be so
(mod("KEY") = "7", and create, version, value, lease with <, = or >), the
operations if it is (put, get, del, as the verbs have them), and those if not.`
	cmd.Flags().BoolP("interactive", "i", false, "means nothing here: it is read in any case")
	return cmd
}

// readTxn reads a transaction.
func (a *app) readTxn() (compares []clientv3.Cmp, success, failure []clientv3.Op, err error) {
	in := bufio.NewScanner(a.env.Stdin)
	paragraph := func(take func(line string) error) {
		for err == nil && in.Scan() && strings.TrimSpace(in.Text()) != "" {
			err = take(strings.TrimSpace(in.Text()))
		}
	}
	ops := func(list *[]clientv3.Op) func(string) error {
		return func(line string) error {
			op, err := parseOp(line)
			*list = append(*list, op)
			return err
		}
	}
	paragraph(func(line string) error {
		c, err := parseCompare(line)
		compares = append(compares, c)
		return err
	})
	paragraph(ops(&success))
	paragraph(ops(&failure))
	if err == nil {
		err = in.Err()
	}
	return compares, success, failure, err
}

func (a *app) outcome(r *clientv3.TxnResponse) {
	word := map[bool]string{true: "SUCCESS", false: "FAILURE"}[r.Succeeded]
	a.printf("%s\n", word)
	for _, op := range r.Responses {
		a.printf("\n")
		switch {
		case op.GetResponsePut() != nil:
			a.printf("OK\n")
		case op.GetResponseDeleteRange() != nil:
			a.printf("%d\n", op.GetResponseDeleteRange().Deleted)
		default:
			a.items(op.GetResponseRange().GetKvs(), false)
		}
	}
}
