package cli

import (
	"fmt"
	"unicode/utf8"

	"argosy/internal/cli/table"
	"argosy/internal/cli/waiter"
)

// compactUnits is from how many units on a terminal gets one line that changes
// instead of a line for each: more would scroll away what matters.
const compactUnits = 12

// nameWidthMax is the widest that names are padded to.
const nameWidthMax = 40

// progress tells the user how a wait goes on.
type progress struct {
	app     *app
	waiter  *waiter.Waiter
	width   int  // of the names
	compact bool // one line that is written over
	drawn   bool
}

func newProgress(a *app, w *waiter.Waiter) *progress {
	p := &progress{app: a, waiter: w}
	units := w.Unsettled()
	for _, event := range units {
		p.width = min(max(p.width, utf8.RuneCountInString(string(event.Unit))), nameWidthMax)
	}
	p.compact = len(units) >= compactUnits && a.ansi(a.env.Stderr)
	return p
}

// say prints events. In compact form, only what went wrong gets a line.
func (p *progress) say(events []waiter.Event) {
	if len(events) == 0 {
		return
	}
	p.erase()
	for _, event := range events {
		if p.compact && event.Verdict != waiter.Failed {
			continue
		}
		p.app.notef("%s", eventLine(p.app, event, p.width))
		for _, line := range event.Log {
			p.app.notef("    %s", table.Clean(line))
		}
	}
	p.draw()
}

// draw writes the line that is written over, with the reason of one unit that
// waits: usually all wait for the same.
func (p *progress) draw() {
	if !p.compact {
		return
	}
	tally := p.waiter.Tally()
	line := fmt.Sprintf("%d of %d done", tally.Reached, tally.Reached+tally.Failed+tally.Waiting)
	if tally.Failed > 0 {
		line += fmt.Sprintf(", %d failed", tally.Failed)
	}
	if waiting := p.waiter.Unsettled(); len(waiting) > 0 {
		first := waiting[0]
		line += fmt.Sprintf(", %d on their way (%s: %s)", tally.Waiting, first.Unit, withReason(first))
	}
	if p.app.env.Width > 1 {
		line = table.Cut(line, p.app.env.Width-1)
	}
	fmt.Fprint(p.app.env.Stderr, line)
	p.drawn = true
}

// erase takes the line away that is written over.
func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.app.env.Stderr, clearLine)
	}
	p.drawn = false
}

// end leaves the terminal as it was found.
func (p *progress) end() {
	if p.drawn {
		p.erase()
		tally := p.waiter.Tally()
		p.app.notef("%d of %d done", tally.Reached, tally.Reached+tally.Failed+tally.Waiting)
	}
}

// eventLine is the line of one event; the names are padded to a width.
func eventLine(a *app, event waiter.Event, width int) string {
	state := table.Clean(event.State)
	switch event.Verdict {
	case waiter.Reached:
		state = a.paint(a.env.Stderr, styleGood, state)
	case waiter.Failed:
		state = a.paint(a.env.Stderr, styleBad, state)
	case waiter.Waiting:
		state = a.paint(a.env.Stderr, styleOf(event.State), state)
	}
	line := fmt.Sprintf("%-*s  %s", width, event.Unit, state)
	if event.Reason != "" {
		line += "   " + table.Clean(event.Reason)
	}
	return line
}

func withReason(event waiter.Event) string {
	if event.Reason == "" {
		return event.State
	}
	return event.State + ", " + table.Clean(event.Reason)
}
