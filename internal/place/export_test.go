package place

// PlanBy plans as Plan does, but looks at nodes one by one if a unit may have
// that many of them or fewer, and at the units of a group, and, if allTurns is
// set, asks each unit in its turn though nothing has changed.
func PlanBy(fewNodes, fewUnits int, allTurns bool, in Input) Proposal {
	p := newPassBy(shortcuts{fewNodes, fewUnits, allTurns}, in)
	p.run()
	return p.proposal()
}
