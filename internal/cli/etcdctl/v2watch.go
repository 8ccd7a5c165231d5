package etcdctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/loop"
	"argosy/internal/v2keys"
)

// retryAfter is how long a watch waits before it asks again after nobody answered.
const retryAfter = 500 * time.Millisecond

// follow calls each for what happens to a key, until each returns an error or false. It
// goes on where it was when a connection breaks.
func (a *app) follow(ctx context.Context, key string, recursive bool, after uint64, each func(answer) (more bool, err error)) error {
	next := uint64(0)
	if after > 0 {
		next = after + 1
	}
	for {
		form := url.Values{"wait": {"true"}, "recursive": {strconv.FormatBool(recursive)}}
		if next > 0 {
			form.Set("waitIndex", strconv.FormatUint(next, 10))
		}
		r, err := a.stream(ctx, http.MethodGet, key, form)
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if e, ok := errors.AsType[*v2keys.Error](err); ok && e.Code != v2keys.RaftInternal {
			return err
		}
		if err != nil {
			if loop.Sleep(ctx, retryAfter) != nil {
				return nil //nolint:nilerr // interrupted
			}
			continue
		}
		next = uint64(r.Node.Modified) + 1 //nolint:gosec // revisions are not negative
		if r.Node.Dir {
			continue // what goes with a directory is told by nobody, as it was
		}
		if more, err := each(r); err != nil || !more {
			return err
		}
	}
}

func (a *app) v2Watch() *cobra.Command {
	var forever, recursive bool
	var after uint64
	cmd := a.verb("watch KEY", "Print the next change of a key", cobra.ExactArgs(1), v2Refused, func(cmd *cobra.Command, args []string) error {
		return a.follow(cmd.Context(), args[0], recursive, after, func(r answer) (bool, error) {
			if recursive && a.output == "simple" {
				a.printf("[%s] %s\n", r.Action, r.Node.Key)
			}
			a.show(r)
			return forever, nil
		})
	})
	cmd.Flags().BoolVarP(&forever, "forever", "f", false, "go on with what comes")
	cmd.Flags().Uint64Var(&after, "after-index", 0, "what happened after this `index`, too")
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "what is below the key, too")
	return cmd
}

func (a *app) v2ExecWatch() *cobra.Command {
	var recursive bool
	var after uint64
	cmd := a.verb("exec-watch KEY -- COMMAND [ARG...]", "Run a command for each change of a key", cobra.MinimumNArgs(2), v2Refused, func(cmd *cobra.Command, args []string) error {
		return a.follow(cmd.Context(), args[0], recursive, after, func(r answer) (bool, error) {
			value := ""
			if r.Node.Value != nil {
				value = *r.Node.Value
			}
			return true, a.execute(cmd.Context(), args[1:],
				"ETCD_WATCH_ACTION="+r.Action, "ETCD_WATCH_KEY="+r.Node.Key, "ETCD_WATCH_VALUE="+value,
				fmt.Sprintf("ETCD_WATCH_MODIFIED_INDEX=%d", r.Node.Modified))
		})
	})
	cmd.Flags().Uint64Var(&after, "after-index", 0, "what happened after this `index`, too")
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "what is below the key, too")
	return cmd
}

// execute runs a command to its end. Its failure is told and ends nothing: the next
// change may be one that it can do with.
func (a *app) execute(ctx context.Context, line []string, env ...string) error {
	run := exec.CommandContext(ctx, line[0], line[1:]...)
	run.Stdout, run.Stderr, run.Env = a.env.Stdout, a.env.Stderr, append(append([]string{}, a.env.Environ...), env...)
	err := run.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); ran || ctx.Err() != nil {
		a.complain(fmt.Errorf("%s: %w", line[0], err))
		return nil
	}
	return err
}

// member is a member as the key space tells it.
type member struct {
	ID         string
	Name       string
	PeerURLs   []string
	ClientURLs []string
	Healthy    bool
	Leader     bool
}

func (a *app) members(ctx context.Context) ([]member, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	text, _, err := a.http(ctx, http.MethodGet, "/v2/members", url.Values{"health": {"true"}})
	var all struct{ Members []member }
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	return all.Members, err
}

func (a *app) v2Member() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Short: "Tell who the members are"}
	cmd.AddCommand(a.verb("list", "List the members", cobra.NoArgs, v2Refused, func(cmd *cobra.Command, _ []string) error {
		all, err := a.members(cmd.Context())
		for _, m := range all {
			a.printf("%s: name=%s peerURLs=%s clientURLs=%s isLeader=%v\n", m.ID, m.Name, commas(m.PeerURLs), commas(m.ClientURLs), m.Leader)
		}
		return err
	}))
	return cmd
}

func (a *app) v2Health() *cobra.Command {
	cmd := a.verb("cluster-health", "Tell whether the members are healthy", cobra.NoArgs, v2Unhealthy, func(cmd *cobra.Command, _ []string) error {
		all, err := a.members(cmd.Context())
		if err != nil {
			a.printf("cluster may be unhealthy: failed to list members\n")
			return err
		}
		healthy := 0
		for _, m := range all {
			if m.Healthy {
				healthy++
				a.printf("member %s is healthy: got healthy result from %s\n", m.ID, commas(m.ClientURLs))
			} else {
				a.printf("member %s is unreachable: %s is unreachable\n", m.ID, commas(m.PeerURLs))
			}
		}
		switch {
		case healthy == len(all):
			a.printf("cluster is healthy\n")
			return nil
		case healthy > len(all)/2:
			a.printf("cluster is degraded\n")
		default:
			a.printf("cluster is unavailable\n")
		}
		return &exitError{code: v2Unhealthy}
	})
	cmd.Flags().BoolP("forever", "f", false, "means nothing here")
	_ = cmd.Flags().MarkHidden("forever")
	return cmd
}
