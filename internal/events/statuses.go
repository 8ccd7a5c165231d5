package events

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// statuses tells what the nodes' systemds showed.
func (d *differ) statuses() {
	walk(d.before.State.Statuses, d.after.State.Statuses,
		func(a, b *cluster.Status) int {
			if c := cmp.Compare(a.Unit, b.Unit); c != 0 {
				return c
			}
			return cmp.Compare(a.Node, b.Node)
		},
		func(s *cluster.Status) cluster.Revision { return s.Revision },
		func(was, is *cluster.Status) {
			switch {
			case is == nil:
				d.letGo(was)
			case was != nil && (was.UID != is.UID || was.BootID != is.BootID):
				d.status(nil, is) // nothing of what was seen before is so any more
			default:
				d.status(was, is)
			}
		})
}

// letGo tells that a node has a unit no more, if that was not told when it
// stopped. Of a node that was removed nothing is known.
func (d *differ) letGo(was *cluster.Status) {
	if !running(was) || !d.knows(was.Node) {
		return
	}
	e := d.statusEvent(cluster.EventUnitInactive, was, "stopped on ", ", which has let it go")
	e.Since = time.Time{} // the record's is of when it became active
	d.addGone(partStatus, was.Revision, e)
}

// status tells how a status differs from the one before; nil if there was none.
func (d *differ) status(was, is *cluster.Status) {
	if was == nil {
		was = &cluster.Status{}
	}
	if is.Failed() {
		d.failure(was, is) // which is the problem
		return
	}
	if kind, what, how := course(was, is); kind != "" {
		d.add(partStatus, is.Revision, d.statusEvent(kind, is, what, how))
	}
	if is.Problem != "" && is.Problem != was.Problem {
		d.add(partStatus, is.Revision, d.statusEvent(cluster.EventUnitProblem, is, "not as desired on ", ": "+is.Problem))
	}
}

// failure tells that a unit failed, and what it said before as soon as the node
// has read that, which may be a moment later.
func (d *differ) failure(was, is *cluster.Status) {
	words := lastWords(is)
	switch {
	case !was.Failed() || !sameStart(was, is) || !was.Since.Equal(is.Since):
		how := " (" + ending(is) + ")"
		if words != "" {
			how += ": " + words
		}
		d.add(partStatus, is.Revision, d.statusEvent(cluster.EventUnitFailed, is, "failed on ", how))
	case len(was.Log) == 0 && words != "":
		d.add(partStatus, is.Revision, d.statusEvent(cluster.EventUnitOutput, is, "its last words on ", ": "+words))
	}
}

// course says what became of a unit that did not fail; no kind if nothing.
func course(was, is *cluster.Status) (kind cluster.EventKind, what, how string) {
	again := sameStart(was, is)
	switch {
	case waits(is):
		if !waits(was) {
			return cluster.EventUnitRestarted, "ended on ", " (" + ending(is) + "), and systemd starts it anew"
		}
	case up(is) && up(was) && again:
		if otherProcess(was, is) {
			return cluster.EventUnitRestarted, "ended on ", fmt.Sprintf(", and was started anew (main process %d, then %d)", was.MainPID, is.MainPID)
		}
	case up(is):
		return cluster.EventUnitActive, "active on ", " (" + is.Sub + ")"
	case is.Active != "inactive":
	case running(was) || was.Failed():
		return cluster.EventUnitInactive, "inactive on ", " (" + cmp.Or(is.Result, is.Sub) + ")"
	case is.Job == "done" && (was.Job != "done" || !again):
		return cluster.EventUnitInactive, "ran and ended on ", ""
	}
	return "", "", ""
}

// otherProcess reports whether a unit has another main process than before.
func otherProcess(was, is *cluster.Status) bool {
	return is.MainPID != was.MainPID && is.MainPID != 0 && was.MainPID != 0
}

// sameStart reports whether two statuses are of one start by the cluster. The
// epoch is no part of that: a global unit's grows with every node.
func sameStart(was, is *cluster.Status) bool {
	return was.Restarts == is.Restarts && was.Hash == is.Hash
}

// statusEvent makes an event of what a node showed: what it did on it, and how.
func (d *differ) statusEvent(kind cluster.EventKind, s *cluster.Status, what, how string) cluster.Event {
	e := unitEvent(kind, s.Unit, what+d.name(s.Node)+how)
	e.Node, e.Since = s.Node, s.Since
	return e
}

// up reports whether systemd calls a unit active; one that reloads is.
func up(s *cluster.Status) bool {
	return s.Active == "active" || s.Active == "reloading" || s.Active == "refreshing"
}

// running reports whether something of a unit runs, starts or stops.
func running(s *cluster.Status) bool {
	return up(s) || s.Active == "activating" || s.Active == "deactivating"
}

// waits reports whether systemd is about to start a unit again by itself.
func waits(s *cluster.Status) bool { return strings.HasPrefix(s.Sub, "auto-restart") }

// ending says how a unit ended.
func ending(s *cluster.Status) string {
	if s.Result == "" && cluster.JobFailed(s.Job) && !s.Spent() {
		return "systemd did not start it: " + s.Job
	}
	return s.Failure()
}

// wordsMax is how much of a unit's last words an event carries, in runes.
const wordsMax = 200

// lastWords is the last line that a unit itself wrote before it failed: what
// systemd wrote about it is said by its result.
func lastWords(s *cluster.Status) string {
	words := ""
	for _, line := range s.Log {
		if line = strings.TrimSpace(line); line != "" && !bySystemd(line, s.Unit) {
			words = line
		}
	}
	if runes := []rune(words); len(runes) > wordsMax {
		words = string(runes[:wordsMax-1]) + "…"
	}
	return words
}

// bySystemd reports whether a line of a unit's journal is one of systemd's own:
// it begins with the unit's name, or with one of its words for a job, followed
// by the name or the description.
func bySystemd(line string, unit cluster.UnitName) bool {
	for _, begin := range []string{string(unit) + ": ", "Starting ", "Started ", "Stopping ", "Stopped ", "Finished ", "Failed to start ", "Dependency failed for "} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return false
}
