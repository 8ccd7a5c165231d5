package cli

import (
	"context"

	"github.com/spf13/cobra"

	"argosy/internal/api/client"
	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

const journalLong = `Print the last lines of a unit's journal, from whichever node it runs on. The
lines come through the cluster's API; no ssh is needed. With -f the verb goes on
until it is interrupted.`

const journalExample = `  argosy journal hello.service
  argosy journal -n 100 hello.service
  argosy journal -f --node node-2 hello.service
  argosy journal -o json hello.service`

// journalLines is how many lines are shown if the user does not say.
const journalLines = 10

// fleetForm is the form of the lines if the user of fleetctl does not say.
const fleetForm = "short"

func newJournal(a *app) *cobra.Command {
	var query client.JournalQuery
	var node string
	cmd := &cobra.Command{
		Use:   "journal UNIT",
		Short: "Print the last lines of a unit's journal",
		Long:  journalLong, Example: journalExample,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.unitNames(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if query.Unit, err = parseName(args[0]); err != nil {
				return err
			}
			if query.Lines < 0 {
				return misuse("-n %d: there is no such number of lines", query.Lines)
			}
			if err := systemd.CheckJournalForm(query.Form); err != nil {
				return misuse("--output: %s", err)
			}
			return a.journal(cmd.Context(), query, node)
		},
	}
	flags := cmd.Flags()
	flags.IntVarP(&query.Lines, "lines", "n", journalLines, "begin with the last `N` lines")
	flags.BoolVarP(&query.Follow, "follow", "f", false, "go on with new lines, until interrupted")
	flags.StringVar(&node, "node", "", "the journal of this `node`, by name or ID")
	complete(cmd, "node", a.nodeNames)
	form := systemd.JournalShortISO
	if a.fleet() {
		form = fleetForm
	}
	flags.StringVarP(&query.Form, "output", "o", form, "the `form` of the lines, as journalctl has it: cat, json, …")
	complete(cmd, "output", fixedValues(systemd.JournalForms()))
	return cmd
}

func (a *app) journal(ctx context.Context, query client.JournalQuery, node string) error {
	b, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if node != "" {
		request, cancel := a.request(ctx)
		view, err := findNode(request, b, node)
		cancel()
		if err != nil {
			return err
		}
		query.Node = view.ID
	}
	stream, cancel := ctx, context.CancelFunc(func() {})
	if !query.Follow {
		stream, cancel = a.request(ctx)
	}
	defer cancel()
	err = b.Journal(stream, query, func(line string) error {
		if query.Form != systemd.JournalExport { // that has no lines
			line += "\n"
		}
		a.printf("%s", line)
		return nil
	})
	switch {
	case query.Follow && ctx.Err() != nil:
		return nil // the user has seen enough
	case query.Follow && err == nil:
		return cluster.Errorf(cluster.Unavailable, "the journal of %s ended", query.Unit).
			WithHint("the unit may have moved to another node: call the verb again")
	}
	return err
}
