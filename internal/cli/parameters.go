package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/unitfile"
)

const parametersLong = `Change what is to be known of a service that a unit publishes: the parameters
after the port in its Publish= (weight=, version=, role= or whatever those who
use it look for). All nodes know within moments; the unit itself, which runs, is
not touched. KEY- gives a parameter back to the file.

What is set here counts until the unit is given another text, which says it anew.`

const parametersExample = `  argosy parameters web@2 weight=0
  argosy parameters web@2 weight-
  argosy parameters db.service role=primary --service=sql`

func newParameters(a *app) *cobra.Command {
	var service string
	cmd := &cobra.Command{
		Use:   "parameters UNIT KEY=VALUE|KEY-...",
		Short: "Change the parameters of a service that a unit publishes",
		Long:  parametersLong, Example: parametersExample,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.unitNames(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parseName(args[0])
			if err != nil {
				return err
			}
			parameters, err := parseParameters(args[1:])
			if err != nil {
				return err
			}
			b, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			request, cancel := a.request(cmd.Context())
			defer cancel()
			answer, err := b.PatchParameters(request, name, wire.ParametersPatch{Service: service, Parameters: parameters})
			if err != nil {
				return err
			}
			a.noteOutcomes(answer.Units)
			return nil
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "the service that is meant, of a unit that publishes several")
	return cmd
}

// parseParameters reads KEY=VALUE and KEY-; nil takes a parameter away.
func parseParameters(args []string) (map[string]*string, error) {
	parameters := map[string]*string{}
	for _, arg := range args {
		key, value, set := strings.Cut(arg, "=")
		parameter := &value
		if !set {
			parameter = nil
			if key, set = strings.CutSuffix(arg, "-"); !set {
				return nil, misuse("%q is no parameter: use KEY=VALUE, or KEY- to give it back to the file", arg)
			}
		}
		if _, twice := parameters[key]; twice || !unitfile.IsLabelKey(key) {
			return nil, misuse("%q: use each key once, of letters, digits, '_', '.', '-' and '/'", key)
		}
		parameters[key] = parameter
	}
	return parameters, nil
}
