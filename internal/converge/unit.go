package converge

import (
	"fmt"
	"slices"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// decideUnit decides one unit; want is nil if it is not to be here.
func decideUnit(want *cluster.Assignment, seen systemd.Unit, known Known, in Input) Decision {
	if foreign(seen) {
		return decideForeign(want, seen)
	}
	var d Decision
	if want == nil {
		d = decideUnwanted(seen, known)
	} else {
		d = decideWanted(*want, seen, known, in.Sick[seen.Name])
		if len(d.Steps) == 0 {
			d = giveUp(d, seen, in)
		}
	}
	d.Stops = slices.ContainsFunc(d.Steps, func(s Step) bool { return s.Kind.Stops() })
	if len(d.Steps) == 0 || known.Trouble == nil {
		return d
	}
	return afterTrouble(d, want, *known.Trouble, in.Now)
}

// A systemd that starts many units again and again answers only between two
// rounds of starts, and the time that a round takes keeps each of them below its
// StartLimitBurst=: it would go on for ever, and nothing else would start. So
// when it answers later than lagMax, what has reached its limit, however long
// that took, has started again of late, and will before the next answer, is
// stopped.
const (
	lagMax        = 2 * time.Second
	ofLate        = time.Minute
	startLimitMax = 5 // systemd's own default; also for units that set no limit
)

// giveUp stops a unit that is settled, but for its starting again and again.
func giveUp(d Decision, seen systemd.Unit, in Input) Decision {
	before, looked := in.Restarting[seen.Name]
	again := looked && in.Now.Sub(before.at) <= ofLate && seen.AutoRestarts > before.restarts
	if in.Lag < lagMax || seen.Active != "activating" || seen.AutoRestarts < startLimit(seen) || seen.RestartDelay >= in.Lag || !again {
		return d
	}
	p := planner{unit: seen.Name}
	p.add(GiveUp, fmt.Sprintf("systemd started it again %d times, and took %s to say so", seen.AutoRestarts, in.Lag.Round(time.Millisecond)))
	return Decision{Steps: p.steps}
}

// startLimit is how often a unit may start while systemd is late.
func startLimit(seen systemd.Unit) int {
	if seen.StartLimit > 0 {
		return min(seen.StartLimit, startLimitMax)
	}
	return startLimitMax
}

// foreign reports whether the name belongs to the host: systemd knows it, and
// not from a file of ours.
func foreign(seen systemd.Unit) bool {
	return !seen.Ours && seen.Load != "" && seen.Load != "not-found"
}

func decideForeign(want *cluster.Assignment, seen systemd.Unit) Decision {
	if want == nil {
		return Decision{Gone: true}
	}
	return Decision{Problem: fmt.Sprintf("name belongs to the host's own unit %s (%s), which is never touched", seen.Name, seen.Load)}
}

// decideUnwanted takes a unit of ours away: process, file, and what systemd
// remembers of its failure.
func decideUnwanted(seen systemd.Unit, known Known) Decision {
	const reason = "not placed on this node any more"
	p := planner{unit: seen.Name}
	if up(seen) || known.Asked != nil {
		p.add(Stop, reason)
	}
	if seen.FileHash != "" {
		p.add(Remove, reason)
	}
	if seen.Active == "failed" {
		p.add(ResetFailed, reason)
	}
	if len(p.steps) == 0 && seen.Ours && seen.Stale {
		// Another unit's dependency keeps the old definition loaded, and
		// could start it again.
		p.add(Reload, "the file is gone and systemd still holds its content")
	}
	gone := len(p.steps) == 0
	return Decision{Steps: p.steps, Gone: gone}
}

// decideWanted brings a unit's file, then its state, to what is wanted. It may be sick.
func decideWanted(want cluster.Assignment, seen systemd.Unit, known Known, sick string) Decision {
	p := planner{unit: want.Name}
	changed := seen.FileHash != want.Hash
	if up(seen) || known.Asked != nil { // its job may still wait for others
		if reason := whyStop(want, seen, known); reason != "" {
			p.add(Stop, reason)
			seen.Active = "inactive"
			known.Started, known.Asked = nil, nil
		}
	}
	switch {
	case seen.FileHash == "":
		p.add(Write, "placed on this node")
	case changed:
		p.add(Write, "the text changed")
	}
	switch {
	case changed && seen.Load != "not-found" && seen.Load != "":
		p.add(Reload, "the text changed")
	case seen.Stale:
		p.add(Reload, "systemd has not read what is on the disk now")
	}
	if bad(seen) && len(p.steps) == 0 {
		settled := known.settle(want, seen)
		return Decision{Problem: "systemd refuses the unit file: " + seen.Load, Settled: &settled}
	}
	if want.Desired == cluster.Launched {
		p.launch(want, seen, known, sick)
	}
	if len(p.steps) == 0 {
		settled := known.settle(want, seen)
		return Decision{Settled: &settled, Problem: known.Problem(seen)}
	}
	return Decision{Steps: p.steps}
}

// whyStop says why a unit that is up must be stopped first, or "".
func whyStop(want cluster.Assignment, seen systemd.Unit, known Known) string {
	last := known.last()
	switch {
	case seen.FileHash != want.Hash, seen.Stale && last.UID != "" && last.Hash != want.Hash:
		// Stale alone is no reason: whatever is enabled on the host, or dropped
		// into a service.d, makes every unit stale until the next reload. It is
		// one while our own change of the file is under way, for a socket may
		// have started the unit before the reload.
		return "the text changed"
	case last.UID != "" && last.UID != want.UID:
		return "it was destroyed and submitted again"
	case want.Desired == cluster.Loaded && (known.UID == "" || known.Started != nil || known.Asked != nil):
		// One that we did not start runs because something on the node, a
		// socket for example, activated it: "loaded" allows that.
		return "wanted loaded, not launched"
	}
	return ""
}

// launch adds the start or restart that is due, if one is.
func (p *planner) launch(want cluster.Assignment, seen systemd.Unit, known Known, sick string) {
	if up(seen) {
		switch {
		case known.UID != "" && known.Restarts < want.Restarts:
			p.add(Restart, "a restart was asked for")
		case seen.Active == "active" && sick != "":
			p.add(Restart, "it is not healthy: "+sick)
		}
		return
	}
	reason := known.whyStart(want, seen)
	if reason == "" {
		return
	}
	if seen.Active == "failed" {
		p.add(ResetFailed, "a failure counted before must not forbid this start")
	}
	p.add(Start, reason)
}

// up reports whether processes of the unit may exist or are about to.
func up(seen systemd.Unit) bool {
	switch seen.Active {
	case "active", "activating", "reloading", "refreshing", "deactivating", "maintenance":
		return true
	}
	return false
}

// bad reports whether systemd read the file and refuses it; only another text
// can help.
func bad(seen systemd.Unit) bool { return seen.Load == "bad-setting" }

// planner gathers the steps of one unit.
type planner struct {
	unit  cluster.UnitName
	steps []Step
}

func (p *planner) add(kind Kind, reason string) {
	p.steps = append(p.steps, Step{Kind: kind, Unit: p.unit, Reason: reason})
}
