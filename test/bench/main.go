// Command bench measures Argosy and writes docs/reference/performance.md.
// Nothing is asserted: figures depend on the machine, so what matters is
// compared with something else in the same run.
//
//	make bench
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
)

// options are what one run is told.
type options struct {
	binary string
	units  int // of the large measurement on lab nodes
	losses int // how often a node is lost
	nodes  int // of the control plane that is measured in one process
}

// section is one part of the page.
type section struct {
	name, title string
	text        string // what was measured, and how
	measure     func(context.Context, options, *table) error
}

// sections lists all that can be measured, in the order of the page.
func sections() []section {
	return []section{
		{"lab", "On lab nodes", labText, measureLab},
		{"announcing", "Announcing", announcingText, measureAnnouncing},
		{"following", "Following services", followingText, measureFollowing},
		{"names", "Names", namesText, measureNames},
		{"placing", "Placing alone", placingText, measurePlacing},
		{"committing", "Placements in the store", committingText, measureCommitting},
		{"control", "A thousand nodes", controlText, measureControl},
	}
}

func main() {
	var opts options
	flag.StringVar(&opts.binary, "binary", "bin/argosy", "the program that is measured on lab nodes")
	flag.IntVar(&opts.units, "units", 1000, "how many units the large measurement on lab nodes has")
	flag.IntVar(&opts.losses, "losses", 20, "how often a node is lost")
	flag.IntVar(&opts.nodes, "nodes", 1000, "how many nodes the largest cluster in one process has; it gets ten times as many units")
	only := flag.String("only", "", "measure these sections only, with commas between; what the page says of others stays")
	out := flag.String("o", "", "write to this page instead of standard output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, opts, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts options, only, out string) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	var page page
	if out != "" {
		if page, err = readPage(out); err != nil {
			return err
		}
	}
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "== %s\n", s.title)
		var t table
		if err := s.measure(ctx, opts, &t); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		machine := fmt.Sprintf("Measured with %d cores (%s), %s.", runtime.NumCPU(), runtime.GOARCH, runtime.Version())
		page.set(s.title, s.text+"\n\n"+machine+" Again: `go run ./test/bench -only "+s.name+"`\n\n"+t.String())
		if out != "" { // what was measured is not lost with what comes after
			if err := os.WriteFile(out, []byte(page.String()), 0o644); err != nil {
				return err
			}
		}
	}
	if out == "" {
		fmt.Fprint(os.Stdout, page.String())
	}
	return nil
}

// choose returns the sections with some names, all for "".
func choose(only string) ([]section, error) {
	if only == "" {
		return sections(), nil
	}
	var chosen []section
	for name := range strings.SplitSeq(only, ",") {
		at := slices.IndexFunc(sections(), func(s section) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no section %q", name)
		}
		chosen = append(chosen, sections()[at])
	}
	return chosen, nil
}
