package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"argosy/internal/lab"
)

const labLsLong = `List the labs of this machine and their nodes, or those of the lab that --name
names.`

const labLsExample = `  argosy lab ls
  argosy lab ls --name big -o name
  argosy lab ls -w`

func newLabLs(a *app, flags *labFlags) *cobra.Command {
	var f listFlags
	var only string // the lab that was named
	l := labListing(flags, &only)
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the labs and their nodes",
		Long:  labLsLong, Example: labLsExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("name") {
				only = flags.name
			}
			return show(cmd.Context(), a, f, l)
		},
	}
	bindList(cmd, &f, l)
	return cmd
}

// labRow is a node of a lab; one without a name stands for a lab whose record
// is damaged.
type labRow struct {
	Lab     string   `json:"lab"`
	Node    string   `json:"node,omitempty"`
	Address string   `json:"address,omitempty"`
	Power   string   `json:"power"`
	Cuts    []string `json:"cuts,omitempty"` // lines that are cut, as "lab heal" takes them
	ID      string   `json:"id,omitempty"`
	Init    int      `json:"init,omitempty"` // its systemd, as this machine counts processes
	Socket  string   `json:"socket,omitempty"`
}

// labRows is what "-o json" prints.
type labRows struct {
	Items []labRow `json:"items"`
}

func labListing(flags *labFlags, only *string) listing[labRow] {
	text := func(value func(labRow) string) func(labRow, bool) string {
		return func(r labRow, _ bool) string { return value(r) }
	}
	return listing[labRow]{
		columns: []column[labRow]{
			{"lab", true, text(func(r labRow) string { return r.Lab })},
			{"node", false, text(func(r labRow) string { return r.Node })},
			{"address", false, text(func(r labRow) string { return r.Address })},
			{"power", true, text(func(r labRow) string { return r.Power })},
			{"cuts", true, text(func(r labRow) string { return strings.Join(r.Cuts, " ") })},
			{"id", false, text(func(r labRow) string { return r.ID })},
			{"init", false, text(func(r labRow) string { return numberText(r.Init) })},
			{"socket", true, text(func(r labRow) string { return r.Socket })},
		},
		fields: "lab,node,address,power,cuts",
		wide:   "lab,node,address,power,cuts,id,init,socket",
		name:   func(r labRow) string { return r.Node },
		key:    func(r labRow) string { return r.Lab + "/" + r.Node },
		here: func() (any, []labRow, error) {
			rows, err := readLabs(flags.stateDir, *only)
			return labRows{rows}, rows, err
		},
		gone: func(r labRow) labRow { return labRow{Lab: r.Lab, Node: r.Node, Power: "gone"} },
	}
}

// readLabs returns the nodes of all labs, or of one.
func readLabs(stateDir, only string) ([]labRow, error) {
	labs, err := lab.List(stateDir)
	rows := []labRow{}
	for _, l := range labs {
		if only != "" && l.Name() != only {
			continue
		}
		nodes, err := l.Nodes()
		if err != nil {
			rows = append(rows, labRow{Lab: l.Name(), Power: "damaged: argosy lab down --name " + l.Name()})
			continue
		}
		cuts, err := l.Cuts()
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			rows = append(rows, labRow{
				Lab: l.Name(), Node: n.Name(), Address: n.Address().String(), Power: string(n.Power()),
				Cuts: cutsAt(n.Name(), cuts), ID: string(n.MachineID()), Init: n.Init(), Socket: n.Socket(),
			})
		}
	}
	return rows, err
}

// cutsAt returns the cut lines that end at a node.
func cutsAt(node string, cuts []string) []string {
	number := strings.TrimPrefix(node, "node-")
	var at []string
	for _, line := range cuts {
		ends := strings.FieldsFunc(strings.TrimPrefix(line, "node-"), func(r rune) bool { return r == ':' || r == '>' })
		if slices.Contains(ends, number) {
			at = append(at, line)
		}
	}
	return at
}
