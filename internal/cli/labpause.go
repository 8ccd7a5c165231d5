package cli

import (
	"github.com/spf13/cobra"

	"argosy/internal/lab"
)

func newLabPause(_ *app, flags *labFlags) *cobra.Command {
	return labNodeVerb(flags, "pause", "Stop every process of a node where it is", (*lab.Node).Pause)
}
