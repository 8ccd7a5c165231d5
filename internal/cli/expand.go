package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// expandVerbs returns the command line with every verb written out: a prefix
// that only one verb has stands for it, as with fleetctl ("list-m"). Cobra has
// the same behind a package variable; a command line of its own needs none.
// Unknown and ambiguous verbs are misuse.
func expandVerbs(root *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args, nil // a shell asks for completions of what is not complete
	}
	line := slices.Clone(args)
	cmd := root
	for i := 0; i < len(line) && cmd.HasSubCommands(); i++ {
		arg := line[i]
		if arg == "--" {
			break
		}
		if strings.HasPrefix(arg, "-") {
			if takesNext(cmd, arg) {
				i++
			}
			continue
		}
		child, err := findVerb(cmd, arg)
		if err != nil {
			return nil, &verbError{cmd.CommandPath(), err}
		}
		line[i] = child.Name()
		cmd = child
	}
	return line, nil
}

// takesNext reports whether the value of a flag is the argument after it. Before
// a verb stand the global flags, and those of the verbs that it is below of.
func takesNext(cmd *cobra.Command, arg string) bool {
	if strings.Contains(arg, "=") {
		return false
	}
	for ; cmd != nil; cmd = cmd.Parent() {
		if flag := cmd.PersistentFlags().Lookup(strings.TrimLeft(arg, "-")); flag != nil {
			return flag.NoOptDefVal == ""
		}
	}
	return false
}

// findVerb returns the child of a name, of an alias, or of a unique prefix.
func findVerb(cmd *cobra.Command, word string) (*cobra.Command, error) {
	var found []*cobra.Command
	for _, child := range cmd.Commands() {
		spellings := append([]string{child.Name()}, child.Aliases...)
		if slices.Contains(spellings, word) {
			return child, nil
		}
		matches := func(s string) bool { return strings.HasPrefix(s, word) }
		if word != "" && !child.Hidden && slices.ContainsFunc(spellings, matches) {
			found = append(found, child)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if similar := cmd.SuggestionsFor(word); len(similar) > 0 {
			return nil, misuse("%s has no verb %q; did you mean %s?", cmd.CommandPath(), word, strings.Join(similar, " or "))
		}
		return nil, misuse("%s has no verb %q", cmd.CommandPath(), word)
	}
	return nil, misuse("%q could be %s", word, names(found))
}

// names lists commands for a person.
func names(cmds []*cobra.Command) string {
	var all []string
	for _, cmd := range cmds {
		if !cmd.Hidden {
			all = append(all, cmd.Name())
		}
	}
	return strings.Join(all, ", ")
}
