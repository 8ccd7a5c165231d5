package cli

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
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
	var form eventForm
	cmd := &cobra.Command{
		Use:   "events [UNIT|NODE]...",
		Short: "Print what happened in the cluster",
		Long:  eventsLong, Example: eventsExample,
		ValidArgsFunction: a.unitAndNodeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(form.output, outputs()); err != nil {
				return err
			}
			if query.Since <= 0 {
				return misuse("--since %s: use a time above zero, such as 90m", query.Since)
			}
			query.Names = args
			return a.events(cmd.Context(), query, newEventPrinter(a, form))
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&query.Follow, "follow", "f", false, "go on with what happens, until interrupted")
	flags.BoolVarP(&query.Follow, "watch", "w", false, "the same, by the name that listings have for it")
	flags.BoolVar(&form.noLegend, "no-legend", false, "leave out the line of titles")
	flags.DurationVar(&query.Since, "since", eventsKept, "begin with what was seen this long ago")
	bindOutput(cmd, &form.output, outputs())
	return cmd
}

// eventForm is how events are printed. They are a stream: each is a line of the
// table, a JSON object on a line of its own, or a YAML document.
type eventForm struct {
	output   string
	noLegend bool
}

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
	app   *app
	form  eventForm
	begun bool
	// told are the IDs of what was printed lately, older the ones before them:
	// a stream that goes on begins with what the last one may have told.
	told, older map[string]bool
}

// toldMax bounds the IDs that are remembered: more than a stream begins with.
const toldMax = 20_000

func newEventPrinter(a *app, form eventForm) *eventPrinter {
	return &eventPrinter{app: a, form: form, begun: form.noLegend, told: map[string]bool{}}
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
	switch p.form.output {
	case outputJSON, outputYAML:
		return p.app.encode(p.form.output, e, true)
	case outputName:
		p.app.printf("%s\n", e.ID)
		return nil
	}
	if !p.begun {
		p.line("TIME", "REVISION", "NODE", "", "KIND", "WHAT")
		p.begun = true
	}
	p.line(p.time(e.Time), strconv.FormatInt(int64(e.Revision), 10), cmp.Or(e.NodeName, e.Node.Short(), "-"), kindStyle(e.Kind), string(e.Kind), e.Text)
	return nil
}

// timeWidth is how wide a time of another day is.
const timeWidth = len("Jan 02 15:04:05")

// The widths of the columns that only the wide table has.
const revisionWidth, nodeWidth = 10, 12

// line prints one line of the table. Its columns have fixed widths, since what
// comes later is not known.
func (p *eventPrinter) line(at, revision, node, style, kind, what string) {
	width, more := timeWidth, ""
	if p.form.output == outputWide {
		width, more = len("2006-01-02T15:04:05Z"), fmt.Sprintf("%-*s  %-*s  ", revisionWidth, revision, nodeWidth, table.Clean(node))
	}
	kind = fmt.Sprintf("%-*s", eventKindWidth(), table.Clean(kind))
	p.app.printf("%-*s  %s%s  %s\n", width, at, more, p.app.paint(p.app.env.Stdout, style, kind), table.Clean(what))
}

// time is when something was seen, in the time zone of whoever reads; without
// the date if it was today. The wide table has it whole, and in UTC.
func (p *eventPrinter) time(at time.Time) string {
	if p.form.output == outputWide {
		return at.UTC().Format(time.RFC3339)
	}
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
