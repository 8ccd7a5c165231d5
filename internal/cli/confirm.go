package cli

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// bindYes gives a verb that cannot be undone the flag that answers its question.
func bindYes(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do it without asking")
}

// confirm asks the user before something that cannot be undone. Where nobody
// can be asked, the flag is needed: a script must have said it.
func (a *app) confirm(yes bool, question string, args ...any) error {
	if yes {
		return nil
	}
	question = fmt.Sprintf(question, args...)
	if !a.env.IsTerminal(a.env.Stdin) {
		return misuse("%s Say so with --yes; there is no terminal to ask at", question)
	}
	fmt.Fprintf(a.env.Stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.env.Stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		a.notef("")
	}
	a.notef("nothing was done")
	return &exitError{code: exitRefused}
}
