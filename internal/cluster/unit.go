package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"time"
)

// UnitTextMax is the largest unit file that the cluster accepts, in bytes.
const UnitTextMax = 256 << 10

// Desired is what a user wants of a unit; the words are fleet's.
type Desired string

// The desired states. Each includes the ones before it.
const (
	Inactive Desired = "inactive" // stored in the cluster, on no node
	Loaded   Desired = "loaded"   // placed, and known to the node's systemd
	Launched Desired = "launched" // placed, loaded and started
)

// CheckDesired returns an Invalid error unless d is one of the three states.
func CheckDesired(d Desired) error {
	switch d {
	case Inactive, Loaded, Launched:
		return nil
	}
	return Errorf(Invalid, "desired state %q: use inactive, loaded or launched", string(d))
}

// Unit is what a user handed to the cluster. Written by users.
type Unit struct {
	Name    UnitName  `json:"name"`
	UID     UID       `json:"uid"`
	Text    string    `json:"text"` // the file, byte for byte
	Hash    Hash      `json:"hash"`
	Desired Desired   `json:"desired"`
	Created time.Time `json:"created"`
	// Restarts counts the restarts that users asked for. A node that has
	// started a unit with a smaller number starts it anew.
	Restarts int64 `json:"restarts,omitempty"`
	// Parameters are those that were given to its services, by their names, since it has
	// this text: they count before those of the file.
	Parameters map[string]map[string]string `json:"parameters,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// Equal reports whether both say the same.
func (u Unit) Equal(v Unit) bool {
	return u.Name == v.Name && u.UID == v.UID && u.Text == v.Text && u.Hash == v.Hash && u.Desired == v.Desired && u.Created.Equal(v.Created) &&
		u.Restarts == v.Restarts && u.Revision == v.Revision && maps.EqualFunc(u.Parameters, v.Parameters, maps.Equal)
}

// HashText returns the hash of a unit's text.
func HashText(text string) Hash {
	sum := sha256.Sum256([]byte(text))
	return Hash(hex.EncodeToString(sum[:]))
}

// Placement says where a unit is to be. Written by the leader, one record for
// each unit that is not inactive. No nodes means pending, for the reason given.
type Placement struct {
	Unit UnitName `json:"unit"`
	UID  UID      `json:"uid"`
	// Nodes is sorted. It holds one node at most, except for global units.
	Nodes  []NodeID `json:"nodes,omitempty"`
	Global bool     `json:"global,omitempty"`
	// Epoch grows whenever Nodes changes.
	Epoch  Epoch     `json:"epoch"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Retry is set once the unit has failed after its own Restart= was spent.
	Retry *Retry `json:"retry,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// On reports whether the placement names the node.
func (p Placement) On(id NodeID) bool { return slices.Contains(p.Nodes, id) }

// Pending reports whether the unit waits for a node that may take it.
func (p Placement) Pending() bool { return len(p.Nodes) == 0 }

// Tries is how often the cluster has tried the unit again.
func (p Placement) Tries() int64 {
	if p.Retry == nil {
		return 0
	}
	return p.Retry.Count
}

// Retry is how the cluster tries a unit again that has failed.
type Retry struct {
	// Count is how often it was tried again. It never goes back.
	Count int64 `json:"count"`
	// Streak is how often without a good while in between; it decides how long
	// the next wait is.
	Streak int `json:"streak,omitempty"`
	// Failed are the nodes where it failed in this streak, the latest last.
	Failed []NodeID `json:"failed,omitempty"`
	// Last is when it was last tried again, by the clock of the leader.
	Last time.Time `json:"last,omitzero"`
	// Due is when it is tried again next; zero while it has not failed.
	Due time.Time `json:"due,omitzero"`
}

// Equal reports whether both say the same; nil is equal to nil only.
func (r *Retry) Equal(t *Retry) bool {
	if r == nil || t == nil {
		return r == t
	}
	return r.Count == t.Count && r.Streak == t.Streak && slices.Equal(r.Failed, t.Failed) &&
		r.Last.Equal(t.Last) && r.Due.Equal(t.Due)
}

// Status is what a node's systemd says of a unit. Written by that node, and
// only ever from observation.
type Status struct {
	Unit UnitName `json:"unit"`
	Node NodeID   `json:"node"`
	UID  UID      `json:"uid"`
	Hash Hash     `json:"hash"`
	// Epoch is that of the placement which the node has carried out.
	Epoch Epoch `json:"epoch"`
	// BootID is the kernel's at the time: after another boot, nothing of what
	// was seen is so any more.
	BootID string `json:"bootID,omitempty"`
	// Load, Active and Sub are systemd's own words. No record says so, but what
	// is shown of a unit on a node that is not heard of has ActiveUnknown as
	// Active, and nothing in the others.
	Load   string `json:"load"`
	Active string `json:"active"`
	Sub    string `json:"sub"`
	// Result is systemd's word for how the unit last ended ("exit-code"), ""
	// or "success" if well.
	Result   string `json:"result,omitempty"`
	ExitCode int    `json:"exitCode,omitempty"`
	MainPID  int    `json:"mainPID,omitempty"`
	// Job is systemd's word for how the job of the last start ended ("done",
	// "assert", "unsupported"); only of a unit that is inactive, whose other words
	// do not tell: systemd forgets such a unit, its result and times included.
	Job string `json:"job,omitempty"`
	// Restarts is Assignment.Restarts as of the last start that was carried out.
	Restarts int64 `json:"restarts,omitempty"`
	// Since is when Active last changed, by the node's clock.
	Since time.Time `json:"since"`
	// Problem says in plain words what keeps the node from the desired state.
	Problem string `json:"problem,omitempty"`
	// Log holds the last lines of a unit that failed, oldest first.
	Log []string `json:"log,omitempty"`
	// Offers are the services that the unit offers there, in their order.
	Offers []Offer `json:"offers,omitempty"`
	// Revision is the store's, filled in when the record is read.
	Revision Revision `json:"revision,omitempty"`
}

// ActiveUnknown stands in place of systemd's word for the active state of a unit
// where that is not known: its node is lost or dead. It may only be cut off, so
// the unit may still run there.
const ActiveUnknown = "unknown"

// LogLinesMax is how many lines of a failed unit's journal a status carries.
const LogLinesMax = 10

// Equal reports whether two statuses say the same; Since alone is no change.
func (s Status) Equal(t Status) bool {
	return s.sameOrigin(t) && s.sameState(t) && s.Problem == t.Problem && slices.Equal(s.Log, t.Log) &&
		slices.EqualFunc(s.Offers, t.Offers, Offer.Equal)
}

// Withdraws reports whether an offer that was healthy in an earlier status of the
// unit on the node is not any more. That must be told at once.
func (s Status) Withdraws(earlier Status) bool {
	return slices.ContainsFunc(earlier.Offers, func(o Offer) bool {
		return o.Healthy && !slices.ContainsFunc(s.Offers, func(now Offer) bool { return now.Healthy && now.Compare(o) == 0 })
	})
}

// sameOrigin reports whether both are of one node's work on one assignment.
func (s Status) sameOrigin(t Status) bool {
	return s.Unit == t.Unit && s.Node == t.Node && s.BootID == t.BootID &&
		s.UID == t.UID && s.Hash == t.Hash && s.Epoch == t.Epoch && s.Restarts == t.Restarts
}

// sameState reports whether systemd said the same.
func (s Status) sameState(t Status) bool {
	return s.Load == t.Load && s.Active == t.Active && s.Sub == t.Sub && s.Result == t.Result &&
		s.ExitCode == t.ExitCode && s.MainPID == t.MainPID && s.Job == t.Job
}

// Announces reports whether the status tells of anything that may be used.
func (s Status) Announces() bool {
	return slices.ContainsFunc(s.Offers, func(o Offer) bool { return o.Healthy })
}

// Works reports whether a unit that systemd says this of (Active) does what it is there
// for. One that is reloaded goes on working.
func Works(active string) bool {
	return active == "active" || active == "reloading" || active == "refreshing"
}

// Failed reports whether the unit failed, or could not even be started.
func (s Status) Failed() bool { return s.Active == "failed" || JobFailed(s.Job) }

// Spent reports whether the unit will not start again by itself: its own
// Restart= has come to its end, or its node has given it up.
func (s Status) Spent() bool { return s.Active == "failed" || s.Job == JobGaveUp }

// Failure says how a unit failed, in the words of FailureText.
func (s Status) Failure() string {
	if s.Job == JobGaveUp {
		return FailureText(s.Job, 0)
	}
	return FailureText(s.Result, s.ExitCode)
}

// JobGaveUp stands for the end of a start's job if the node stopped the unit
// because it would not come up and kept systemd from all other work.
const JobGaveUp = "gave-up"

// FailureText puts systemd's result of a unit, or JobGaveUp, and the exit code of its main
// process, in words: "exit code 7".
func FailureText(result string, exitCode int) string {
	switch {
	case result == "exit-code" && exitCode == 0:
		return "a command before or after the main one failed"
	case result == "exit-code":
		return "exit code " + strconv.Itoa(exitCode)
	case result == JobGaveUp:
		return "it was started again and again, and kept systemd from all else"
	case result == "":
		return "no reason given"
	}
	return result
}

// JobFailed reports whether systemd's word for the end of a start's job says
// that the unit did not start. One that its own Condition…= forbids is well
// done, as systemd has it.
func JobFailed(result string) bool {
	return result != "" && result != "done" && result != "skipped"
}

// Assignment is one unit as a node is told of it.
type Assignment struct {
	Name    UnitName `json:"name"`
	UID     UID      `json:"uid"`
	Text    string   `json:"text"`
	Hash    Hash     `json:"hash"`
	Desired Desired  `json:"desired"` // Loaded or Launched
	// Restarts counts the restarts that users asked for, and how often the
	// cluster tried the unit again.
	Restarts int64 `json:"restarts,omitempty"`
	Epoch    Epoch `json:"epoch"`
}

// Assign returns a unit as a node that it is placed on is told of it.
func Assign(u Unit, p Placement) Assignment {
	return Assignment{
		Name: u.Name, UID: u.UID, Text: u.Text, Hash: u.Hash, Desired: u.Desired,
		Restarts: u.Restarts + p.Tries(), Epoch: p.Epoch,
	}
}

// Slice is everything that is placed on one node. Its generation is the store
// revision that it was computed at; a node refuses an older one than it has.
type Slice struct {
	Node       NodeID       `json:"node"`
	Generation Revision     `json:"generation"`
	Units      []Assignment `json:"units"` // sorted by name
	// Member is set if the node is to be a server.
	Member *Member `json:"member,omitempty"`
	// Servers are the API addresses (host:port) a node may connect to.
	Servers []string `json:"servers,omitempty"`
	// ServerIDs are the nodes behind those addresses.
	ServerIDs []NodeID `json:"serverIDs,omitempty"`
}

// SortAssignments sorts in the order that a Slice promises.
func SortAssignments(units []Assignment) {
	slices.SortFunc(units, func(a, b Assignment) int { return cmp.Compare(a.Name, b.Name) })
}
