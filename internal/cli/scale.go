package cli

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

const scaleLong = `Make the instances of a template so many: web@1, web@2 and so on are made from
the template's text in the cluster and launched as far as they are not, and those
of greater numbers are destroyed. Numbers are stable; instances that are not
called by a number stay as they are. The verb waits until all that are wanted are
active, and the others are gone.

"start TEMPLATE" makes as many as Replicas= in its [X-Argosy] says.`

const scaleExample = `  argosy scale web@ 5
  argosy scale web@.service 0`

func newScale(a *app) *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:   "scale TEMPLATE N",
		Short: "Make the instances of a template so many",
		Long:  scaleLong, Example: scaleExample,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.templateNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, err := wait.limit(cmd)
			if err != nil {
				return err
			}
			template, err := parseName(args[0])
			if err != nil {
				return err
			}
			replicas, err := strconv.Atoi(args[1])
			if err != nil || replicas < 0 {
				return misuse("%q is no number of instances", args[1])
			}
			return a.scale(cmd, wire.ScaleRequest{Template: template, Replicas: replicas}, wait.noBlock, limit)
		},
	}
	wait.bind(a, cmd)
	return cmd
}

func (a *app) scale(cmd *cobra.Command, req wire.ScaleRequest, noBlock bool, limit time.Duration) error {
	ctx := cmd.Context()
	b, err := a.connect(ctx)
	if err != nil {
		return err
	}
	request, cancel := a.request(ctx)
	defer cancel()
	list, err := b.Units(request)
	if err != nil {
		return err
	}
	before := map[cluster.UnitName]wire.UnitView{}
	for _, view := range list.Items {
		if view.Name.Template() == req.Template {
			before[view.Name] = view
		}
	}
	answer, err := b.Scale(request, req)
	if err != nil {
		return err
	}
	a.noteOutcomes(answer.Units)
	if noBlock {
		return nil
	}
	var wanted, gone []wire.Outcome
	for _, o := range answer.Units {
		if o.Done == "destroyed" {
			gone = append(gone, o)
		} else {
			wanted = append(wanted, o)
		}
	}
	if err := a.await(ctx, b, waiter.New(waiter.Launched, answer.Revision, awaited(wanted, before)), limit); err != nil {
		return err
	}
	return a.await(ctx, b, waiter.New(waiter.Destroyed, answer.Revision, awaited(gone, before)), limit)
}

// replicasOf returns how many instances of a template its text asks for.
func replicasOf(name cluster.UnitName, text string) int {
	file, err := unitfile.Parse(string(name), []byte(text))
	if err != nil {
		return 0 // what is wrong is said where the text is checked
	}
	placing, _ := unitfile.PlacingOf(name, file)
	return placing.Replicas
}
