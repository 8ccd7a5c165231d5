package place

import "argosy/internal/cluster"

// axis parts the nodes into failure domains by the value of a label.
type axis struct {
	label    string
	domainOf []int    // by index of the node; -1 if the node lacks the label
	names    []string // of the domains
	reached  map[*class][]int
}

// axis returns the failure domains of a label.
func (p *pass) axis(label string) *axis {
	if have := p.axes[label]; have != nil {
		return have
	}
	a := &axis{label: label, domainOf: make([]int, len(p.nodes)), reached: map[*class][]int{}}
	p.axes[label] = a
	numbers := map[string]int{}
	for i, n := range p.nodes {
		value, there := n.label(label)
		if !there {
			a.domainOf[i] = -1
			continue
		}
		number, known := numbers[value]
		if !known {
			number = len(a.names)
			numbers[value] = number
			a.names = append(a.names, value)
		}
		a.domainOf[i] = number
	}
	return a
}

// reach returns the domains that nodes of a class are in.
func (a *axis) reach(c *class) []int {
	if have, known := a.reached[c]; known {
		return have
	}
	seen := make([]bool, len(a.names))
	all := []int{}
	for _, t := range c.tiers {
		for _, n := range t.nodes {
			if domain := a.domainOf[n.index]; domain >= 0 && !seen[domain] {
				seen[domain] = true
				all = append(all, domain)
			}
		}
	}
	a.reached[c] = all
	return all
}

// spreadKey names the instances of one template, spread over one label.
type spreadKey struct {
	template cluster.UnitName
	label    string
}

// spread counts the instances of a template in each failure domain.
type spread struct {
	*axis
	counts []int
	// floor is the count of the emptiest domain that the nodes of a class are
	// in; that of another class, or after another count, is found anew.
	floor      int
	floorClass *class
}

// spreadOf returns the spread over a label that a unit is part of.
func (p *pass) spreadOf(u *unit, label string) *spread {
	key := spreadKey{u.Name.Template(), label}
	if key.template == "" {
		key.template = u.Name // it is spread over nobody
	}
	s := p.spreads[key]
	if s == nil {
		s = &spread{axis: p.axis(label)}
		s.counts = make([]int, len(s.names))
		p.spreads[key] = s
	}
	return s
}

// count notes that an instance came to a node, or left it.
func (s *spread) count(n *node, by int) {
	if domain := s.domainOf[n.index]; domain >= 0 {
		s.counts[domain] += by
		s.floorClass = nil
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
	if s.floorClass == c {
		return s.floor
	}
	s.floor, s.floorClass = -1, c
	for _, domain := range s.reach(c) {
		if s.floor < 0 || s.counts[domain] < s.floor {
			s.floor = s.counts[domain]
		}
	}
	return s.floor
}
