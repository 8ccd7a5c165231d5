package cluster

import "time"

// EventKind says what sort of thing happened. EventKinds lists all.
type EventKind string

// The kinds of event. Their meanings are in EventKinds.
const (
	EventUnitSubmitted EventKind = "unit-submitted"
	EventUnitChanged   EventKind = "unit-changed"
	EventUnitDesired   EventKind = "unit-desired"
	EventUnitRestart   EventKind = "unit-restart"
	EventUnitDestroyed EventKind = "unit-destroyed"
	EventUnitPlaced    EventKind = "unit-placed"
	EventUnitMoved     EventKind = "unit-moved"
	EventUnitPending   EventKind = "unit-pending"
	EventUnitLeft      EventKind = "unit-left"
	EventUnitRetry     EventKind = "unit-retry"
	EventUnitActive    EventKind = "unit-active"
	EventUnitFailed    EventKind = "unit-failed"
	EventUnitOutput    EventKind = "unit-output"
	EventUnitInactive  EventKind = "unit-inactive"
	EventUnitRestarted EventKind = "unit-restarted"
	EventUnitProblem   EventKind = "unit-problem"

	EventNodeJoined  EventKind = "node-joined"
	EventNodeRemoved EventKind = "node-removed"
	EventNodeLost    EventKind = "node-lost"
	EventNodeDead    EventKind = "node-dead"
	EventNodeReady   EventKind = "node-ready"
	EventNodeBooted  EventKind = "node-booted"
	EventNodeLabels  EventKind = "node-labels"
	EventNodeProblem EventKind = "node-problem"
	EventNodeWell    EventKind = "node-well"

	EventServerAdded    EventKind = "server-added"
	EventServerPromoted EventKind = "server-promoted"
	EventServerLeaving  EventKind = "server-leaving"
	EventServerRemoved  EventKind = "server-removed"
	EventLeaderChanged  EventKind = "leader-changed"

	EventTokenCreated EventKind = "token-created"
	EventTokenUsed    EventKind = "token-used"
	EventTokenRevoked EventKind = "token-revoked"

	EventLogBegins  EventKind = "log-begins"
	EventLogGap     EventKind = "log-gap"
	EventLogLeftOut EventKind = "log-left-out"
)

// EventMeaning explains one kind of event.
type EventMeaning struct {
	Kind    EventKind
	Meaning string
}

// EventKinds lists every kind of event there is, with its meaning: the one
// vocabulary of the API, the command line and the manual.
func EventKinds() []EventMeaning {
	return []EventMeaning{
		{EventUnitSubmitted, "a unit was handed to the cluster"},
		{EventUnitChanged, "its file was replaced by another"},
		{EventUnitDesired, "its desired state was changed"},
		{EventUnitRestart, "somebody asked for a restart of it"},
		{EventUnitDestroyed, "it was destroyed"},
		{EventUnitPlaced, "the leader gave it to a node, and why to that one"},
		{EventUnitMoved, "the leader gave it to another node than before, and why"},
		{EventUnitPending, "no node may take it, and why"},
		{EventUnitLeft, "it is no longer to be on a node"},
		{EventUnitRetry, "its own Restart= is spent: the cluster tries it again, or says when"},
		{EventUnitActive, "systemd says that it is active"},
		{EventUnitFailed, "systemd says that it failed: how it ended, and its last words"},
		{EventUnitOutput, "the last words of a unit that failed, where they were known only later"},
		{EventUnitInactive, "systemd says that it stopped, or its node has let it go"},
		{EventUnitRestarted, "it ended, and systemd starts it anew by itself"},
		{EventUnitProblem, "something keeps its node from doing what is desired"},
		{EventNodeJoined, "a node joined the cluster"},
		{EventNodeRemoved, "a node left, or was removed for good"},
		{EventNodeLost, "a node is silent: ordinary units move"},
		{EventNodeDead, "its session was declared dead: nothing waits for it any more"},
		{EventNodeReady, "a node that was lost or dead is back"},
		{EventNodeBooted, "a node has booted since"},
		{EventNodeLabels, "labels of a node changed"},
		{EventNodeProblem, "a node reports something that an operator should act on"},
		{EventNodeWell, "what it reported is gone"},
		{EventServerAdded, "a node was chosen to become a server"},
		{EventServerPromoted, "a server votes from now on"},
		{EventServerLeaving, "a server is about to lose its vote"},
		{EventServerRemoved, "a node is no server any more"},
		{EventLeaderChanged, "another server leads, or the same one anew"},
		{EventTokenCreated, "an invitation to join was made"},
		{EventTokenUsed, "a node joined with it"},
		{EventTokenRevoked, "it was taken back"},
		{EventLogBegins, "the server that was asked knows of nothing between this and the event before"},
		{EventLogGap, "it did not hear of the cluster for a while; what changed meanwhile follows"},
		{EventLogLeftOut, "so many events of one kind and subject were not kept"},
	}
}

// Event is something that happened in the cluster, as one server saw it. Events
// are derived from what the store holds, and are not stored there: each server
// keeps those that it saw, for a day.
type Event struct {
	// ID is the same on every server that saw the event.
	ID string `json:"id"`
	// Time is when the server saw it, by its own clock.
	Time time.Time `json:"time"`
	// Since is the record's own time, where it has one: of a status, by the
	// node's clock.
	Since time.Time `json:"since,omitzero"`
	// Revision is that of the snapshot in which it was first seen: whoever has
	// all events up to a revision goes on after it, on any server.
	Revision Revision  `json:"revision"`
	Kind     EventKind `json:"kind"`
	Unit     UnitName  `json:"unit,omitempty"`
	Node     NodeID    `json:"node,omitempty"`
	NodeName string    `json:"nodeName,omitempty"`
	// From is the node that a unit, or the leadership, was on before.
	From     NodeID `json:"from,omitempty"`
	FromName string `json:"fromName,omitempty"`
	// Text is one sentence that names its subject.
	Text string `json:"text"`
}
