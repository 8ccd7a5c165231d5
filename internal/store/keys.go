package store

import (
	"argosy/internal/cluster"
)

// Root is the prefix of everything that Argosy keeps; what applications keep
// in the same etcd lies elsewhere.
const Root = "/argosy/"

// The folders under Root, one for each noun, and the two single records.
const (
	KeyCluster       = Root + "cluster"
	KeyLeader        = Root + "leader"
	PrefixNodes      = Root + "nodes/"
	PrefixNames      = Root + "names/" // of nodes: so that none has two
	PrefixReports    = Root + "reports/"
	PrefixSessions   = Root + "sessions/"
	PrefixMembers    = Root + "members/"
	PrefixTokens     = Root + "tokens/"
	PrefixUnits      = Root + "units/"
	PrefixPlacements = Root + "placements/"
	PrefixStatuses   = Root + "statuses/" // statuses/<node>/<unit>
)

// PrefixApps is where applications keep what is theirs, in the same etcd. It lies
// outside of Root: nothing that reads or counts the cluster's own records sees it.
// Behind it stands a key as the application knows it, whatever bytes that has.
const PrefixApps = "/argosy-apps/"

// NodeKey is where a Node is kept.
func NodeKey(id cluster.NodeID) string { return PrefixNodes + string(id) }

// NameKey is where it is kept which node has a name.
func NameKey(name string) string { return PrefixNames + name }

// ReportKey is where a Report is kept.
func ReportKey(id cluster.NodeID) string { return PrefixReports + string(id) }

// SessionKey is where a Session is kept.
func SessionKey(id cluster.NodeID) string { return PrefixSessions + string(id) }

// MemberKey is where a Member is kept.
func MemberKey(id cluster.NodeID) string { return PrefixMembers + string(id) }

// TokenKey is where a Token is kept.
func TokenKey(id string) string { return PrefixTokens + id }

// UnitKey is where a Unit is kept.
func UnitKey(name cluster.UnitName) string { return PrefixUnits + string(name) }

// PlacementKey is where a Placement is kept.
func PlacementKey(name cluster.UnitName) string { return PrefixPlacements + string(name) }

// StatusKey is where a node's Status of a unit is kept.
func StatusKey(node cluster.NodeID, name cluster.UnitName) string {
	return PrefixStatuses + string(node) + "/" + string(name)
}
