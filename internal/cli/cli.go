// Package cli is the command line: one file for each verb (node, token and
// context, which have few and small ones, are one file each), and root.go lists
// them all.
//
// A verb takes its arguments apart, asks the cluster one thing through Backend,
// and prints. What was asked for goes to standard output, progress and
// everything else to standard error. Waiting is done by watching, never by
// polling; what is awaited is decided in package waiter, how a table looks in
// package table.
//
// Nothing here is global: Run builds the whole command tree for one call, and
// everything outside of the process comes in by Env, so that tests drive the
// command line with a fake cluster.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"argosy/internal/cli/contexts"
	"argosy/internal/cli/etcdctl"
	"argosy/internal/cluster"
)

// The exit codes. "status" has those of systemctl besides.
const (
	exitDone    = 0
	exitRefused = 1 // the cluster said no, or could not be reached
	exitMisuse  = 2 // the command line makes no sense
	exitGaveUp  = 3 // it was not done when the wait ended; it may still come
)

// Env is the world around the command line. All fields are needed, except
// Terminal, Width (zero: unlimited), Dial (nil: the API's own client) and Install.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// IsTerminal reports whether one of the three streams is a terminal.
	IsTerminal func(stream any) bool
	// Terminal is the one at Stdin, if that is one; nil: there is none.
	Terminal Terminal
	// Width of the terminal in columns; 0 does not cut lines.
	Width int
	// Dial makes a client for a context; it need not connect yet.
	Dial func(ctx context.Context, target contexts.Context) (Backend, error)
	Now  func() time.Time
	// Install installs and starts this machine's daemon: InstallDaemon, from
	// main alone. Nil does nothing, so that nobody changes the host by
	// forgetting a field: tests that did wrote services into /etc.
	Install func(ctx context.Context, log *slog.Logger) error
}

// Run carries out a command line, the program's name first, and returns the
// exit code. It never ends the process, and returns soon after ctx ends.
func Run(ctx context.Context, args []string, env Env) int {
	if env.Dial == nil {
		env.Dial = dialAPI
	}
	ctx, end := context.WithCancel(ctx)
	defer end() // of the tunnels
	if len(args) > 0 && filepath.Base(args[0]) == "etcdctl" {
		return etcdctl.Run(ctx, args[1:], etcdctl.Env{
			Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, Getenv: env.Getenv, Environ: os.Environ(),
		})
	}
	a := &app{env: env, name: "argosy"}
	if len(args) > 0 && filepath.Base(args[0]) == "fleetctl" {
		a.name = "fleetctl"
	}
	root := newRoot(a)
	line, err := expandVerbs(root, args[min(1, len(args)):])
	if err == nil {
		root.SetArgs(line)
		err = root.ExecuteContext(ctx)
	}
	if _, ours := errors.AsType[*verbError](err); err != nil && !ours {
		err = misuse("%s", err) // cobra's own checks of the command line
	}
	if err == nil && a.unwritten != nil {
		err = fmt.Errorf("write the output: %w", a.unwritten)
	}
	return a.report(err)
}

// app is what the verbs of one run share.
type app struct {
	env   Env
	name  string // argosy or fleetctl
	flags globalFlags
	old   fleetFlags // what fleetctl has besides
	// unwritten is why some of what was asked for could not be written.
	unwritten error
}

// fleet reports whether the verbs are to look like fleetctl's.
func (a *app) fleet() bool { return a.name == "fleetctl" }

// connect returns a client of the cluster that the user chose.
func (a *app) connect(ctx context.Context) (Backend, error) {
	target, err := a.target()
	if err != nil {
		return nil, err
	}
	return a.dial(ctx, target)
}

func (a *app) dial(ctx context.Context, target contexts.Context) (Backend, error) {
	if a.flags.verbose {
		a.notef("context: %s (%s)", target.Name, reachedAt(target))
	}
	return a.env.Dial(ctx, target)
}

// connectHere returns a client of this machine's own daemon, for the verbs that
// are about this machine: the current context of the contexts file is passed
// over, for "argosy leave" must never make a lab's node leave by surprise.
func (a *app) connectHere(ctx context.Context) (Backend, error) {
	target, named, err := a.namedTarget()
	if err != nil {
		return nil, err
	}
	if !named {
		target = contexts.Context{Name: contexts.Local, Socket: contexts.LocalSocket}
	}
	if target.Socket == "" {
		return nil, misuse("this verb is about one machine and needs its socket; context %s has none", target.Name)
	}
	return a.dial(ctx, target)
}

// request bounds one request. Streams are not bounded.
func (a *app) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.flags.timeout)
}

// printf writes what was asked for.
func (a *app) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(a.env.Stdout, format, args...); err != nil && a.unwritten == nil {
		a.unwritten = err
	}
}

// notef writes progress: a line for a person.
func (a *app) notef(format string, args ...any) { fmt.Fprintf(a.env.Stderr, format+"\n", args...) }

// usageError is a command line that makes no sense.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

// misuse makes a usageError.
func misuse(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// verbError says in which verb an error arose.
type verbError struct {
	verb string // "argosy node rm"
	err  error
}

func (e *verbError) Error() string { return e.err.Error() }
func (e *verbError) Unwrap() error { return e.err }

// exitError ends the run with a code of the verb's own. Its err may be nil: then
// everything has been said.
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
func (e *exitError) Unwrap() error { return e.err }

// report says what went wrong, in one place for all verbs, and returns the exit
// code of it.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitRefused
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err == nil {
			return exit.code
		}
		code = exit.code
		if a.fleet() && code == exitGaveUp {
			code = exitRefused // fleetctl told no late unit from a refused one
		}
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		verb := a.name
		if in, ok := errors.AsType[*verbError](err); ok {
			verb = in.verb
		}
		a.notef("%s: %s", a.name, err)
		a.notef("see %s --help", verb)
		return exitMisuse
	}
	a.notef("%s: %s", a.name, a.describe(err))
	if hint := cluster.HintOf(err); hint != "" {
		a.notef("hint: %s", hint)
	}
	if a.flags.verbose {
		a.notef("kind: %s", cluster.KindOf(err))
	}
	return code
}

// describe puts the errors of contexts into words.
func (a *app) describe(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && cluster.KindOf(err) == cluster.Internal:
		return fmt.Sprintf("no answer within %s (--timeout)", a.flags.timeout)
	case errors.Is(err, context.Canceled) && cluster.KindOf(err) == cluster.Internal:
		return "interrupted"
	}
	return strings.TrimSpace(err.Error())
}
