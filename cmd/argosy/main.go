// Command argosy turns machines that run systemd into one computer. It is the
// command line and every process of a node; called by the name fleetctl
// or etcdctl, it answers as those did.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"argosy/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second Ctrl-C ends the process at once, whatever it does meanwhile.
	context.AfterFunc(ctx, stop)
	code := cli.Run(ctx, os.Args, cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv:     os.Getenv,
		IsTerminal: isTerminal,
		Terminal:   cli.HostTerminal(os.Stdin),
		Width:      width(),
		Now:        time.Now,
		Install:    cli.InstallDaemon,
	})
	stop()
	os.Exit(code)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width returns the columns of the terminal at standard output, or 0.
func width() int {
	columns, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return columns
}
