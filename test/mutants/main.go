// Command mutants breaks each promise on purpose and shows the test that goes
// red. A promise whose breaking no test notices is kept by nobody.
//
//	make mutants                       # all that need no lab nodes
//	go run ./test/mutants -run quorum  # those whose promise, file or test match
//	go run ./test/mutants -lab         # those on lab nodes, as root
//	go run ./test/mutants -check       # only see that every mutant still fits the code
//
// The mutants stand in *.mutants beside this file; list.go has their format.
// The working tree is never touched: the go command is told to read the changed
// file in the place of the true one (-overlay).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// options are the flags of one run.
type options struct {
	match   *regexp.Regexp
	lab     bool
	check   bool
	verbose bool
}

func main() {
	run := flag.String("run", "", "only mutants whose promise, file or test match this `regexp`")
	var o options
	flag.BoolVar(&o.lab, "lab", false, "run the mutants that need lab nodes instead of the others (root)")
	flag.BoolVar(&o.check, "check", false, "run no test, only see that every mutant still fits the code")
	flag.BoolVar(&o.verbose, "v", false, "print the output of the tests, and what was changed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if o.match, err = regexp.Compile(*run); err == nil {
		err = mutate(ctx, os.Stdout, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// mutate runs the mutants that the options choose, prints a row for each as it
// ends, and returns an error unless every one was caught.
func mutate(ctx context.Context, out io.Writer, o options) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	list, err := readLists(filepath.Join(root, "test/mutants"))
	if err != nil {
		return err
	}
	if err := fits(root, list); err != nil || o.check {
		return err
	}
	if o.lab && os.Geteuid() != 0 {
		return fmt.Errorf("lab nodes make namespaces and mounts: -lab takes root")
	}
	temp, err := os.MkdirTemp("", "argosy-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // nothing in it is needed
	r := &runner{root: root, temp: temp, command: goCommand, green: map[target]error{}}
	if o.verbose {
		r.verbose = out
	}
	return table(ctx, out, r, choose(list, o))
}

// choose returns the mutants that the options ask for.
func choose(list []mutant, o options) []mutant {
	var chosen []mutant
	for _, m := range list {
		if m.lab == o.lab && (o.match.MatchString(m.promise) || o.match.MatchString(m.file) || o.match.MatchString(m.test.String())) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// table runs mutants one after the other and prints a row for each.
func table(ctx context.Context, out io.Writer, r *runner, list []mutant) error {
	const row = "%6s  %-40s  %-64s  %s\n"
	fmt.Fprintf(out, row, "TIME", "MUTANT", "CAUGHT BY", "PROMISE")
	survived, wrong := 0, 0
	for _, m := range list {
		start := time.Now()
		by, err := r.run(ctx, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err != nil:
			by, wrong = "?", wrong+1
		case by == "":
			by, survived = "SURVIVED", survived+1
		}
		fmt.Fprintf(out, row, time.Since(start).Round(100*time.Millisecond), m.at, by, m.promise)
		if err != nil {
			fmt.Fprintf(out, "        %v\n", err)
		}
	}
	fmt.Fprintf(out, "\n%d mutants, %d caught, %d survived, %d with errors\n", len(list), len(list)-survived-wrong, survived, wrong)
	if survived+wrong > 0 {
		return fmt.Errorf("%d of %d mutants were not caught", survived+wrong, len(list))
	}
	return nil
}

// moduleRoot returns the folder of go.mod, at or above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod here or above: run this inside the repository")
		}
		dir = up
	}
}
