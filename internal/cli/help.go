package cli

import (
	"github.com/spf13/cobra"
)

const helpExample = `  argosy help start
  argosy help unit-keys
  argosy help --markdown > docs/reference/cli.md`

// newHelp makes the verb that explains verbs and topics. Cobra's own answers a
// misspelt verb with exit code 0.
func newHelp(a *app) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:     "help [VERB|TOPIC]...",
		Short:   "Explain a verb or a topic",
		Long:    "Explain a verb or a topic, or print the whole reference.",
		Example: helpExample,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var words []string
			if len(args) == 0 {
				for _, child := range cmd.Root().Commands() {
					words = append(words, child.Name())
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if markdown {
				a.printf("%s", Markdown(cmd.Root()))
				return nil
			}
			verb := cmd.Root()
			for _, arg := range args {
				child, err := findVerb(verb, arg)
				if err != nil {
					return err
				}
				verb = child
			}
			return verb.Help()
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the reference of all verbs as Markdown")
	return cmd
}
