package render

import (
	"text/template"
	"text/template/parse"

	"argosy/internal/cluster"
)

// roundsMax bounds how many rounds the loops of a template make in all: one that counts
// to a billion would never end, and nothing can stop it from outside.
const roundsMax = 1_000_000

// roundName is the function that each round of a loop begins with.
const roundName = "_round"

// roundNode is a call of it, as it stands in a template.
func roundNode() parse.Node {
	t := template.Must(template.New("").Funcs(template.FuncMap{roundName: func() string { return "" }}).Parse("{{" + roundName + "}}"))
	return t.Root.Nodes[0]
}

// round counts one.
func (f *filling) round() (string, error) {
	if f.rounds++; f.rounds > roundsMax {
		return "", cluster.Errorf(cluster.Invalid, "its loops make more than %d rounds", roundsMax)
	}
	return "", nil
}

// countRounds has each round of each loop counted.
func countRounds(list *parse.ListNode, round parse.Node) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.RangeNode:
			countRounds(n.List, round)
			countRounds(n.ElseList, round)
			n.List.Nodes = append([]parse.Node{round.Copy()}, n.List.Nodes...)
		case *parse.IfNode:
			countRounds(n.List, round)
			countRounds(n.ElseList, round)
		case *parse.WithNode:
			countRounds(n.List, round)
			countRounds(n.ElseList, round)
		}
	}
}
