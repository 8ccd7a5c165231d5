package place_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
	"argosy/internal/place"
)

// Stories of units that fail after their own Restart= was spent. A line is
//
//	fail web.service 3      it failed where it is, with that exit code
//	giveup web.service      its node stopped it, since it would not come up
//	run web.service         it runs where it is
//	restart web.service     a user restarts it
//	edit web.service        a user gives it another text
//	stop web.service        a user stops it
//	reboot a, lose a, find a
//	+20s                    time passes
//
// and below it what the plan then is, if it is anything.
func TestRetry(t *testing.T) {
	for _, test := range []struct{ name, world, story string }{{
		name: "another node is tried first, then all of them again, after longer and longer",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			+9s
			+1s
				web.service [b]: moved from a, where it failed (exit code 3), to b: the only node that fits
			fail web.service 4
				web.service [b]: failed on b (exit code 4); the cluster tries it again, elsewhere if it can
			+19s
			+1s
				web.service [a]: moved from b, where it failed (exit code 4), to a: the only node that fits
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			+39s
			+1s
				web.service [b]: moved from a, where it failed (exit code 3), to b: the only node that fits`,
	}, {
		name: "one that its node has given up has failed there",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			giveup web.service
				web.service [a]: failed on a (it was started again and again, and kept systemd from all else); the cluster tries it again, elsewhere if it can
			+10s
				web.service [b]: moved from a, where it failed (it was started again and again, and kept systemd from all else), to b: the only node that fits`,
	}, {
		name: "where no other node may take it, it is tried again in place",
		world: `node a
			node b
			unit web.service restarts id=a on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			+10s
				web.service [a]: tried again after it failed (exit code 3) on a: the only node that fits
			run web.service`,
	}, {
		name: "no node has said what it has, and the unit stays where it is",
		world: `node a
			node b
			node c
			unit web.service restarts cpu=0.5 on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			+10s
				web.service [a]: tried again after it failed (exit code 3) on a: the only node that fits`,
	}, {
		name: "what has run well for a while begins anew",
		world: `node a
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			+10s
				web.service [a]: tried again after it failed (exit code 3) on a: the only node that fits
			run web.service
			+20m
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			+10s
				web.service [a]: tried again after it failed (exit code 3) on a: the only node that fits`,
	}, {
		name: "a unit without Restart= stays failed",
		world: `node a
			node b
			unit web.service on=a`,
		story: `
			fail web.service 3
			+1h`,
	}, {
		name: "an exit code after which systemd is not to restart it",
		world: `node a
			node b
			unit web.service restarts final=3 on=a`,
		story: `
			fail web.service 3
			+1h
			fail web.service 4
				web.service [a]: failed on a (exit code 4); the cluster tries it again, elsewhere if it can`,
	}, {
		name: "a global unit stays failed where it failed",
		world: `node a
			unit web.service restarts global on=a`,
		story: `
			fail web.service 3
			+1h`,
	}, {
		name: "a user who restarts it is faster",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			restart web.service
				web.service [a]: kept on a
			+1h`,
	}, {
		name: "another text is another unit",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			edit web.service
				web.service [a]: kept on a
			+1h`,
	}, {
		name: "a user who stops it is obeyed",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			stop web.service
				web.service [a]: kept on a
			+1h`,
	}, {
		name: "what failed before a boot has not failed since",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			reboot a
				web.service [a]: kept on a
			+1h`,
	}, {
		name: "a node that is lost is left for that reason",
		world: `node a
			node b
			unit web.service restarts on=a`,
		story: `
			fail web.service 3
				web.service [a]: failed on a (exit code 3); the cluster tries it again, elsewhere if it can
			lose a
				web.service [b]: moved from a, which is lost, to b: the only node that fits
			find a
			+1h`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			in := world(t, test.world)
			in.State = place.Apply(in.State, place.Plan(in))
			steps := lines(test.story)
			for len(steps) > 0 {
				step := steps[0]
				steps = steps[1:]
				var want []string
				for len(steps) > 0 && strings.Contains(steps[0], "]: ") {
					want, steps = append(want, steps[0]), steps[1:]
				}
				happen(t, &in, step)
				sameOnShelves(t, in)
				plan := place.Plan(in)
				if diff := cmp.Diff(want, lines(picture(plan))); diff != "" {
					t.Fatalf("plan after %q (-want +got):\n%s", step, diff)
				}
				in.State = place.Apply(in.State, plan)
			}
		})
	}
}

// happen lets one thing of a story happen.
func happen(t *testing.T, in *place.Input, step string) {
	t.Helper()
	words := strings.Fields(step)
	if after, passes := strings.CutPrefix(step, "+"); passes {
		d, err := time.ParseDuration(after)
		if err != nil {
			t.Fatal(err)
		}
		in.Now = in.Now.Add(d)
		return
	}
	in.State.Revision++
	switch words[0] {
	case "lose":
		in.Health[cluster.NodeID(words[1])] = cluster.Lost
		return
	case "find":
		in.Health[cluster.NodeID(words[1])] = cluster.Ready
		return
	case "reboot":
		in.State.Nodes[0].Session.BootID = "second"
		return
	}
	u, p := &in.State.Units[0], in.State.Placements[0]
	status := cluster.Status{
		Unit: u.Name, Node: p.Nodes[0], UID: u.UID, Hash: u.Hash, Epoch: p.Epoch,
		Restarts: cluster.Assign(*u, p).Restarts, Active: "active",
	}
	for _, n := range in.State.Nodes {
		if n.Node.ID == p.Nodes[0] {
			status.BootID = n.Session.BootID
		}
	}
	switch words[0] {
	case "fail":
		status.Active, status.Result, status.ExitCode = "failed", "exit-code", int(number(t, words[2]))
	case "giveup":
		status.Active, status.Job = "inactive", cluster.JobGaveUp
	case "run":
	case "restart":
		u.Restarts++
		return
	case "edit":
		u.Hash = "another"
		return
	case "stop":
		u.Desired = cluster.Loaded
		return
	default:
		t.Fatalf("story: %q", step)
	}
	in.State.Statuses = []cluster.Status{status}
}

func TestTheNextPlanIsDueWhenTheFirstUnitIs(t *testing.T) {
	in := world(t, `node a
		unit a.service restarts on=a
		unit b.service restarts on=a
		unit c.service on=a`)
	if next := place.Plan(in).Next; !next.IsZero() {
		t.Errorf("nothing failed, and the next plan is due at %s", next)
	}
	for i := range in.State.Placements {
		p := &in.State.Placements[i]
		p.Retry = &cluster.Retry{Count: 1, Last: now(), Due: now().Add(time.Duration(5-i) * time.Minute)}
		in.State.Statuses = append(in.State.Statuses, cluster.Status{
			Unit: p.Unit, Node: "a", UID: p.UID, Epoch: p.Epoch, Restarts: 1, Active: "failed",
		})
	}
	if got, want := place.Plan(in).Next, now().Add(4*time.Minute); !got.Equal(want) {
		t.Errorf("the next plan is due at %s, not at %s", got, want)
	}
}

// However many units are sick, few of them are tried again at once, so that they
// do not keep nodes from what can run.
func TestFewUnitsAreOnTrialAtOnce(t *testing.T) {
	text := "node a\nnode b\nnode c lost\n"
	for i := range 9 {
		text += fmt.Sprintf("unit u%d.service restarts on=a\n", i)
	}
	in := world(t, text)
	status := func(i int, active string) {
		p := in.State.Placements[i]
		s := cluster.Status{
			Unit: p.Unit, Node: p.Nodes[0], UID: p.UID, Epoch: p.Epoch, Active: active,
			Restarts: cluster.Assign(in.State.Units[i], p).Restarts,
		}
		in.State.Statuses = append(slices.DeleteFunc(in.State.Statuses, func(t cluster.Status) bool { return t.Unit == s.Unit }), s)
	}
	for i := range 9 {
		// The later its name, the longer it waits.
		in.State.Placements[i].Retry = &cluster.Retry{Count: 1, Due: now().Add(time.Duration(-i) * time.Second), Last: now().Add(-time.Hour)}
		status(i, "failed")
	}
	for _, step := range []struct {
		name  string
		do    func()
		tried string
	}{
		{"two for each node that is ready, those that wait for longest", func() {}, "u5.service u6.service u7.service u8.service"},
		{"no more before it is known how that ended", func() { in.Now = in.Now.Add(2 * time.Second) }, ""},
		{"one that is still starting, or has just begun to run, is on trial", func() { status(5, "activating"); status(6, "active") }, ""},
		{"one has run for a while", func() { in.Now = in.Now.Add(time.Second) }, "u4.service"},
		{"one failed again", func() { status(7, "failed"); in.Now = in.Now.Add(17 * time.Second) }, "u3.service"},
		{"two of which nothing is heard have lasted too long", func() { in.Now = in.Now.Add(11 * time.Second) }, "u1.service u2.service"},
	} {
		step.do()
		plan := place.Plan(in)
		var tried []string
		for _, c := range plan.Changes {
			if r := c.Placement.Retry; r.Count > in.State.Placements[c.Placement.Unit[1]-'0'].Tries() {
				tried = append(tried, string(c.Placement.Unit))
			}
		}
		if got := strings.Join(tried, " "); got != step.tried {
			t.Errorf("%s: tried again: %q, not %q", step.name, got, step.tried)
		}
		if want := in.Now.Add(time.Second); !plan.Next.Equal(want) {
			t.Errorf("%s: it is looked at again at %s, not %s", step.name, plan.Next, want)
		}
		in.State = place.Apply(in.State, plan)
	}
}
