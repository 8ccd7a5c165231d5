package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"argosy/internal/cluster"
)

// PutRecord writes a noun in its JSON form. The revision of a record is the
// store's to know, so callers pass the record with Revision zero; the typed
// functions below see to it.
func PutRecord(key string, record any) Op {
	var value bytes.Buffer
	encoder := json.NewEncoder(&value)
	encoder.SetEscapeHTML(false) // six bytes for each < of a text would make it larger than a transaction may be
	if err := encoder.Encode(record); err != nil {
		// The nouns hold strings, numbers and times only; none can fail.
		panic(fmt.Sprintf("store: encode %T: %v", record, err))
	}
	return Put(key, bytes.TrimSuffix(value.Bytes(), []byte("\n")))
}

// PutCluster writes the cluster's record.
func PutCluster(c cluster.Cluster) Op { return PutRecord(KeyCluster, c) }

// PutLeader writes the election record.
func PutLeader(l cluster.Leader) Op { l.Revision = 0; return PutRecord(KeyLeader, l) }

// PutNode writes a node's record.
func PutNode(n cluster.Node) Op { n.Revision = 0; return PutRecord(NodeKey(n.ID), n) }

// PutName gives a node its name.
func PutName(name string, id cluster.NodeID) Op { return PutRecord(NameKey(name), id) }

// PutReport writes a node's report.
func PutReport(r cluster.Report) Op { r.Revision = 0; return PutRecord(ReportKey(r.Node), r) }

// PutSession writes a node's session.
func PutSession(s cluster.Session) Op { s.Revision = 0; return PutRecord(SessionKey(s.Node), s) }

// PutMember writes the record of a server's membership.
func PutMember(m cluster.Member) Op { m.Revision = 0; return PutRecord(MemberKey(m.Node), m) }

// PutToken writes a join token.
func PutToken(t cluster.Token) Op { t.Revision = 0; return PutRecord(TokenKey(t.ID), t) }

// PutUnit writes a unit.
func PutUnit(u cluster.Unit) Op { u.Revision = 0; return PutRecord(UnitKey(u.Name), u) }

// PutPlacement writes a placement.
func PutPlacement(p cluster.Placement) Op { p.Revision = 0; return PutRecord(PlacementKey(p.Unit), p) }

// PutStatus writes a node's status of a unit.
func PutStatus(s cluster.Status) Op { s.Revision = 0; return PutRecord(StatusKey(s.Node, s.Unit), s) }
