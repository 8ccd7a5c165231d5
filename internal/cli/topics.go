package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

const topicExitCodes = `Exit codes of every verb:

  0  it is done
  1  the cluster said no, or could not be reached; standard error says why
  2  the command line makes no sense; nothing was asked of the cluster
  3  the wait ended before it was done; the work goes on

"status UNIT..." has the codes of systemctl besides: 0 if all units are active, 3
if one is not, 4 if one does not exist.`

const topicEnvironment = `Which cluster a verb talks to, the first that is set:

  --socket PATH, --context NAME
  ARGOSY_SOCKET, ARGOSY_CONTEXT
  the current context of ~/.config/argosy/contexts.json (see argosy context)
  the daemon of this machine, /run/argosy/argosy.sock

Called fleetctl, --endpoint and --tunnel come after the first line, then
FLEETCTL_ENDPOINT and FLEETCTL_TUNNEL; all flags of fleetctl that every verb has
are such variables too (FLEETCTL_REQUEST_TIMEOUT).

The verbs that are about this machine (init, join, leave, reset) pass the current
context over: only a flag or the environment sends them elsewhere.

  NO_COLOR        if set, nothing is coloured
  TERM=dumb       no escape sequences at all
  XDG_CONFIG_HOME where argosy/contexts.json is, instead of ~/.config

What was asked for goes to standard output, progress to standard error. Neither
has escape sequences when it is no terminal.`

const topicUnits = `How units are named:

  hello           hello.service; a name without a type is a service
  units/a.timer   the file, if the cluster does not have the unit already
  web@1           an instance of the template web@.service
  'web@{1..3}'    web@1, web@2 and web@3 (quoted, or the shell does the same)
  '{db,web}'      db and web

start, load and submit look for a unit in the cluster, then for a file of its
name, then for its template in the cluster, then for a template file.`

// newTopics makes the topics of the help: commands that do nothing else.
func newTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes say", Long: topicExitCodes},
		{Use: "environment", Short: "Which cluster is talked to, and other settings", Long: topicEnvironment},
		{Use: "unit-names", Short: "How units are named on the command line", Long: topicUnits},
		{Use: "unit-keys", Short: "The keys of [X-Fleet] and [X-Argosy]", Long: unitKeysText()},
		{Use: "event-kinds", Short: "What the kinds of event say", Long: eventKindsText()},
	}
}

// topicWidth is how wide the texts of topics are.
const topicWidth = 80

// wrap breaks a text into indented lines.
func wrap(text, indent string, width int) string {
	var all strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && len(line)+1+len(word) > width {
			all.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return all.String() + line + "\n"
}

// eventKindsText lists the kinds of event that there are.
func eventKindsText() string {
	var text strings.Builder
	text.WriteString("The kinds of event, in the KIND column of argosy events and in \"kind\" of -o json:\n\n")
	for _, kind := range cluster.EventKinds() {
		fmt.Fprintf(&text, "  %-*s  %s\n", eventKindWidth(), kind.Kind, kind.Meaning)
	}
	text.WriteString("\n" + strings.TrimSpace(`
Each server keeps the events that it saw itself, for a day and up to 8 MiB, and
is asked for those. Two servers may have cut the same minutes into different
events, but one event has the same "id" on every server that saw it.`))
	return text.String()
}

// unitKeysText lists the keys that unitfile knows, so that the help cannot fall
// behind it.
func unitKeysText() string {
	var text strings.Builder
	text.WriteString("The keys that tell the cluster where and how to run a unit:\n")
	section := ""
	for _, key := range unitfile.Keys() {
		if key.Section != section {
			section = key.Section
			fmt.Fprintf(&text, "\n[%s]\n", section)
		}
		fmt.Fprintf(&text, "\n  %s=%s\n", key.Name, key.Form)
		meaning := key.Meaning
		if len(key.Legacy) > 0 {
			meaning += " Older spellings: " + strings.Join(key.Legacy, ", ") + "."
		}
		text.WriteString(wrap(meaning, "      ", topicWidth))
	}
	return strings.TrimRight(text.String(), "\n")
}
