package place

// PlanLookingAt plans as Plan does, but looks at nodes one by one if a unit may
// have that many of them or fewer.
func PlanLookingAt(few int, in Input) Proposal {
	p := newPass(in)
	p.few = few
	p.run()
	return p.proposal()
}
