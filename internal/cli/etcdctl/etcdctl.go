// Package etcdctl is the program under the name etcdctl: the verbs of version 3 of
// etcd's API, and those of version 2 as people typed them on CoreOS, with their output
// and exit codes. It speaks etcd's API to whatever endpoints it is told, by default to
// those that each node has.
//
// A verb that only one version has is that version's. Where both mean something (get,
// watch, member, version), ETCDCTL_API decides, or a flag that only version 3 has; else
// it is version 2, for the scripts and units that were written when there was no other.
package etcdctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Env is the world around the program.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        []string // for what exec-watch runs
}

// defaultEndpoints are those of a node.
const defaultEndpoints = "http://127.0.0.1:2379,http://127.0.0.1:4001"

// Run carries out a command line, without the program's name, and returns the exit
// code.
func Run(ctx context.Context, args []string, env Env) int {
	a := &app{env: env}
	root := a.v2()
	if api(args, env.Getenv) == 3 {
		root = a.v3()
	}
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err != nil {
			a.complain(exit.err)
		}
		return exit.code
	}
	a.complain(err) // cobra's own checks of the command line
	return a.badArgs
}

// exitError ends the run with a code; its err may be nil: then everything has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

// app is what the verbs of one run share.
type app struct {
	env       Env
	endpoints string
	output    string
	timeout   time.Duration
	// badArgs is the exit code of a command line that makes no sense, which the
	// versions do not agree on, and error what errors begin with.
	badArgs int
	begin   string
}

func (a *app) complain(err error) { fmt.Fprintf(a.env.Stderr, "%s%v\n", a.begin, err) }

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.env.Stdout, format, args...) }

// onlyV2 and onlyV3 are the verbs that only one version has.
func onlyV2() []string {
	return []string{"set", "mk", "mkdir", "setdir", "rm", "rmdir", "ls", "update", "updatedir", "exec-watch", "cluster-health"}
}

func onlyV3() []string { return []string{"put", "del", "txn", "lease", "endpoint"} }

// newFlags are flags that only version 3 has.
func newFlags() []string {
	return []string{"--prefix", "--from-key", "--keys-only", "--count-only", "--print-value-only", "--limit", "--rev", "--order", "--sort-by", "--prev-kv", "--write-out", "-w", "--hex"}
}

// api decides which version a command line means.
func api(args []string, getenv func(string) string) int {
	verb := verbOf(args)
	newer := slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(arg, "=")
		return slices.Contains(newFlags(), name)
	})
	switch {
	case slices.Contains(onlyV2(), verb):
		return 2
	case slices.Contains(onlyV3(), verb), getenv("ETCDCTL_API") == "3", newer && getenv("ETCDCTL_API") == "":
		return 3
	}
	return 2
}

// verbOf is the first argument that is neither a flag nor a flag's value.
func verbOf(args []string) string {
	valued := []string{"--peers", "--peer", "-C", "--endpoint", "--endpoints", "-o", "--output", "-w", "--write-out", "--timeout", "--total-timeout", "--command-timeout", "--dial-timeout", "--username", "-u", "--user"}
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(valued, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

// newRoot is what the trees of both versions have in common.
func (a *app) newRoot(short, long string) *cobra.Command {
	root := &cobra.Command{
		Use: "etcdctl", Short: short, Long: long, SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no verb %q; etcdctl --help lists them", args[0])
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	flags := root.PersistentFlags()
	usual := cmp.Or(a.env.Getenv("ETCDCTL_ENDPOINTS"), a.env.Getenv("ETCDCTL_ENDPOINT"), a.env.Getenv("ETCDCTL_PEERS"), defaultEndpoints)
	flags.StringVar(&a.endpoints, "endpoints", usual, "ask at these `URLs`, separated by commas")
	return root
}

// addresses are the endpoints, as URLs.
func (a *app) addresses() []string {
	var list []string
	for _, e := range strings.FieldsFunc(a.endpoints, func(c rune) bool { return c == ',' || c == ' ' }) {
		if !strings.Contains(e, "://") {
			e = "http://" + e
		}
		list = append(list, strings.TrimSuffix(e, "/"))
	}
	return list
}

// first are the addresses, but of the default ones the first alone: the other is the
// same under its old number.
func (a *app) first() []string {
	if a.endpoints == defaultEndpoints {
		return a.addresses()[:1]
	}
	return a.addresses()
}

// verb makes a verb. An error of run ends with the code, unless it has one.
func (a *app) verb(use, short string, args cobra.PositionalArgs, code int, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if _, ok := errors.AsType[*exitError](err); ok || err == nil {
				return err
			}
			return &exitError{code, err}
		},
	}
}

// valueOf is the value of a verb: its last argument, or the standard input.
func (a *app) valueOf(args []string) (string, error) {
	if len(args) > 1 {
		return args[1], nil
	}
	text, err := io.ReadAll(a.env.Stdin)
	return string(text), err
}
