package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
	"argosy/internal/cli/table"
)

const contextLsLong = `List the clusters that this user's contexts file knows, and mark the current one.
"lab up" adds a lab by itself. The context "local" is always there: the daemon of
this machine.`

const contextExample = `  argosy context ls
  argosy context ls -o name`

const contextUseExample = `  argosy context use prod
  argosy context use local`

const contextShowExample = `  argosy context show
  argosy context show prod -o yaml`

func newContext(a *app) *cobra.Command {
	return newVerbGroup("context", "Choose which cluster to talk to",
		newContextLs(a), newContextUse(a), newContextShow(a), newContextRm(a))
}

func newContextLs(a *app) *cobra.Command {
	var output string
	var noLegend bool
	forms := outputs()
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the contexts",
		Long:  contextLsLong, Example: contextExample,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
			file, err := a.loadContexts()
			if err != nil {
				return err
			}
			if output == outputJSON || output == outputYAML {
				return a.encode(output, file, false)
			}
			a.printContexts(file, output, noLegend)
			return nil
		},
	}
	bindOutput(cmd, &output, forms)
	cmd.Flags().BoolVar(&noLegend, "no-legend", false, "leave out the line of titles")
	return cmd
}

func (a *app) printContexts(file contexts.File, output string, noLegend bool) {
	local := contexts.Context{Name: contexts.Local, Socket: contexts.LocalSocket}
	current := file.Current
	if current == "" {
		current = contexts.Local
	}
	var rows [][]string
	for _, c := range append([]contexts.Context{local}, file.Contexts...) {
		if output == outputName {
			a.printf("%s\n", c.Name)
			continue
		}
		mark := ""
		if c.Name == current {
			mark = "*"
		}
		rows = append(rows, []string{mark, c.Name, reachedAt(c)})
	}
	if output != outputName {
		columns := []table.Column{{Title: "CURRENT"}, {Title: "NAME"}, {Title: "REACHED AT"}}
		a.printf("%s", table.New(columns, table.Options{NoLegend: noLegend}).Text(rows))
	}
}

func reachedAt(c contexts.Context) string {
	switch {
	case c.Socket != "":
		return c.Socket
	case len(c.Command) > 0:
		return strings.Join(c.Command, " ")
	case c.Plain != "":
		return c.Plain
	}
	return strings.Join(c.Addresses, ",")
}

func newContextUse(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Make a context the current one",
		Long:  "Make a context the current one: verbs talk to its cluster from now on.", Example: contextUseExample,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts(func(f *contexts.File) error { return f.Use(args[0]) })
		},
	}
}

func newContextRm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Take a context out of the list",
		Long:  "Take a context out of the list. The cluster itself is not touched.", Example: "  argosy context rm prod",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts(func(f *contexts.File) error { return f.Remove(args[0]) })
		},
	}
}

func (a *app) changeContexts(change func(*contexts.File) error) error {
	path, err := contexts.Path(a.env.Getenv)
	if err != nil {
		return err
	}
	return contexts.Update(path, change)
}

func newContextShow(a *app) *cobra.Command {
	var output string
	forms := []string{outputName, outputJSON, outputYAML}
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show the context that verbs use now, or another",
		Long:  "Show the context that verbs use now, flags and environment counted, or another.", Example: contextShowExample,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
			if len(args) == 1 {
				a.flags.context, a.flags.socket = args[0], ""
			}
			target, err := a.target()
			if err != nil {
				return err
			}
			if output == outputName {
				a.printf("%s\n", target.Name)
				return nil
			}
			return a.encode(output, target, false)
		},
	}
	bindOutput(cmd, &output, forms)
	return cmd
}
