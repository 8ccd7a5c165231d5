package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/lab"
)

func newLabResume(_ *app, flags *labFlags) *cobra.Command {
	return labNodeVerb(flags, "resume", "Let a paused node go on", (*lab.Node).Resume)
}
