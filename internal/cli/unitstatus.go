package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cli/table"
	"argosy/internal/cluster"
)

// The exit codes of "status UNIT", which are those of LSB init scripts.
const (
	statusActive   = 0
	statusInactive = 3
	statusUnknown  = 4
)

// journalTimeout is how long "status" waits for the journal of one node: what
// else it knows of the unit must not wait for a node that is away.
const journalTimeout = 2 * time.Second

// unitStatus shows units as systemctl does, and ends with systemctl's exit code
// of the worst of them.
func (a *app) unitStatus(ctx context.Context, args []string, output string, lines int) error {
	names, err := parseNames(args)
	if err != nil {
		return err
	}
	b, err := a.connect(ctx)
	if err != nil {
		return err
	}
	request, cancel := a.request(ctx)
	defer cancel()
	var views []wire.UnitView
	worst := statusActive
	for _, name := range names {
		view, err := b.Unit(request, name)
		if cluster.KindOf(err) == cluster.NotFound && err != nil {
			a.notef("%s: %s", a.name, err)
			worst = max(worst, a.unknownCode())
			continue
		}
		if err != nil {
			return err
		}
		views = append(views, view)
		worst = max(worst, statusCode(view))
	}
	if output != outputTable {
		err = a.encodeUnits(output, views)
	} else {
		a.printUnits(ctx, b, views, lines)
	}
	if err == nil && worst != statusActive {
		return &exitError{code: worst}
	}
	return err
}

// unknownCode is the exit code for a unit that the cluster does not have.
func (a *app) unknownCode() int {
	if a.fleet() {
		return exitRefused // there was no systemctl to ask
	}
	return statusUnknown
}

// encodeUnits prints one unit as the API does, several as a list of such.
func (a *app) encodeUnits(output string, views []wire.UnitView) error {
	if len(views) == 1 {
		return a.encode(output, views[0], false)
	}
	return a.encode(output, views, false)
}

// statusCode is systemctl's exit code for a unit: it runs if every node that
// is to run it does.
func statusCode(view wire.UnitView) int {
	if view.Placement == nil || view.Placement.Pending() {
		return statusInactive
	}
	for _, id := range view.Placement.Nodes {
		ok := false
		for _, status := range view.Statuses {
			switch status.Active {
			case "active", "activating", "reloading", "deactivating":
				ok = ok || status.Node == id
			}
		}
		if !ok {
			return statusInactive
		}
	}
	return statusActive
}

func (a *app) printUnits(ctx context.Context, b Backend, views []wire.UnitView, lines int) {
	nodes := map[cluster.NodeID]wire.NodeView{}
	request, cancel := a.request(ctx)
	defer cancel()
	// Names are a comfort: without them the nodes are shown by their IDs.
	if list, err := b.Nodes(request); err == nil {
		note(nodes, list.Items)
	}
	for i, view := range views {
		if i > 0 {
			a.printf("\n")
		}
		a.printUnit(view, nodes)
		a.printLog(ctx, b, view, nodes, lines)
	}
}

// printUnit prints what the cluster and the nodes say of a unit.
func (a *app) printUnit(view wire.UnitView, nodes map[cluster.NodeID]wire.NodeView) {
	now := a.env.Now()
	title := string(view.Name)
	if text := description(view.Text); text != "" {
		title += " - " + table.Clean(text)
	}
	a.printf("%s\n", title)
	a.line("Wanted", "%s; file %s, submitted %s", view.Desired, hashText(view.Hash, false), when(view.Created, now))
	if p := view.Placement; p != nil {
		if p.Pending() {
			a.line("Placed", "%s since %s", a.paint(a.env.Stdout, styleWarn, "pending"), when(p.Since, now))
		} else {
			a.line("Placed", "on %s since %s", nodeNamesOf(p.Nodes, nodes), when(p.Since, now))
		}
		if p.Reason != "" {
			a.line("Reason", "%s", table.Clean(p.Reason))
		}
		if p.Retry != nil {
			a.line("Tried", "%s", triedText(*p.Retry, now))
		}
	}
	for _, status := range view.Statuses {
		a.printStatus(status, nodes, now)
	}
	if len(view.Statuses) == 0 {
		a.line("Active", "on no node")
	}
	if view.Problem != "" && !problemTold(view) {
		a.line("Problem", "%s", table.Clean(view.Problem))
	}
}

// triedText says how often the cluster tried a unit again, and when it does next.
func triedText(r cluster.Retry, now time.Time) string {
	text := "not again yet"
	switch {
	case r.Count == 1:
		text = "again once, " + when(r.Last, now)
	case r.Count > 1:
		text = fmt.Sprintf("again %d times, last %s", r.Count, when(r.Last, now))
	}
	if !r.Due.IsZero() {
		text += ", next in " + max(r.Due.Sub(now), 0).Round(time.Second).String()
	}
	return text
}

// problemTold reports whether the problem of a unit stands in what was printed of it
// already: the reason of its placement, or the problem of one of its nodes.
func problemTold(view wire.UnitView) bool {
	if view.Placement != nil && view.Problem == view.Placement.Reason {
		return true
	}
	return slices.ContainsFunc(view.Statuses, func(s cluster.Status) bool {
		return s.Problem != "" && strings.HasPrefix(view.Problem, s.Problem)
	})
}

func (a *app) printStatus(s cluster.Status, nodes map[cluster.NodeID]wire.NodeView, now time.Time) {
	on := nodeNamesOf([]cluster.NodeID{s.Node}, nodes)
	if s.Active == "" || s.Active == cluster.ActiveUnknown {
		a.line("Active", "%s on %s", a.paint(a.env.Stdout, styleWarn, cluster.ActiveUnknown), on)
	} else {
		state := a.paint(a.env.Stdout, styleOf(s.Active), fmt.Sprintf("%s (%s)", s.Active, s.Sub))
		a.line("Active", "%s on %s since %s", state, on, when(s.Since, now))
	}
	if s.Load != "" && s.Load != "loaded" {
		a.line("Load", "%s", s.Load)
	}
	if s.Result != "" && s.Result != "success" {
		result := s.Result
		if s.ExitCode != 0 {
			result += fmt.Sprintf(", status %d", s.ExitCode)
		}
		a.line("Result", "%s", result)
	}
	if s.MainPID != 0 {
		a.line("Main PID", "%d", s.MainPID)
	}
	if s.Problem != "" {
		a.line("Problem", "%s", table.Clean(s.Problem))
	}
}

// printLog prints the last lines of a unit from every node that has it: those
// that the node reported with a failure, or else from its journal.
func (a *app) printLog(ctx context.Context, b Backend, view wire.UnitView, nodes map[cluster.NodeID]wire.NodeView, lines int) {
	if lines <= 0 {
		return
	}
	for _, status := range view.Statuses {
		log, err := status.Log[max(0, len(status.Log)-lines):], error(nil)
		if len(log) == 0 {
			log, err = lastLines(ctx, b, client.JournalQuery{Unit: view.Name, Node: status.Node, Lines: lines})
		}
		if len(log) > 0 {
			a.printf("\n")
		}
		for _, line := range log {
			if len(view.Statuses) > 1 {
				line = nodeNamesOf([]cluster.NodeID{status.Node}, nodes) + ": " + line
			}
			a.printf("%s\n", table.Clean(line))
		}
		if err != nil {
			a.notef("journal on %s: %s", nodeNamesOf([]cluster.NodeID{status.Node}, nodes), err)
		}
	}
}

func lastLines(ctx context.Context, b Backend, query client.JournalQuery) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	var lines []string
	err := b.Journal(ctx, query, func(line string) error {
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func nodeNamesOf(ids []cluster.NodeID, nodes map[cluster.NodeID]wire.NodeView) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		name := id.Short()
		if node, ok := nodes[id]; ok {
			name = node.Name
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
