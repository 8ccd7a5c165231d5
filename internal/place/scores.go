package place

// score rates a node that may take a unit; more is better. To prefer some
// nodes, write one and list it in scores with its weight.
type score struct {
	name   string
	weight float64
	of     func(p *pass, u *unit, n *node) float64
}

func scores() []score {
	return []score{
		{name: "load", weight: 1, of: scoreLoad},
	}
}

// scoreLoad prefers the node with the fewest units.
func scoreLoad(_ *pass, _ *unit, n *node) float64 { return -float64(n.load) }

// score returns the weighted sum of all scores.
func (p *pass) score(u *unit, n *node) float64 {
	var sum float64
	for _, s := range p.scores {
		sum += s.weight * s.of(p, u, n)
	}
	return sum
}
