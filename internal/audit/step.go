package audit

import (
	"fmt"
	"slices"

	"argosy/internal/cluster"
)

// CheckStep returns every invariant that a change from one snapshot to a later
// one breaks, sorted. Other snapshots may lie between the two.
func CheckStep(before, after *cluster.State) []Finding {
	s := step{before: before, after: after}
	s.cluster()
	s.leader()
	s.units()
	s.placements()
	s.sessions()
	return sorted(s.findings)
}

type step struct {
	before, after *cluster.State
	findings      []Finding
}

func (s *step) never(rule, subject, format string, args ...any) {
	s.findings = append(s.findings, Finding{Rule: rule, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

// cluster: the cluster stays the same one, and time goes forward.
func (s *step) cluster() {
	if b, a := s.before.Cluster.ID, s.after.Cluster.ID; b != "" && b != a {
		s.never("cluster", string(b), "cluster %s became cluster %q", b, a)
	}
	if b, a := s.before.Revision, s.after.Revision; a < b {
		s.never("revision", "state", "the revision went back from %d to %d", b, a)
	}
}

// leader: terms only grow, and each has one leader.
func (s *step) leader() {
	b, a := s.before.Leader, s.after.Leader
	switch {
	case a.Term < b.Term:
		s.never("term", string(a.Node), "the term went back from %d to %d", b.Term, a.Term)
	case a.Term == b.Term && (a.Node != b.Node || a.Revision != b.Revision):
		s.never("term", string(a.Node), "term %d belongs to %s and to %s", a.Term, b.Node.Short(), a.Node.Short())
	}
}

// units: a unit keeps its UID for as long as it exists. One that was destroyed
// and submitted again was created at another time.
func (s *step) units() {
	before := map[cluster.UnitName]cluster.Unit{}
	for _, u := range s.before.Units {
		before[u.Name] = u
	}
	for _, a := range s.after.Units {
		b, existed := before[a.Name]
		if existed && a.UID != b.UID && a.Created.Equal(b.Created) {
			s.never("uid", string(a.Name), "the UID of %s changed from %s to %s while it existed", a.Name, b.UID, a.UID)
		}
	}
}

// placements: the epoch, which units use as a fencing token, never goes back
// and grows whenever the nodes change. A unit that is to run, and that nobody
// touched, keeps its placement.
func (s *step) placements() {
	before := map[cluster.UnitName]cluster.Placement{}
	for _, p := range s.before.Placements {
		before[p.Unit] = p
	}
	for _, a := range s.after.Placements {
		b, existed := before[a.Unit]
		switch {
		case !existed:
		case a.Epoch < b.Epoch:
			s.never("epoch", string(a.Unit), "the epoch of %s went back from %d to %d", a.Unit, b.Epoch, a.Epoch)
		case a.Epoch == b.Epoch && !slices.Equal(a.Nodes, b.Nodes):
			s.never("epoch", string(a.Unit), "%s moved from %v to %v within epoch %d", a.Unit, b.Nodes, a.Nodes, a.Epoch)
		}
		delete(before, a.Unit)
	}
	was := map[cluster.UnitName]cluster.Revision{}
	for _, u := range s.before.Units {
		was[u.Name] = u.Revision
	}
	for _, u := range s.after.Units {
		if p, gone := before[u.Name]; gone && p.UID == u.UID && u.Desired != cluster.Inactive && u.Revision == was[u.Name] {
			s.never("kept", string(u.Name), "the placement of %s, which is to run, is gone", u.Name)
		}
	}
}

// sessions: a session only goes forward, and the dead do not rise.
func (s *step) sessions() {
	before := map[cluster.NodeID]cluster.Session{}
	for _, n := range s.before.Nodes {
		before[n.Node.ID] = n.Session
	}
	for _, n := range s.after.Nodes {
		b, a, id := before[n.Node.ID], n.Session, n.Node.ID
		if b.Node == "" || a.Node == "" {
			continue
		}
		if a.Epoch < b.Epoch {
			s.never("session", string(id), "the session epoch of %s went back from %d to %d", id.Short(), b.Epoch, a.Epoch)
		}
		if a.Incarnation != b.Incarnation {
			continue
		}
		if a.Seq < b.Seq {
			s.never("session", string(id), "the session of %s went back from %d to %d", id.Short(), b.Seq, a.Seq)
		}
		if b.Dead && !a.Dead {
			s.never("session", string(id), "the session of %s was declared dead and came back to life", id.Short())
		}
	}
}
