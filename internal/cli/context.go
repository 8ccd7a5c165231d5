package cli

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
)

const contextLsLong = `List the clusters that this user's contexts file knows, and mark the current one.
"lab up" adds a lab by itself. The context "local" is always there: the daemon of
this machine.`

const contextExample = `  argosy context ls
  argosy context ls -o name
  argosy context ls -o wide`

const contextUseExample = `  argosy context use prod
  argosy context use local`

const contextShowExample = `  argosy context show
  argosy context show prod -o yaml`

func newContext(a *app) *cobra.Command {
	return newVerbGroup("context", "Choose which cluster to talk to",
		newContextLs(a), newContextUse(a), newContextShow(a), newContextRm(a))
}

func newContextLs(a *app) *cobra.Command {
	var f listFlags
	l := contextListing(a)
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the contexts",
		Long:  contextLsLong, Example: contextExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd.Context(), a, f, l) },
	}
	bindList(cmd, &f, l)
	return cmd
}

// contextRow is a context as it is listed.
type contextRow struct {
	contexts.Context
	mark string // of the current one
	gone bool
}

func contextListing(a *app) listing[contextRow] {
	text := func(value func(contextRow) string) func(contextRow, bool) string {
		return func(c contextRow, _ bool) string { return value(c) }
	}
	return listing[contextRow]{
		columns: []column[contextRow]{
			{"current", false, text(func(c contextRow) string { return c.mark })},
			{"name", false, text(func(c contextRow) string { return c.Name })},
			{"reached-at", true, text(func(c contextRow) string {
				if c.gone {
					return "gone"
				}
				return reachedAt(c.Context)
			})},
			{"kind", false, text(func(c contextRow) string { return reachedBy(c.Context) })},
			{"certificate", true, text(func(c contextRow) string { return c.Certificate })},
		},
		fields: "current,name,reached-at",
		wide:   "current,name,kind,reached-at,certificate",
		name:   func(c contextRow) string { return c.Name },
		here: func() (any, []contextRow, error) {
			file, err := a.loadContexts()
			return file, contextRows(file), err
		},
		gone: func(c contextRow) contextRow { return contextRow{Context: contexts.Context{Name: c.Name}, gone: true} },
	}
}

// contextRows returns the contexts of a file behind the one that is always there.
func contextRows(file contexts.File) []contextRow {
	current := cmp.Or(file.Current, contexts.Local)
	local := contexts.Context{Name: contexts.Local, Socket: contexts.LocalSocket}
	var rows []contextRow
	for _, c := range append([]contexts.Context{local}, file.Contexts...) {
		row := contextRow{Context: c}
		if c.Name == current {
			row.mark = "*"
		}
		rows = append(rows, row)
	}
	return rows
}

// reachedBy says in a word how a context is reached.
func reachedBy(c contexts.Context) string {
	switch {
	case c.Socket != "":
		return "socket"
	case len(c.Command) > 0:
		return "command"
	case c.Plain != "":
		return "forwarder"
	case len(c.Addresses) > 0:
		return "servers"
	}
	return ""
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
		ValidArgsFunction: a.allContextNames,
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
		ValidArgsFunction: a.allContextNames,
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
