package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/cli/contexts"
	"argosy/internal/lab"
)

func newLabDown(a *app, flags *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "End a lab and remove everything of it",
		Long:    "End a lab and remove everything of it, also what a killed run has left behind.",
		Example: "  argosy lab down\n  argosy lab down --name big",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := flags.open()
			if err != nil {
				return err
			}
			if err := l.Down(cmd.Context()); err != nil {
				return err
			}
			return a.forgetLab(l)
		},
	}
}

// forgetLab takes a lab out of the contexts, if it is there.
func (a *app) forgetLab(l *lab.Lab) error {
	path, err := contexts.Path(a.env.Getenv)
	if err != nil {
		return err
	}
	return contexts.Update(path, func(f *contexts.File) error {
		if _, err := f.Get(l.Name()); err != nil {
			return nil // was never there
		}
		return f.Remove(l.Name())
	})
}
