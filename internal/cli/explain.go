package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/cli/table"
	"argosy/internal/place"
)

const explainLong = `Say why a unit is where it is, or is nowhere: which nodes may take it, what
keeps it from the others, and what would have to change. The best node comes
first; "-o wide" shows every filter, and what the choice among those that fit
goes by, from left to right: the weight of the preferences that are met, the
instances in the same domain (fewer are better), wishes for neighbours, the share
that would be promised, and the number of units.

Of a unit that is inactive it says where it would go.`

const explainExample = `  argosy explain web@1
  argosy explain web@1 -o wide
  argosy explain web@1 -o json`

func newExplain(a *app) *cobra.Command {
	var output string
	var noLegend bool
	forms := []string{outputTable, outputWide, outputJSON, outputYAML}
	cmd := &cobra.Command{
		Use:   "explain UNIT",
		Short: "Say why a unit is where it is, node by node",
		Long:  explainLong, Example: explainExample,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.unitNames(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, forms); err != nil {
				return err
			}
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
			explanation, err := b.Explain(request, name)
			if err != nil {
				return err
			}
			if output == outputJSON || output == outputYAML {
				return a.encode(output, explanation, false)
			}
			a.printExplanation(explanation, output == outputWide, noLegend)
			return nil
		},
	}
	bindOutput(cmd, &output, forms)
	cmd.Flags().BoolVar(&noLegend, "no-legend", false, "leave out the line of titles")
	return cmd
}

func (a *app) printExplanation(e place.Explanation, wide, noLegend bool) {
	a.printf("%s: %s\n", e.Unit, table.Clean(e.Summary))
	if len(e.Nodes) == 0 {
		return
	}
	columns := []table.Column{{Title: "NODE"}, {Title: "HERE"}, {Title: "FITS"}}
	if wide {
		columns = append(columns, table.Column{Title: "PREFERRED"}, table.Column{Title: "CROWD"}, table.Column{Title: "WISHES"}, table.Column{Title: "PROMISED"})
	}
	columns = append(columns, table.Column{Title: "UNITS"})
	if wide {
		for _, c := range e.Nodes[0].Checks {
			columns = append(columns, table.Column{Title: strings.ToUpper(c.Filter), Flexible: true})
		}
	} else {
		columns = append(columns, table.Column{Title: "WHY NOT", Flexible: true})
	}
	var rows [][]string
	for _, n := range e.Nodes {
		rows = append(rows, verdictRow(n, wide))
	}
	a.printf("\n%s", table.New(columns, table.Options{NoLegend: noLegend, Width: a.env.Width}).Text(rows))
	if len(e.Changes) > 0 {
		a.printf("\nWould fit, but for one thing:\n")
	}
	for _, c := range e.Changes {
		a.printf("  %s: %s\n", strings.Join(c.Nodes, ", "), table.Clean(adviceText(c)))
	}
}

// verdictRow is one node of an explanation.
func verdictRow(n place.NodeVerdict, wide bool) []string {
	row := []string{n.Name, yesText(n.Placed, ""), yesText(n.OK, "no")}
	if wide {
		row = append(row, strconv.Itoa(n.Preferred), strconv.Itoa(n.Crowd), strconv.Itoa(n.Wishes), fmt.Sprintf("%.0f%%", 100*n.Share))
	}
	row = append(row, strconv.Itoa(n.Load))
	var against []string
	for _, c := range n.Checks {
		if wide {
			row = append(row, yesText(c.OK, c.Why))
		} else if !c.OK {
			against = append(against, c.Why)
		}
	}
	if !wide {
		row = append(row, strings.Join(against, "; "))
	}
	return row
}

func yesText(yes bool, otherwise string) string {
	if yes {
		return "yes"
	}
	return otherwise
}

// adviceText says what keeps a unit from a node, and what would help.
func adviceText(c place.WouldFit) string {
	advice := map[string]string{
		"health":          "it takes units again once it is heard of",
		"MachineMetadata": "argosy node label NODE KEY=VALUE",
		"Require":         "argosy node label NODE KEY=VALUE",
		"MachineOf":       "the unit follows that one",
		"Near":            "the unit follows those",
		"Conflicts":       "stop or move that unit",
		"CPU":             "ask for less, stop units there, or give this one a higher Priority=",
		"Memory":          "ask for less, stop units there, or give this one a higher Priority=",
		"Spread":          "a leading - makes a wish of it: Spread=-LABEL",
	}
	if help := advice[c.Filter]; help != "" {
		return c.Why + " (" + help + ")"
	}
	return c.Why
}
