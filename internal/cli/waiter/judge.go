package waiter

import (
	"cmp"
	"fmt"
	"strings"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// systemd's words for the active state of a unit.
const (
	active       = "active"
	reloading    = "reloading"
	inactive     = "inactive"
	running      = "running" // the sub state of a service whose main process is there
	failed       = "failed"
	loadedWell   = "loaded"
	stateWaiting = "waiting"
)

// judge says how far one unit is on its way to the goal.
type judge struct {
	goal  Goal
	unit  Unit
	view  *wire.UnitView // nil: the cluster has no such unit
	nodes map[cluster.NodeID]wire.NodeView
}

// event returns what is to be said of the unit now.
func (j judge) event() Event {
	if j.goal == Destroyed {
		return j.destroyed()
	}
	if j.view == nil {
		return Event{State: "gone", Reason: "it was destroyed meanwhile", Verdict: Failed}
	}
	if !j.wanted() {
		return Event{
			State: string(j.view.Desired), Verdict: Failed,
			Reason: fmt.Sprintf("somebody wants it %s meanwhile", j.view.Desired),
		}
	}
	switch j.goal {
	case Stopped:
		return j.stopped()
	case Unloaded:
		return j.unloaded()
	default:
		return j.placed()
	}
}

// wanted reports whether the cluster still wants what is awaited.
func (j judge) wanted() bool {
	desired := j.view.Desired
	switch j.goal {
	case Launched, Restarted:
		return desired == cluster.Launched
	case Loaded:
		return desired == cluster.Loaded
	case Unloaded:
		return desired == cluster.Inactive
	default:
		return desired != cluster.Launched
	}
}

// placed judges a unit that is to be somewhere: first it needs a node, then
// each of its nodes must have done its part.
func (j judge) placed() Event {
	placement := j.view.Placement
	switch {
	case placement == nil || placement.UID != j.view.UID:
		return Event{State: stateWaiting, Reason: "the leader has not placed it yet", Verdict: Waiting}
	case placement.Pending():
		return Event{State: "pending", Reason: placement.Reason, Verdict: Waiting}
	case len(placement.Nodes) == 1:
		return j.onNode(placement.Nodes[0])
	}
	var tally Tally
	var bad Event
	young := false
	for _, node := range placement.Nodes {
		event := j.onNode(node)
		young = young || event.young
		switch event.Verdict {
		case Reached:
			tally.Reached++
		case Failed:
			tally.Failed++
			bad = event
		default:
			tally.Waiting++
		}
	}
	event := Event{State: fmt.Sprintf("%s on %d of %d nodes", j.goalWord(), tally.Reached, len(placement.Nodes)), Verdict: Waiting, young: young}
	switch {
	case tally.Failed > 0:
		event.Reason, event.Log = bad.State, bad.Log
		if bad.Reason != "" {
			event.Reason += ": " + bad.Reason
		}
		if tally.Waiting == 0 {
			event.Verdict = Failed
		}
	case tally.Waiting == 0:
		event.Verdict = Reached
	}
	return event
}

func (j judge) goalWord() string {
	if j.goal == Loaded {
		return loadedWell
	}
	return active
}

// onNode judges what one node of the placement says.
func (j judge) onNode(node cluster.NodeID) Event {
	status, ok := statusOn(*j.view, node)
	switch {
	case status.Active == cluster.ActiveUnknown: // not what came of it, nor that nothing did
		return j.say(status, Waiting)
	case !ok && j.nodes[node].Health.Away():
		return Event{State: "placed on " + j.nodeName(node), Reason: fmt.Sprintf("%s is %s", j.nodeName(node), j.nodes[node].Health), Verdict: Waiting}
	case !ok || status.UID != j.view.UID || status.Hash != j.view.Hash:
		return Event{State: "placed on " + j.nodeName(node), Reason: cmp.Or(status.Problem, j.view.Placement.Reason), Verdict: Waiting}
	case badLoad(status.Load):
		return Event{State: status.Load + " on " + j.nodeName(node), Reason: status.Problem, Log: status.Log, Verdict: Failed}
	case j.goal == Loaded:
		return j.loaded(status)
	case j.goal == Restarted && status.Restarts < cluster.Assign(j.view.Unit, *j.view.Placement).Restarts:
		event := j.say(status, Waiting)
		if event.Reason == "" {
			event.Reason = "the node has not restarted it yet"
		}
		return event
	}
	return j.started(status)
}

func (j judge) loaded(status cluster.Status) Event {
	if status.Load != loadedWell {
		return j.say(status, Waiting)
	}
	return Event{State: "loaded on " + j.nodeName(status.Node), Verdict: Reached}
}

// started judges a unit that its node has loaded and was to start.
func (j judge) started(status cluster.Status) Event {
	before, known := statusOn(j.unit.Before, status.Node)
	// A status from before the request says nothing about what came of it.
	old := j.unit.Changed && known && sameRun(before, status)
	switch status.Active {
	case active, reloading:
		event := j.say(status, Reached)
		if j.goal == Restarted {
			event = j.restarted(before.MainPID, status)
		}
		event.young = j.unit.Changed && status.Sub == running && event.Verdict == Reached
		return event
	case failed:
		if old {
			event := j.say(status, Waiting)
			event.Reason = "from before; its new start is awaited"
			return event
		}
		return j.say(status, Failed)
	case inactive:
		if !old && status.Epoch == j.view.Placement.Epoch {
			return j.ended(status)
		}
		return j.notStarted(status)
	}
	return j.say(status, Waiting)
}

// ended judges an inactive unit by how its start ended. Nothing else tells a
// unit that has done its work from one that was not started yet: of both,
// systemd may have forgotten everything.
func (j judge) ended(status cluster.Status) Event {
	event := j.say(status, Reached)
	switch {
	case cluster.JobFailed(status.Job):
		return j.say(status, Failed)
	case status.Job != "" && status.Since.Unix() > 0:
		event.Reason = "it ran and ended well"
	case status.Job != "": // for systemd, a start that a condition forbids is well done
		event.Reason = "it ran and ended well, unless a Condition…= of its own forbids it"
	default:
		return j.notStarted(status)
	}
	return event
}

func (j judge) notStarted(status cluster.Status) Event {
	event := j.say(status, Waiting)
	event.Reason = cmp.Or(event.Reason, "not started yet")
	return event
}

// restarted judges an active unit that was to be restarted: its main process
// must be another than before, if it has one.
func (j judge) restarted(beforePID int, status cluster.Status) Event {
	if beforePID == 0 || status.MainPID == 0 {
		return j.say(status, Reached)
	}
	if beforePID == status.MainPID {
		return Event{
			State:  "active on " + j.nodeName(status.Node),
			Reason: fmt.Sprintf("still the main process %d", status.MainPID), Verdict: Waiting,
		}
	}
	event := j.say(status, Reached)
	event.Reason = fmt.Sprintf("main process %d instead of %d", status.MainPID, beforePID)
	return event
}

func (j judge) stopped() Event {
	event := Event{State: "not running", Verdict: Reached}
	for _, status := range j.view.Statuses {
		switch status.Active {
		case inactive, failed, "":
			if event.Verdict == Reached {
				event = j.say(status, Reached)
			}
		default:
			return j.say(status, Waiting)
		}
	}
	return event
}

func (j judge) unloaded() Event {
	if len(j.view.Statuses) > 0 {
		return j.leaving(j.view.Statuses)
	}
	if p := j.view.Placement; p != nil && !p.Pending() {
		return Event{State: "placed on " + j.nodeNames(p.Nodes), Reason: "the leader has not taken it back yet", Verdict: Waiting}
	}
	return Event{State: "unloaded", Verdict: Reached}
}

func (j judge) destroyed() Event {
	if j.view == nil || j.view.Desired != "" && j.unit.Before.UID != "" && j.view.UID != j.unit.Before.UID {
		return Event{State: "destroyed", Verdict: Reached}
	}
	if len(j.view.Statuses) > 0 {
		return j.leaving(j.view.Statuses)
	}
	return Event{State: stateWaiting, Reason: "the cluster has not taken it away yet", Verdict: Waiting}
}

// leaving describes a unit that nodes still have.
func (j judge) leaving(statuses []cluster.Status) Event {
	ids := make([]cluster.NodeID, 0, len(statuses))
	for _, status := range statuses {
		ids = append(ids, status.Node)
	}
	event := j.say(statuses[0], Waiting)
	if event.Reason == "" {
		event.Reason = "still on " + j.nodeNames(ids)
	}
	return event
}

// say puts a status into words.
func (j judge) say(status cluster.Status, verdict Verdict) Event {
	detail := status.Sub
	if status.Active == failed {
		detail = status.Result
		if status.ExitCode != 0 {
			detail = strings.TrimPrefix(fmt.Sprintf("%s, status %d", detail, status.ExitCode), ", ")
		}
	}
	state := status.Active
	if state == "" {
		state = stateWaiting
	}
	if detail != "" {
		state += " (" + detail + ")"
	}
	event := Event{State: state + " on " + j.nodeName(status.Node), Reason: status.Problem, Verdict: verdict}
	if verdict == Failed {
		event.Log = status.Log
	}
	return event
}

// nodeName returns the name of a node, or the begin of its ID.
func (j judge) nodeName(id cluster.NodeID) string {
	return cmp.Or(j.nodes[id].Name, id.Short())
}

func (j judge) nodeNames(ids []cluster.NodeID) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, j.nodeName(id))
	}
	return strings.Join(names, ", ")
}

func statusOn(view wire.UnitView, node cluster.NodeID) (cluster.Status, bool) {
	for _, status := range view.Statuses {
		if status.Node == node {
			return status, true
		}
	}
	return cluster.Status{}, false
}

// sameRun reports whether two statuses speak of one run of a unit.
func sameRun(a, b cluster.Status) bool {
	return a.UID == b.UID && a.Hash == b.Hash && a.Epoch == b.Epoch && a.Restarts == b.Restarts &&
		a.MainPID == b.MainPID && a.Job == b.Job && a.Since.Equal(b.Since)
}

// badLoad reports whether systemd cannot make anything of the unit's file. A
// unit that it has not found may not have been linked yet.
func badLoad(load string) bool {
	switch load {
	case "bad-setting", "error", "masked":
		return true
	}
	return false
}
