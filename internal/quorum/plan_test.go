package quorum_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/quorum"
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// situation reads a cluster from lines such as
//
//	a voter                 (ready, voter in the records and in etcd)
//	b worker lost 6m        (silent for six minutes)
//	c learner 11m           (for eleven minutes; started)
//	d adding                (recorded only; in etcd too with "taken")
//	e voter gone            (its node was removed from the cluster)
//	etcd f learner          (in etcd only)
//
// The leader is a. The nodes joined in the order of the lines.
func situation(t *testing.T, text string) quorum.Input {
	t.Helper()
	in := quorum.Input{Self: "a", Now: now(), Grace: 5 * time.Minute}
	for i, line := range lines(text) {
		words := strings.Fields(line)
		if words[0] == "etcd" {
			in.Etcd = append(in.Etcd, quorum.MemberInfo{ID: uint64(100 + i), Name: words[1], PeerURL: "https://" + words[1], Learner: words[2] == "learner"})
			continue
		}
		n := quorum.Node{ID: cluster.NodeID(words[0]), PeerURL: "https://" + words[0], Health: cluster.Ready,
			Joined: now().Add(time.Duration(i-100) * time.Hour)}
		m := cluster.Member{Node: n.ID, PeerURL: n.PeerURL, State: cluster.MemberState(words[1]), MemberID: uint64(i + 1), Since: now()}
		e := quorum.MemberInfo{ID: m.MemberID, Name: string(n.ID), PeerURL: n.PeerURL, Learner: m.State == cluster.MemberLearner}
		inEtcd, inCluster := m.State != cluster.MemberAdding, true
		for _, w := range words[2:] {
			d, err := time.ParseDuration(w)
			switch {
			case err == nil && n.Health == cluster.Ready:
				m.Since = now().Add(-d)
			case err == nil:
				n.Silent = d
			case w == "gone":
				inCluster = false
			case w == "taken":
				inEtcd, e.Learner = true, true
			case w == "promoted", w == "demoted":
				e.Learner = w == "demoted"
			case w == "unknown":
				inEtcd = false
			case w == "unstarted":
				e.Name = ""
			case w == "unrecorded":
				m.State = "worker"
			case w == "addressless":
				n.PeerURL = ""
			default:
				n.Health = cluster.Health(w)
			}
		}
		if m.State == cluster.MemberAdding {
			m.MemberID = 0
		}
		if inCluster {
			in.Nodes = append(in.Nodes, n)
		}
		if m.State != "worker" {
			in.Members = append(in.Members, m)
		}
		if words[1] != "worker" && inEtcd {
			in.Etcd = append(in.Etcd, e)
		}
	}
	return in
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// picture prints steps, one a line.
func picture(steps []quorum.Step) []string {
	var out []string
	for _, s := range steps {
		who := string(s.Member.Node)
		if who == "" {
			who = "member " + strconv.FormatUint(s.Member.MemberID, 10)
		}
		out = append(out, fmt.Sprintf("%s %s as %s: %s", s.Kind, who, s.Member.State, s.Reason))
	}
	return out
}

func TestPlan(t *testing.T) {
	for _, test := range []struct{ name, situation, want string }{{
		name:      "one node is its own quorum",
		situation: `a voter`,
	}, {
		name: "two nodes have one voter: a second would only add a way to fail",
		situation: `a voter
			b worker`,
	}, {
		name: "with three nodes a first learner is added",
		situation: `a voter
			b worker
			c worker`,
		want: `add-learner b as adding: 1 of 3 voters so far`,
	}, {
		name: "then a second, once the first has started",
		situation: `a voter
			b learner
			c worker`,
		want: `add-learner c as adding: 1 of 3 voters so far`,
	}, {
		name: "not while the first is starting: they would wait for each other",
		situation: `a voter
			b learner unstarted
			c worker`,
	}, {
		name: "a first one that is lost before it started holds nobody up",
		situation: `a voter
			b learner unstarted lost
			c worker
			d worker`,
		want: `add-learner c as adding: 1 of 3 voters so far`,
	}, {
		name: "a learner alone is not promoted: two voters are worse than one",
		situation: `a voter
			b learner
			c learner unstarted`,
	}, {
		name: "two learners that have started are promoted one right after the other",
		situation: `a voter
			b learner
			c learner`,
		want: `promote b as voter: voter 2 of 3
			promote c as voter: voter 3 of 3`,
	}, {
		name: "of the two, the one that was added last is tried first, for it may not be in sync",
		situation: `a voter
			b learner 30s
			c learner 10s`,
		want: `promote c as voter: voter 2 of 3
			promote b as voter: voter 3 of 3`,
	}, {
		name: "a pair that was interrupted is completed",
		situation: `a voter
			b voter
			c learner`,
		want: `promote c as voter: voter 3 of 3`,
	}, {
		name: "a fourth node stays a worker",
		situation: `a voter
			b voter
			c voter
			d worker`,
	}, {
		name: "with five nodes it goes on to five",
		situation: `a voter
			b voter
			c voter
			d worker
			e worker`,
		want: `add-learner d as adding: 3 of 5 voters so far`,
	}, {
		name: "a sixth and seventh node stay workers",
		situation: `a voter
			b voter
			c voter
			d voter
			e voter
			f worker
			g worker`,
	}, {
		name: "nodes that are not ready do not count for growth",
		situation: `a voter
			b worker
			c worker lost 1s`,
	}, {
		name: "a node without an address cannot become a server",
		situation: `a voter
			b worker
			c worker addressless`,
	}, {
		name: "the longest member of the cluster is chosen",
		situation: `a voter
			z worker
			b worker
			c worker`,
		want: `add-learner z as adding: 1 of 3 voters so far`,
	}, {
		name: "a learner on a lost node is not promoted",
		situation: `a voter
			b learner
			c learner lost 1s`,
	}, {
		name: "an addition that was interrupted before etcd knew of it is begun again",
		situation: `a voter
			b adding
			c worker`,
		want: `add-learner b as adding: it was about to be added`,
	}, {
		name: "an addition that was interrupted after etcd knew of it is recorded",
		situation: `a voter
			b adding taken
			c worker`,
		want: `record b as learner: etcd has taken it`,
	}, {
		name: "an addition that etcd refuses for ten minutes is given up",
		situation: `a voter
			b adding 11m
			c worker`,
		want: `forget b as adding: etcd did not take it within 10m0s`,
	}, {
		name: "a promotion that was interrupted is recorded",
		situation: `a voter
			b learner promoted
			c learner`,
		want: `record b as voter: etcd has promoted it`,
	}, {
		name: "a learner that is not in sync after ten minutes is removed",
		situation: `a voter
			b learner 11m
			c learner unstarted`,
		want: `remove b as leaving: it was not in sync within 10m0s`,
	}, {
		name: "a voter that is silent for less than the grace period is left alone",
		situation: `a voter
			b voter
			c voter lost 4m
			d worker`,
	}, {
		name: "after it, a worker takes its place, and it is removed first",
		situation: `a voter
			b voter
			c voter dead 5m
			d worker`,
		want: `remove c as leaving: silent for 5m0s; d will take its place`,
	}, {
		name: "then the worker is added",
		situation: `a voter
			b voter
			c worker dead 5m
			d worker`,
		want: `add-learner d as adding: 2 of 3 voters so far`,
	}, {
		name: "and promoted alone, because that makes the set odd",
		situation: `a voter
			b voter
			c worker dead 5m
			d learner`,
		want: `promote d as voter: voter 3 of 3`,
	}, {
		name: "without a worker a dead voter keeps its seat: it may return",
		situation: `a voter
			b voter
			c voter dead 24h`,
	}, {
		name: "a dead voter is not removed if the rest has no majority",
		situation: `a voter
			b voter dead 10m
			c voter dead 10m
			d worker`,
	}, {
		name: "a voter that returns is just a voter",
		situation: `a voter
			b voter
			c voter
			d worker`,
	}, {
		name: "the member of a removed node leaves",
		situation: `a voter
			b voter
			c voter gone
			d worker`,
		want: `remove c as leaving: its node was removed from the cluster`,
	}, {
		name: "its record goes once etcd has removed it",
		situation: `a voter
			b voter
			c voter gone unknown`,
		want: `forget c as voter: the node was removed from the cluster`,
	}, {
		name: "a removal that was interrupted is completed",
		situation: `a voter
			b voter
			c leaving`,
		want: `remove c as leaving: its removal had begun`,
	}, {
		name: "a removal that etcd has carried out is forgotten",
		situation: `a voter
			b voter
			c leaving unknown`,
		want: `forget c as leaving: etcd has removed it`,
	}, {
		name: "a record that etcd does not know is forgotten",
		situation: `a voter
			b learner unknown
			c worker`,
		want: `forget b as learner: etcd does not know it any more`,
	}, {
		name: "two nodes that remain of three go back to one voter, the leader",
		situation: `a voter
			b voter`,
		want: `remove b as leaving: a set of 1 suits the nodes that there are, not one of 2`,
	}, {
		name: "of too many voters the one that is not well goes first",
		situation: `a voter
			b voter lost 1s
			c voter
			d voter`,
		want: `remove b as leaving: a set of 3 suits the nodes that there are, not one of 4`,
	}, {
		name: "of too many that are well the one that joined last goes, never the leader",
		situation: `b voter
			c voter
			d voter
			a voter`,
		want: `remove d as leaving: a set of 3 suits the nodes that there are, not one of 4`,
	}, {
		name: "a third node that is gone for long does not hold the set at two",
		situation: `a voter
			b voter
			c worker dead 5m`,
		want: `remove b as leaving: a set of 1 suits the nodes that there are, not one of 2`,
	}, {
		name: "but one that is gone for a moment does",
		situation: `a voter
			b voter
			c worker lost 1m`,
	}, {
		name: "lost nodes do not shrink the set",
		situation: `a voter
			b voter
			c voter lost 1h`,
	}, {
		name: "a member of etcd that belongs to no node is removed",
		situation: `a voter
			etcd x learner`,
		want: `remove member 101 as leaving: no node of the cluster belongs to it`,
	}, {
		name: "a voter of etcd without a record is recorded if it is a node's: the first server",
		situation: `a voter unrecorded
			b worker`,
		want: `record a as voter: etcd has it as a voter, and there was no record of it`,
	}, {
		name: "a leader whose node was removed decides nothing",
		situation: `b voter
			c voter gone`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			got := picture(quorum.Plan(situation(t, test.situation)))
			if diff := cmp.Diff(lines(test.want), got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStepsCarryTheWholeRecord(t *testing.T) {
	got := quorum.Plan(situation(t, `a voter
		b worker
		c worker`))
	want := []quorum.Step{{
		Kind:   quorum.AddLearner,
		Member: cluster.Member{Node: "b", State: cluster.MemberAdding, PeerURL: "https://b", Since: now()},
		Reason: "1 of 3 voters so far",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// carryOut is a perfect world: every step works at once.
func carryOut(in *quorum.Input, steps []quorum.Step) {
	for _, s := range steps {
		m := s.Member
		drop := func() {
			var members []cluster.Member
			for _, have := range in.Members {
				if have.Node != m.Node {
					members = append(members, have)
				}
			}
			in.Members = members
		}
		if m.Node != "" {
			drop()
		}
		switch s.Kind {
		case quorum.Record:
			in.Members = append(in.Members, m)
		case quorum.AddLearner:
			m.MemberID, m.State = uint64(len(in.Etcd)+1000+len(in.Members)*10000)+uint64(m.Node[1]), cluster.MemberLearner
			in.Members = append(in.Members, m)
			in.Etcd = append(in.Etcd, quorum.MemberInfo{ID: m.MemberID, Name: string(m.Node), PeerURL: m.PeerURL, Learner: true})
		case quorum.Promote:
			in.Members = append(in.Members, m)
			for i := range in.Etcd {
				if in.Etcd[i].ID == m.MemberID {
					in.Etcd[i].Learner = false
				}
			}
		case quorum.Remove:
			var etcd []quorum.MemberInfo
			for _, e := range in.Etcd {
				if e.ID != m.MemberID {
					etcd = append(etcd, e)
				}
			}
			in.Etcd = etcd
		case quorum.Forget:
		}
	}
}

// Whatever joins, leaves, falls silent and returns: the set always has a
// majority that is there, comes to rest, and rests on an odd number.
func TestTheSetComesToRestOnAnOddNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := func(i int) quorum.Node {
			return quorum.Node{ID: cluster.NodeID(fmt.Sprintf("n%d", i)), PeerURL: fmt.Sprintf("https://n%d", i),
				Health: cluster.Ready, Joined: now().Add(time.Duration(i) * time.Minute)}
		}
		in := quorum.Input{Self: "n0", Now: now(), Grace: 5 * time.Minute, Nodes: []quorum.Node{node(0)},
			Etcd: []quorum.MemberInfo{{ID: 1, Name: "n0", PeerURL: "https://n0"}}}
		next := 1
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			i := rapid.IntRange(0, len(in.Nodes)-1).Draw(t, "which")
			switch rapid.SampledFrom([]string{"join", "join", "join", "leave", "silent", "return"}).Draw(t, "event") {
			case "join":
				in.Nodes = append(in.Nodes, node(next))
				next++
			case "leave":
				if i > 0 {
					in.Nodes = append(in.Nodes[:i:i], in.Nodes[i+1:]...)
				}
			case "silent":
				if i > 0 {
					in.Nodes[i].Health, in.Nodes[i].Silent = cluster.Dead, time.Hour
				}
			case "return":
				in.Nodes[i].Health, in.Nodes[i].Silent = cluster.Ready, 0
			}
			settle(t, &in)
		}
	})
}

// settle carries out plans until there are none, and checks the set.
func settle(t *rapid.T, in *quorum.Input) {
	for range 50 {
		steps := quorum.Plan(*in)
		if len(steps) == 0 {
			break
		}
		if kind := steps[0].Kind; len(steps) > 1 && kind != quorum.Promote && kind != quorum.Record && kind != quorum.Forget {
			t.Fatalf("more than one change at a time: %v", picture(steps))
		}
		carryOut(in, steps)
	}
	if steps := quorum.Plan(*in); len(steps) > 0 {
		t.Fatalf("does not come to rest: %v", picture(steps))
	}
	voters, well, healthy := 0, 0, map[cluster.NodeID]cluster.Health{}
	for _, n := range in.Nodes {
		healthy[n.ID] = n.Health
	}
	for _, m := range in.Members {
		if m.State == cluster.MemberVoter {
			voters++
			if healthy[m.Node] == cluster.Ready {
				well++
			}
		}
	}
	if majority := well > voters/2; majority && voters%2 == 0 {
		t.Fatalf("rests on %d voters with %d nodes", voters, len(in.Nodes))
	}
	if voters == 0 || voters > 5 {
		t.Fatalf("%d voters", voters)
	}
}
