package place

import "argosy/internal/cluster"

// spreadKey names the instances of one template, spread over one label.
type spreadKey struct {
	template cluster.UnitName
	label    string
}

// spread counts the instances of a template in each failure domain.
type spread struct {
	label    string
	domainOf []int    // by index of the node; -1 if the node lacks the label
	names    []string // of the domains
	counts   []int
	version  int // grows with each change of counts
	floors   map[*class]floor
}

// floor is the count of the emptiest domain that a class of nodes reaches.
type floor struct{ version, count int }

// joinSpreads makes a unit part of the spreads that it names.
func (p *pass) joinSpreads(u *unit) {
	for _, d := range u.spec.Spread {
		key := spreadKey{u.Name.Template(), d.Label}
		if key.template == "" {
			key.template = u.Name // it is spread over nobody
		}
		if p.spreads[key] == nil {
			p.spreads[key] = p.newSpread(d.Label)
		}
		u.spreads = append(u.spreads, p.spreads[key])
	}
}

func (p *pass) newSpread(label string) *spread {
	s := &spread{label: label, domainOf: make([]int, len(p.nodes)), floors: map[*class]floor{}}
	numbers := map[string]int{}
	for i, n := range p.nodes {
		value, there := n.label(label)
		if !there {
			s.domainOf[i] = -1
			continue
		}
		number, known := numbers[value]
		if !known {
			number = len(s.names)
			numbers[value] = number
			s.names = append(s.names, value)
		}
		s.domainOf[i] = number
	}
	s.counts = make([]int, len(s.names))
	return s
}

// count notes that an instance came to a node, or left it.
func (s *spread) count(n *node, by int) {
	if domain := s.domainOf[n.index]; domain >= 0 {
		s.counts[domain] += by
		s.version++
	}
}

// on returns how many instances are in the node's domain; there is none if the
// node lacks the label.
func (s *spread) on(n *node) (count int, there bool) {
	domain := s.domainOf[n.index]
	if domain < 0 {
		return 0, false
	}
	return s.counts[domain], true
}

// least returns how many instances are in the emptiest of the domains that the
// nodes of a class are in.
func (s *spread) least(c *class) int {
	if have, known := s.floors[c]; known && have.version == s.version {
		return have.count
	}
	least := -1
	for _, domain := range c.domains(s) {
		if least < 0 || s.counts[domain] < least {
			least = s.counts[domain]
		}
	}
	s.floors[c] = floor{s.version, least}
	return least
}
