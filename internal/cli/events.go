package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cli/table"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

const eventsLong = `Print what happened in the cluster: who handed in, changed and destroyed units,
where they were placed and why, what became of them, which nodes came and went,
who leads. A UNIT may be a glob; a NODE is a name, an ID, or the begin of one.

Events are kept for a day, and up to 8 MiB of them, by each server on its own
disk: the server that is asked tells what it saw itself. What happens again and
again within a minute is counted instead of told. argosy help event-kinds
explains the kinds.`

const eventsExample = `  argosy events --since 1h
  argosy events -f hello.service node-2
  argosy events 'web@*' -o json`

// eventsKept is how long servers keep events.
const eventsKept = 24 * time.Hour

func newEvents(a *app) *cobra.Command {
	var query client.EventQuery
	var output string
	cmd := &cobra.Command{
		Use:   "events [UNIT|NODE]...",
		Short: "Print what happened in the cluster",
		Long:  eventsLong, Example: eventsExample,
		ValidArgsFunction: a.unitAndNodeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, eventOutputs()); err != nil {
				return err
			}
			if query.Since <= 0 {
				return misuse("--since %s: use a time above zero, such as 90m", query.Since)
			}
			query.Names = args
			return a.events(cmd.Context(), query, newEventPrinter(a, output))
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&query.Follow, "follow", "f", false, "go on with what happens, until interrupted")
	flags.DurationVar(&query.Since, "since", eventsKept, "begin with what was seen this long ago")
	bindOutput(cmd, &output, eventOutputs())
	return cmd
}

// eventOutputs are the forms of events: a table, or one JSON object a line.
func eventOutputs() []string { return []string{outputTable, outputJSON} }

// events prints events. A stream that broke goes on where it was, perhaps on
// another server, without telling anything twice.
func (a *app) events(ctx context.Context, query client.EventQuery, printer *eventPrinter) error {
	b, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if !query.Follow {
		request, cancel := a.request(ctx)
		defer cancel()
		return b.Events(request, query, printer.print)
	}
	pace := loop.Pace{Every: watchRetry}
	begun, lost := false, false
	for {
		if pace.Wait(ctx) != nil {
			return nil // the user has seen enough
		}
		err := b.Events(ctx, query, func(m wire.EventMessage) error {
			begun, lost = true, false
			query.After = max(query.After, m.Revision)
			return printer.print(m)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = cluster.Errorf(cluster.Unavailable, "the server ended the stream")
		}
		if !begun || !retryable(err) {
			return err
		}
		if !lost {
			a.notef("lost the connection (%s); trying again", err)
		}
		lost = true
	}
}

// eventPrinter prints each event once.
type eventPrinter struct {
	app    *app
	output string
	begun  bool
	// told are the IDs of what was printed lately, older the ones before them:
	// a stream that goes on begins with what the last one may have told.
	told, older map[string]bool
}

// toldMax bounds the IDs that are remembered: more than a stream begins with.
const toldMax = 20_000

func newEventPrinter(a *app, output string) *eventPrinter {
	return &eventPrinter{app: a, output: output, told: map[string]bool{}}
}

func (p *eventPrinter) print(m wire.EventMessage) error {
	e := m.Event
	if e == nil || p.told[e.ID] || p.older[e.ID] {
		return nil
	}
	if len(p.told) >= toldMax {
		p.told, p.older = map[string]bool{}, p.told
	}
	p.told[e.ID] = true
	if p.output == outputJSON {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		p.app.printf("%s\n", line)
		return nil
	}
	if !p.begun {
		p.line("TIME", "", "KIND", "WHAT")
		p.begun = true
	}
	p.line(p.time(e.Time), kindStyle(e.Kind), string(e.Kind), e.Text)
	return nil
}

// timeWidth is how wide a time of another day is.
const timeWidth = len("Jan 02 15:04:05")

// line prints one line of the table. Its columns have fixed widths, since what
// comes later is not known.
func (p *eventPrinter) line(at, style, kind, what string) {
	kind = fmt.Sprintf("%-*s", eventKindWidth(), table.Clean(kind))
	p.app.printf("%-*s  %s  %s\n", timeWidth, at, p.app.paint(p.app.env.Stdout, style, kind), table.Clean(what))
}

// time is when something was seen, in the time zone of whoever reads; without
// the date if it was today.
func (p *eventPrinter) time(at time.Time) string {
	now := p.app.env.Now()
	at = at.In(now.Location())
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return at.Format("Jan 02 " + time.TimeOnly)
}

// eventKindWidth is how wide the widest kind is.
func eventKindWidth() int {
	widest := 0
	for _, kind := range cluster.EventKinds() {
		widest = max(widest, len(kind.Kind))
	}
	return widest
}

// kindStyle is the style of a kind: what an operator may want to see first.
func kindStyle(kind cluster.EventKind) string {
	switch kind {
	case cluster.EventUnitActive, cluster.EventNodeReady, cluster.EventNodeJoined, cluster.EventNodeWell, cluster.EventServerPromoted:
		return styleGood
	case cluster.EventUnitFailed, cluster.EventUnitOutput, cluster.EventNodeDead:
		return styleBad
	case cluster.EventUnitPending, cluster.EventUnitRestarted, cluster.EventUnitProblem, cluster.EventNodeLost,
		cluster.EventNodeProblem, cluster.EventNodeRemoved, cluster.EventLogGap, cluster.EventLogLeftOut:
		return styleWarn
	default:
		return ""
	}
}
