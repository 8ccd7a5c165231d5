package events

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// nodes tells of the nodes. Their list is never shared, since sessions change
// all the time, and there are few of them.
func (d *differ) nodes() {
	walk(d.before.State.Nodes, d.after.State.Nodes,
		func(a, b *cluster.NodeState) int { return cmp.Compare(a.Node.ID, b.Node.ID) },
		// Every pair is looked at: health is not part of the records.
		func(*cluster.NodeState) cluster.Revision { return 0 },
		func(was, is *cluster.NodeState) {
			if is == nil {
				e := nodeEvent(cluster.EventNodeRemoved, was, "no longer in the cluster")
				d.addGone(partNode, was.Node.Revision, e)
				return
			}
			e := nodeEvent(cluster.EventNodeJoined, is, "joined the cluster")
			e.Since = is.Node.Joined
			d.add(partNode, is.Node.Revision, e)
		})
	i := 0
	for j := range d.after.State.Nodes {
		is := &d.after.State.Nodes[j]
		for i < len(d.before.State.Nodes) && d.before.State.Nodes[i].Node.ID < is.Node.ID {
			i++
		}
		if i < len(d.before.State.Nodes) && d.before.State.Nodes[i].Node.ID == is.Node.ID {
			d.node(&d.before.State.Nodes[i], is)
		}
	}
}

// node tells what changed of one.
func (d *differ) node(was, is *cluster.NodeState) {
	d.health(was, is)
	if was.Session.BootID != is.Session.BootID && was.Session.BootID != "" {
		d.add(partNode, is.Session.Revision, nodeEvent(cluster.EventNodeBooted, is, "booted"))
	}
	if was.Node.Revision != is.Node.Revision || was.Report.Revision != is.Report.Revision {
		d.labels(was, is)
	}
	if was.Report.Revision != is.Report.Revision {
		if fresh := missing(is.Report.Problems, was.Report.Problems); len(fresh) > 0 {
			d.add(partNode, is.Report.Revision, nodeEvent(cluster.EventNodeProblem, is, strings.Join(fresh, "; ")))
		}
		if gone := missing(was.Report.Problems, is.Report.Problems); len(gone) > 0 {
			d.add(partNode, is.Report.Revision, nodeEvent(cluster.EventNodeWell, is, "no longer: "+strings.Join(gone, "; ")))
		}
	}
}

func nodeEvent(kind cluster.EventKind, n *cluster.NodeState, text string) cluster.Event {
	return cluster.Event{Kind: kind, Node: n.Node.ID, Text: n.Node.Name + ": " + text}
}

// health tells that a node fell silent or came back. The session's revision, the
// last that was heard, makes the ID: every server sees the same silence.
func (d *differ) health(was, is *cluster.NodeState) {
	before, after := d.before.health(was), d.after.health(is)
	limits := d.after.State.Cluster.Timings
	switch {
	case before == after:
	case after == cluster.Dead:
		d.addAt(partHealth, is.Session.Revision, is.Session.Revision,
			nodeEvent(cluster.EventNodeDead, is, "declared dead: silent"+silentFor(limits.Dead)+", and no unit waits for it any more"))
	case after == cluster.Lost && before != cluster.Dead:
		d.addAt(partHealth, 0, is.Session.Revision,
			nodeEvent(cluster.EventNodeLost, is, "lost: silent"+silentFor(limits.Lost)+", so units that may run elsewhere move"))
	case after == cluster.Ready && before != "":
		d.add(partHealth, is.Session.Revision, nodeEvent(cluster.EventNodeReady, is, "heard again"))
	}
}

// silentFor says for how long a node was silent at least.
func silentFor(limit time.Duration) string {
	if limit <= 0 {
		return ""
	}
	return " for " + limit.String()
}

// health returns how a view sees a node. The snapshot may be ahead of what was
// timed, so a session that is dead is dead.
func (v View) health(n *cluster.NodeState) cluster.Health {
	if n.Session.Dead {
		return cluster.Dead
	}
	return v.Health[n.Node.ID]
}

// labels tells which labels changed, as placing sees them.
func (d *differ) labels(was, is *cluster.NodeState) {
	before, after := cluster.MergeLabels(was.Node, was.Report), cluster.MergeLabels(is.Node, is.Report)
	if maps.Equal(before, after) {
		return
	}
	var changes []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		old, had := before[key]
		switch {
		case !had:
			changes = append(changes, fmt.Sprintf("%s=%s is new", key, after[key]))
		case old != after[key]:
			changes = append(changes, fmt.Sprintf("%s=%s was %s", key, after[key], old))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[key]; !has {
			changes = append(changes, fmt.Sprintf("%s=%s is gone", key, before[key]))
		}
	}
	record := max(is.Node.Revision, is.Report.Revision)
	d.add(partNode, record, nodeEvent(cluster.EventNodeLabels, is, "labels: "+strings.Join(changes, ", ")))
}

// missing returns what is in a list and not in another.
func missing(list, other []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			out = append(out, s)
		}
	}
	return out
}

// leader tells who leads. A leader that was elected anew after its daemon had
// been restarted is told too: its term is another.
func (d *differ) leader() {
	was, is := d.before.State.Leader, d.after.State.Leader
	if was.Revision == is.Revision || is.Node == "" {
		return
	}
	text := fmt.Sprintf("%s leads (term %d)", d.name(is.Node), is.Term)
	if was.Node != "" && was.Node != is.Node {
		text = fmt.Sprintf("%s leads after %s (term %d)", d.name(is.Node), d.name(was.Node), is.Term)
	} else if was.Node == is.Node {
		text = fmt.Sprintf("%s leads anew (term %d)", d.name(is.Node), is.Term)
	}
	d.add(partLeader, is.Revision, cluster.Event{
		Kind: cluster.EventLeaderChanged, Node: is.Node, From: was.Node, Since: is.Since, Text: text,
	})
}

// members tells how nodes become servers and cease to be.
func (d *differ) members() {
	walk(d.before.State.Members, d.after.State.Members,
		func(a, b *cluster.Member) int { return cmp.Compare(a.Node, b.Node) },
		func(m *cluster.Member) cluster.Revision { return m.Revision },
		func(was, is *cluster.Member) {
			if is == nil {
				d.addGone(partMember, was.Revision, d.memberEvent(cluster.EventServerRemoved, was, "no longer a server"))
				return
			}
			state := cluster.MemberState("")
			if was != nil {
				state = was.State
			}
			switch {
			case state == is.State:
			case is.State == cluster.MemberVoter:
				d.add(partMember, is.Revision, d.memberEvent(cluster.EventServerPromoted, is, "votes from now on"))
			case is.State == cluster.MemberLeaving:
				d.add(partMember, is.Revision, d.memberEvent(cluster.EventServerLeaving, is, "about to lose its vote"))
			case was == nil:
				d.add(partMember, is.Revision, d.memberEvent(cluster.EventServerAdded, is, "becomes a server"))
			}
		})
}

func (d *differ) memberEvent(kind cluster.EventKind, m *cluster.Member, text string) cluster.Event {
	return cluster.Event{Kind: kind, Node: m.Node, Since: m.Since, Text: d.name(m.Node) + ": " + text}
}

// tokens tells of invitations, by their public IDs. One that is dropped long
// after it expired is no event.
func (d *differ) tokens() {
	walk(d.before.State.Tokens, d.after.State.Tokens,
		func(a, b *cluster.Token) int { return cmp.Compare(a.ID, b.ID) },
		func(t *cluster.Token) cluster.Revision { return t.Revision },
		func(was, is *cluster.Token) {
			if is == nil {
				if d.after.At.Before(was.Expires) {
					d.addGone(partToken, was.Revision, tokenEvent(cluster.EventTokenRevoked, was, "revoked"))
				}
				return
			}
			var used []cluster.NodeID
			if was != nil {
				used = was.UsedBy
			} else {
				e := tokenEvent(cluster.EventTokenCreated, is, fmt.Sprintf("made for %d node(s), until %s",
					is.Uses+len(is.UsedBy), is.Expires.UTC().Format(time.RFC3339)))
				e.Since = is.Created
				d.add(partToken, is.Revision, e)
			}
			for _, node := range is.UsedBy {
				if !slices.Contains(used, node) {
					e := tokenEvent(cluster.EventTokenUsed, is, fmt.Sprintf("used by %s; %d more may use it", d.name(node), is.Uses))
					e.Node = node
					d.add(partToken, is.Revision, e)
				}
			}
		})
}

// tokenEvent makes an event of a token. Two tokens never change in one
// transaction, so the revision tells them apart.
func tokenEvent(kind cluster.EventKind, t *cluster.Token, text string) cluster.Event {
	return cluster.Event{Kind: kind, Text: "token " + t.ID + ": " + text}
}
