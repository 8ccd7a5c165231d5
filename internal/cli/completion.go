package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
	"argosy/internal/cluster"
)

const completionLong = `Print a script that makes a shell complete verbs, flags, and the names of units
and nodes of the cluster.`

const completionExample = `  argosy completion bash > /etc/bash_completion.d/argosy
  source <(argosy completion zsh)
  argosy completion fish > ~/.config/fish/completions/argosy.fish`

// completionTimeout is how long a shell waits for the cluster at a Tab.
const completionTimeout = time.Second

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print a completion script for a shell",
		Long:      completionLong,
		Example:   completionExample,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(a.env.Stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(a.env.Stdout)
			default:
				return cmd.Root().GenFishCompletion(a.env.Stdout, true)
			}
		},
	}
}

// completer proposes words for an argument or the value of a flag.
type completer = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// complete gives a flag of a verb its proposals.
func complete(cmd *cobra.Command, flag string, propose completer) {
	if err := cmd.RegisterFlagCompletionFunc(flag, propose); err != nil {
		panic(err) // the flag was just defined; the tests build every verb
	}
}

func fixedValues(values []string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// unitNames proposes the units of the cluster, and files too if the verb takes
// files.
func (a *app) unitNames(files bool) completer {
	directive := cobra.ShellCompDirectiveNoFileComp
	if files {
		directive = cobra.ShellCompDirectiveDefault
	}
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		names := ask(cmd.Context(), a, func(ctx context.Context, b Backend) ([]string, error) {
			list, err := b.Units(ctx)
			var names []string
			for _, unit := range list.Items {
				names = append(names, string(unit.Name))
			}
			return names, err
		})
		return names, directive
	}
}

// templateNames proposes the templates of the cluster, for the first argument.
func (a *app) templateNames(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := a.unitNames(false)(cmd, args, word)
	return slices.DeleteFunc(names, func(name string) bool { return !cluster.UnitName(name).IsTemplate() }), directive
}

// nodeNames proposes the nodes of the cluster.
func (a *app) nodeNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	names := ask(cmd.Context(), a, func(ctx context.Context, b Backend) ([]string, error) {
		list, err := b.Nodes(ctx)
		var names []string
		for _, node := range list.Items {
			names = append(names, node.Name)
		}
		return names, err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// unitAndNodeNames proposes both.
func (a *app) unitAndNodeNames(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	units, directive := a.unitNames(false)(cmd, args, begun)
	nodes, _ := a.nodeNames(cmd, args, begun)
	return append(units, nodes...), directive
}

// allContextNames proposes every context, the one that is always there included.
func (a *app) allContextNames(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.contextNames(cmd, args, begun)
	return append([]string{contexts.Local}, names...), directive
}

// contextNames proposes the contexts of the contexts file.
func (a *app) contextNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if file, err := a.loadContexts(); err == nil {
		for _, c := range file.Contexts {
			names = append(names, c.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// ask asks the cluster for names. Whoever presses Tab wants no error messages:
// without an answer there are no proposals.
func ask(ctx context.Context, a *app, names func(context.Context, Backend) ([]string, error)) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	b, err := a.connect(ctx)
	if err != nil {
		return nil
	}
	all, err := names(ctx, b)
	if err != nil {
		return nil
	}
	return all
}
