package converge

import (
	"fmt"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// Memory is what a node remembers of its own doings, by unit. It is of one
// boot: after a power cut nothing of it is true any more.
type Memory map[cluster.UnitName]Known

// Known is what a node remembers of one unit.
type Known struct {
	// Key is that of the assignment that was last carried out. Its Hash is ""
	// from when another text was written until that is carried out.
	Key
	// Started is the last start that systemd carried out, well or not; nil if
	// there was none since the unit was last stopped.
	Started *Started `json:"started,omitempty"`
	// Asked is set while it is not known how the last job that was asked of
	// systemd ended: whoever waited for it may have gone. It is the key of what
	// may run because of it, or run on although it was to stop.
	Asked *Key `json:"asked,omitempty"`
	// Trouble is set while steps fail for reasons that may pass.
	Trouble *Trouble `json:"trouble,omitempty"`
}

// Key tells assignments of one name apart.
type Key struct {
	UID      cluster.UID   `json:"uid"`
	Hash     cluster.Hash  `json:"hash"`
	Restarts int64         `json:"restarts,omitempty"`
	Epoch    cluster.Epoch `json:"epoch"`
}

// KeyOf returns the key of an assignment.
func KeyOf(a cluster.Assignment) Key { return Key{a.UID, a.Hash, a.Restarts, a.Epoch} }

// Started is one start.
type Started struct {
	Key
	// Result is systemd's word for how the job ended, "" if the unit ran when
	// the node came. One that failed is not tried again for the same key:
	// retries are for the unit's own Restart=.
	Result string `json:"result,omitempty"`
}

// failed reports whether the job ended in a way that trying again does not mend.
func (s Started) failed() bool { return cluster.JobFailed(s.Result) }

// Trouble is a step that failed and may go well later.
type Trouble struct {
	// For is the assignment it happened with (zero when none was wanted):
	// another one is tried at once.
	For     Key             `json:"for"`
	Desired cluster.Desired `json:"desired,omitempty"`
	Step    Kind            `json:"step"`
	Detail  string          `json:"detail"`
	Tries   int             `json:"tries"`
	Until   time.Time       `json:"until"`
}

// Back-off between attempts after trouble: doubled each time.
const (
	backoffMin = time.Second
	backoffMax = time.Minute
)

// ReloadedInVain returns what to remember of a unit that is stale after a reload
// as it was before: something on the host keeps it so. It is tried again, ever
// more rarely.
func (k Known) ReloadedInVain(want *cluster.Assignment, at time.Time) Known {
	return k.troubled(Step{Kind: Reload}, want, "reload: systemd still says that its files on the disk differ from what it read", at)
}

// Outcome is how a step ended.
type Outcome struct {
	// Result is systemd's word for the end of a job; "" for steps without one.
	Result string
	Err    error
	At     time.Time
}

// Asks returns what to remember before systemd is asked to carry out a step.
func (k Known) Asks(step Step, want *cluster.Assignment) Known {
	switch {
	case step.Kind == Stop, step.Kind == GiveUp:
		last := k.last()
		k.Asked, k.Started = &last, nil
	case step.Kind == ResetFailed:
		k.Started = nil // the failure is the reason for the start that follows, and is about to be forgotten
	case step.Kind.Starts() && want != nil:
		key := KeyOf(*want)
		k.Asked = &key
	}
	return k
}

// last is the key of the assignment that whatever runs was started for; its UID
// is "" if that is not known.
func (k Known) last() Key {
	if k.Asked != nil {
		return *k.Asked
	}
	return k.Key
}

// Did returns what to remember after a step towards want (nil: unwanted), and
// whether the unit's next step may follow.
func (k Known) Did(step Step, want *cluster.Assignment, out Outcome) (Known, bool) {
	if detail := trouble(step, out); detail != "" {
		return k.troubled(step, want, detail, out.At), false
	}
	if k.Trouble != nil && k.Trouble.Step == step.Kind {
		k.Trouble = nil
	}
	switch {
	case step.Kind == Stop:
		k.Started, k.Asked = nil, nil
		if want != nil {
			k.UID = want.UID
		}
	case step.Kind == Write:
		k.Hash = ""
	case step.Kind == GiveUp && want != nil:
		k.Key, k.Asked = KeyOf(*want), nil
		k.Started = &Started{Key: k.Key, Result: cluster.JobGaveUp}
	case step.Kind.Starts() && want != nil:
		k.Key, k.Asked = KeyOf(*want), nil
		k.Started = &Started{Key: k.Key, Result: out.Result}
		k.Trouble = nil // whatever came before
	}
	return k, true
}

// trouble says what went wrong in a way that may pass, or "".
func trouble(step Step, out Outcome) string {
	if out.Err != nil {
		return fmt.Sprintf("%s: %v", step.Kind, out.Err)
	}
	switch out.Result {
	case "", "done", "skipped":
		return ""
	case "failed":
		if step.Kind.Starts() {
			return ""
		}
	case "dependency":
		return fmt.Sprintf("%s: a unit that it requires did not start", step.Kind)
	case "timeout", "canceled":
	default:
		if step.Kind.Starts() {
			return ""
		}
	}
	return fmt.Sprintf("%s: systemd's job ended as %q", step.Kind, out.Result)
}

func (k Known) troubled(step Step, want *cluster.Assignment, detail string, at time.Time) Known {
	t := Trouble{Step: step.Kind, Detail: detail, Tries: 1}
	if want != nil {
		t.For, t.Desired = KeyOf(*want), want.Desired
	}
	if k.Trouble != nil && k.Trouble.For == t.For && k.Trouble.Desired == t.Desired {
		t.Tries = k.Trouble.Tries + 1
	}
	t.Until = at.Add(min(backoffMin<<min(t.Tries-1, 10), backoffMax))
	k.Trouble = &t
	if step.Kind.Starts() && k.UID == "" && want != nil {
		k.UID = want.UID
	}
	return k
}

// afterTrouble holds the steps back until the time for another try has come.
func afterTrouble(d Decision, want *cluster.Assignment, t Trouble, now time.Time) Decision {
	same := want == nil && t.For == Key{} || want != nil && t.For == KeyOf(*want) && t.Desired == want.Desired
	if !same {
		return d
	}
	d.Problem = t.Detail + " (it is tried again)"
	if now.Before(t.Until) {
		d.Steps, d.Again = nil, t.Until
	}
	return d
}

// whyStart says why a unit that is down must be started, or "". One that ended
// by itself is not: that is its own affair and that of its Restart=.
func (k Known) whyStart(want cluster.Assignment, seen systemd.Unit) string {
	s := k.Started
	switch {
	case s == nil:
		return "wanted launched"
	case s.UID != want.UID:
		return "it was destroyed and submitted again"
	case s.Hash != want.Hash:
		return "the text changed"
	case s.Restarts < want.Restarts:
		return "a restart was asked for"
	case s.Epoch != want.Epoch && (s.failed() || seen.Active == "failed"):
		return "it was placed anew after a failure"
	}
	return ""
}

// settle returns what to remember once nothing is left to do.
func (k Known) settle(want cluster.Assignment, seen systemd.Unit) Known {
	k.Key = KeyOf(want)
	k.Trouble = nil
	switch {
	case want.Desired != cluster.Launched:
		k.Started = nil
	case k.Started == nil && up(seen) && seen.Active != "deactivating":
		k.Started, k.Asked = &Started{Key: k.Key}, nil // adopted: it ran when we came
	case k.Started != nil && k.Started.Key != k.Key:
		// A copy, since decisions never change what they were given.
		k.Started = &Started{Key: k.Key, Result: k.Started.Result}
	}
	return k
}

// Well reports whether a unit is down because its last start ran to a good end.
func (k Known) Well(seen systemd.Unit) bool {
	return seen.Active == "inactive" && seen.Result == "success" && k.Started != nil && k.Started.Result == "done"
}

// Problem says what is wrong with a unit that was started, or "".
func (k Known) Problem(seen systemd.Unit) string {
	switch {
	case seen.Active == "failed":
		return "failed: " + cluster.FailureText(seen.Result, seen.ExitCode)
	case k.Started != nil && k.Started.Result == cluster.JobGaveUp && !up(seen):
		return "failed: " + cluster.FailureText(k.Started.Result, 0)
	case k.Started != nil && k.Started.failed() && !up(seen):
		return fmt.Sprintf("systemd could not start it: its job ended as %q", k.Started.Result)
	}
	return ""
}
