package place

import "slices"

// demands are what a unit asks of others. The instances of a template share
// them, and so do all units that ask nothing, which most do.
type demands struct {
	conflicts, replaces, near, wantNear, wantAway []*glob
	axes                                          []*axis   // the labels of Spread
	spreads                                       []*spread // the units that are counted together, on each axis
}

// relate builds the indexes over what units demand of each other.
func (p *pass) relate() {
	var last *unit // that demanded anything
	for _, u := range p.units {
		if u.asks() {
			p.weakest, p.strongest = min(p.weakest, u.spec.Priority), max(p.strongest, u.spec.Priority)
		}
		for _, name := range u.spec.MachineOf {
			u.peers = append(u.peers, p.find(name))
		}
		if !u.demanding() {
			continue
		}
		if last != nil && demandAlike(u, last) {
			u.demands = last.demands
		} else {
			u.demands = p.demandsOf(u)
		}
		last = u
		for _, glob := range u.conflicts {
			glob.conflicting.units = append(glob.conflicting.units, u)
		}
		for _, glob := range u.replaces {
			glob.replacing.units = append(glob.replacing.units, u)
		}
	}
	p.findMet()
}

// demanding reports whether a unit asks anything of others by globs or labels.
func (u *unit) demanding() bool {
	s := u.spec
	return len(s.Conflicts)+len(s.Replaces)+len(s.Away)+len(s.Near)+len(s.Spread) > 0
}

// demandAlike reports whether two units ask the same of others, as instances of
// a template do. Those of different templates are not spread together.
func demandAlike(a, b *unit) bool {
	s, t := a.spec, b.spec
	if len(s.Spread) > 0 && !a.Name.Sibling(b.Name) {
		return false
	}
	return s == t || slices.Equal(s.Conflicts, t.Conflicts) && slices.Equal(s.Replaces, t.Replaces) &&
		slices.Equal(s.Away, t.Away) && slices.Equal(s.Near, t.Near) && slices.Equal(s.Spread, t.Spread)
}

// demandsOf finds out what a unit asks of others.
func (p *pass) demandsOf(u *unit) *demands {
	s := u.spec
	d := &demands{}
	for _, text := range s.Conflicts {
		d.conflicts = append(d.conflicts, p.globs.of(text))
	}
	for _, text := range s.Replaces {
		d.replaces = append(d.replaces, p.globs.of(text))
	}
	for _, away := range s.Away {
		if glob := p.globs.of(away.Glob); away.Soft {
			d.wantAway = append(d.wantAway, glob)
		} else {
			d.conflicts = append(d.conflicts, glob)
		}
	}
	for _, near := range s.Near {
		if glob := p.globs.of(near.Glob); near.Soft {
			d.wantNear = append(d.wantNear, glob)
		} else {
			d.near = append(d.near, glob)
		}
	}
	for _, domain := range s.Spread {
		d.axes = append(d.axes, p.axis(domain.Label))
		d.spreads = append(d.spreads, p.spreadOf(u, domain.Label))
	}
	return d
}
