package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/table"
)

const statusLong = `Without units: the cluster on one page, as the node that is asked sees it, and
what is wrong with it. The exit code is 1 if the node is in no cluster, or if the
cluster has no quorum and takes no changes.

With units: each as "systemctl status" shows it, with its last lines of log, from
whichever node it runs on. The exit code is systemctl's: 0 if all are active, 3
if one is not, or is on a node that is lost and so is not known to be, 4 if one
does not exist.`

const statusExample = `  argosy status
  argosy status hello.service
  argosy status -o json`

// statusTimeout is how long the page may take when the user does not say:
// whoever asks for it may have an ill cluster, and wants to be told.
const statusTimeout = 3 * time.Second

func newStatus(a *app) *cobra.Command {
	var output string
	var lines int
	forms := []string{outputTable, outputJSON, outputYAML}
	cmd := &cobra.Command{
		Use:   "status [UNIT...]",
		Short: "Show the cluster on one page, or units in detail",
		Long:  statusLong, Example: statusExample,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.unitNames(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
			if len(args) > 0 {
				return a.unitStatus(cmd.Context(), args, output, lines)
			}
			if !cmd.Flags().Changed("timeout") {
				a.flags.timeout = statusTimeout
			}
			return a.clusterStatus(cmd.Context(), output)
		},
	}
	bindOutput(cmd, &output, forms)
	cmd.Flags().IntVarP(&lines, "lines", "n", journalLines, "show the last `N` lines of log of each unit")
	return cmd
}

func (a *app) clusterStatus(ctx context.Context, output string) error {
	b, err := a.connect(ctx)
	if err != nil {
		return err
	}
	request, cancel := a.request(ctx)
	defer cancel()
	status, err := b.Status(request)
	if err != nil {
		return err
	}
	if output != outputTable {
		if err := a.encode(output, status, false); err != nil {
			return err
		}
	} else {
		a.printPage(status)
		if status.Formed {
			a.printNodes(request, b)
		}
	}
	if !status.Formed || !status.Quorum {
		return &exitError{code: exitRefused}
	}
	return nil
}

// printPage prints the cluster on one page.
func (a *app) printPage(s wire.Status) {
	if !s.Formed {
		a.printf("This machine is in no cluster.\n")
		a.notef("hint: argosy init forms one, argosy join TOKEN joins one")
		return
	}
	now := a.env.Now()
	a.line("Cluster", "%s, formed %s", named(s.Cluster.Name, string(s.Cluster.ID)), when(s.Cluster.Created, now))
	if s.Leader == nil {
		a.line("Leader", "%s", a.paint(a.env.Stdout, styleBad, "none"))
	} else {
		a.line("Leader", "%s, term %d, since %s", named(s.LeaderName, s.Leader.Node.Short()), s.Leader.Term, when(s.Leader.Since, now))
	}
	a.line("Quorum", "%s", a.quorumText(s))
	for _, voter := range s.Voters {
		a.line("", "%s", table.Clean(voterText(voter)))
	}
	a.line("Nodes", "%d of %d ready", s.NodesReady, s.Nodes)
	a.line("Units", "%d of %d active, %d pending, %d failed", s.UnitsActive, s.Units, s.UnitsPending, s.UnitsFailed)
	a.line("Store", "%s at revision %d", byteText(s.DBSize), s.Revision)
	if s.Stale {
		a.line("Stale", "this is what was known %.0f s ago", s.Age)
	}
	if len(s.Problems) == 0 {
		a.line("Problems", "none")
	}
	for i, problem := range s.Problems {
		title := ""
		if i == 0 {
			title = "Problems"
		}
		a.line(title, "%s", a.paint(a.env.Stdout, styleBad, table.Clean(problem)))
	}
}

// line prints one line of a page: what, and what of it.
func (a *app) line(title, format string, args ...any) {
	if title != "" {
		title += ":"
	}
	a.printf("%10s %s\n", title, fmt.Sprintf(format, args...))
}

func (a *app) quorumText(s wire.Status) string {
	healthy := 0
	for _, voter := range s.Voters {
		if voter.Healthy {
			healthy++
		}
	}
	text := fmt.Sprintf("%d of %d servers healthy", healthy, len(s.Voters))
	if s.Quorum {
		return a.paint(a.env.Stdout, styleGood, "yes") + ", " + text
	}
	return a.paint(a.env.Stdout, styleBad, "no") + ", " + text + "; changes are refused, what runs keeps running"
}

func voterText(v wire.Voter) string {
	health := "healthy"
	if !v.Healthy {
		health = "ill"
	}
	if v.Error != "" {
		health += ": " + v.Error
	}
	text := fmt.Sprintf("%s  %s  %s", named(v.Name, v.Node.Short()), v.State, health)
	if v.Leader {
		text += "  (etcd's leader)"
	}
	return text
}

// printNodes prints the nodes below the page. The page is worth having without
// them, so an error is only noted.
func (a *app) printNodes(ctx context.Context, b Backend) {
	list, err := b.Nodes(ctx)
	if err != nil {
		a.notef("nodes: %s", err)
		return
	}
	l := nodeListing(a)
	f := listFlags{output: outputTable, fields: "node,role,health,address,units,problem"}
	columns, err := l.chosen(f)
	if err != nil {
		a.notef("nodes: %s", err)
		return
	}
	a.printf("\n")
	if err := newPrinter(a, f, l, columns).print(list, list.Items); err != nil {
		a.notef("nodes: %s", err)
	}
}

// named is a name with the ID behind it, or the ID alone.
func named(name, id string) string {
	if name == "" || name == id {
		return id
	}
	return name + " (" + id + ")"
}

// when is a point in time and how long it has been, as systemctl shows it.
func when(t, now time.Time) string {
	if t.Unix() <= 0 { // also systemd's word for never
		return "an unknown time"
	}
	return timeText(t) + "; " + ago(now.Sub(t))
}

// ago is a span of the past, coarse the longer it is.
func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "in the future, by this machine's clock"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dmin %ds ago", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh %dmin ago", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %dh ago", d/day, d%day/time.Hour)
}
