package cli

import (
	"io"

	"github.com/spf13/cobra"

	"argosy/internal/cluster"
)

const catLong = `Print the text of a unit as the cluster has it, byte for byte.`

const catExample = `  argosy cat hello.service
  argosy cat web@1 > web.service`

func newCat(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cat UNIT",
		Short: "Print the text of a unit",
		Long:  catLong, Example: catExample,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.unitNames(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseName(args[0])
			if err != nil {
				return err
			}
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			request, cancel := a.request(cmd.Context())
			defer cancel()
			view, err := b.Unit(request, name)
			if err != nil {
				return err
			}
			_, err = io.WriteString(a.env.Stdout, view.Text)
			return err
		},
	}
}

// parseName takes an argument that names exactly one unit.
func parseName(arg string) (cluster.UnitName, error) {
	names, err := parseNames([]string{arg})
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", misuse("%s: this verb takes one unit", arg)
	}
	return names[0], nil
}
