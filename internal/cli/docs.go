package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Markdown renders a command tree as the reference that is in
// docs/reference/cli.md. It is made from the same texts as --help, so neither
// can say what the other does not.
func Markdown(root *cobra.Command) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s: the command line\n\n", root.Name())
	text.WriteString("<!-- Made by: argosy help --markdown. Do not edit. -->\n\n")
	fmt.Fprintf(&text, "%s\n\n", root.Long)
	writeFlags(&text, "Flags of every verb", root.PersistentFlags())
	var topics []*cobra.Command
	for _, group := range root.Groups() {
		fmt.Fprintf(&text, "## %s\n\n", strings.TrimSuffix(group.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID && !cmd.Hidden {
				writeVerb(&text, cmd)
			}
		}
	}
	for _, cmd := range root.Commands() {
		if cmd.IsAdditionalHelpTopicCommand() && !cmd.Hidden {
			topics = append(topics, cmd)
		}
	}
	text.WriteString("## Topics\n\n")
	for _, topic := range topics {
		fmt.Fprintf(&text, "### %s\n\n```text\n%s\n```\n\n", topic.Name(), topic.Long)
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}

// writeVerb renders a verb, or each verb of a group of verbs.
func writeVerb(text *strings.Builder, cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		for _, child := range cmd.Commands() {
			if !child.Hidden {
				writeVerb(text, child)
			}
		}
		return
	}
	fmt.Fprintf(text, "### %s\n\n", cmd.CommandPath())
	fmt.Fprintf(text, "%s.\n\n```text\n%s\n```\n\n", cmd.Short, cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(text, "Also called: %s.\n\n", strings.Join(cmd.Aliases, ", "))
	}
	fmt.Fprintf(text, "%s\n\n", cmd.Long)
	if cmd.Example != "" {
		fmt.Fprintf(text, "```sh\n%s\n```\n\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
	}
	writeFlags(text, "Flags", cmd.LocalNonPersistentFlags())
}

// writeFlags renders flags as a list. A table would need its columns escaped.
func writeFlags(text *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(text, "%s:\n\n", title)
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(flag)
		spelling := "--" + flag.Name
		if flag.Shorthand != "" {
			spelling = "-" + flag.Shorthand + ", " + spelling
		}
		if name != "" {
			spelling += " " + name
		}
		fmt.Fprintf(text, "- `%s`: %s", spelling, usage)
		if d := flag.DefValue; d != "" && d != "false" && d != "0" && d != "[]" {
			fmt.Fprintf(text, " (default `%s`)", d)
		}
		text.WriteString("\n")
	})
	text.WriteString("\n")
}
