package place_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/unitfile"
)

// now is when every plan of these tests is made.
func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// world reads a cluster from lines such as
//
//	node a region=eu cpus=4 memory=8G lost   (health: ready unless lost, dead or unheard)
//	unit web.service conflicts=db* of=db.service needs=region:eu|us on=a global
//	unit web.service require=disk=ssd prefer=5:gpu spread=-zone near=db* cpu=0.5 memory=1G priority=10
//	old gone.service a           (a placement without a unit)
//
// The input's revision is 100, that of every record 10.
func world(t testing.TB, text string) place.Input {
	t.Helper()
	in := place.Input{
		State:  &cluster.State{Revision: 100},
		Health: map[cluster.NodeID]cluster.Health{},
		Now:    now(),
		Seed:   1,
	}
	specs := map[cluster.UnitName]*place.Spec{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "node":
			addNode(t, &in, cluster.NodeID(words[1]), words[2:])
		case "unit":
			specs[cluster.UnitName(words[1])] = addUnit(t, &in, cluster.UnitName(words[1]), words[2:])
		case "old":
			in.State.Placements = append(in.State.Placements, cluster.Placement{
				Unit: cluster.UnitName(words[1]), UID: "gone", Nodes: nodeIDs(words[2]), Epoch: 5, Reason: "as it was", Revision: 10,
			})
		default:
			t.Fatalf("world: %q", line)
		}
	}
	in.Specs = func(u cluster.Unit) (*place.Spec, error) {
		if u.Text == "broken" {
			return nil, fmt.Errorf("%s:3: what is this", u.Name)
		}
		return specs[u.Name], nil
	}
	return in
}

func addNode(t testing.TB, in *place.Input, id cluster.NodeID, words []string) {
	n := cluster.NodeState{Node: cluster.Node{ID: id, Name: string(id), Labels: map[string]string{}}}
	n.Session.BootID = "first"
	in.Health[id] = cluster.Ready
	for _, w := range words {
		key, value, label := strings.Cut(w, "=")
		switch {
		case key == "cpus":
			n.Report.CPUs = int(number(t, value))
		case key == "memory":
			n.Report.Memory = int64(number(t, value))
		case label:
			n.Node.Labels[key] = value
		case w == "unheard":
			delete(in.Health, id)
		default:
			in.Health[id] = cluster.Health(w)
		}
	}
	in.State.Nodes = append(in.State.Nodes, n)
}

func addUnit(t testing.TB, in *place.Input, name cluster.UnitName, words []string) *place.Spec {
	t.Helper()
	u := cluster.Unit{Name: name, UID: "uid-" + cluster.UID(name), Desired: cluster.Launched, Revision: 10}
	spec := &place.Spec{}
	var at []cluster.NodeID
	placed := false
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "conflicts":
			spec.Conflicts = append(spec.Conflicts, value)
		case "of":
			spec.MachineOf = append(spec.MachineOf, cluster.UnitName(value))
		case "id":
			spec.MachineID = value
		case "needs":
			label, values, _ := strings.Cut(value, ":")
			spec.Metadata = append(spec.Metadata, unitfile.Requirement{Key: label, Values: strings.Split(values, "|")})
		case "global":
			spec.Global = true
		case "replaces":
			spec.Replaces = append(spec.Replaces, value)
		case "require":
			spec.Require = append(spec.Require, expressions(t, value)...)
		case "prefer":
			weight, expression, _ := strings.Cut(value, ":")
			n, err := strconv.Atoi(weight)
			if err != nil {
				t.Fatal(err)
			}
			spec.Prefer = append(spec.Prefer, unitfile.Preference{Weight: n, Labels: expressions(t, expression)})
		case "spread":
			label, soft := strings.CutPrefix(value, "-")
			spec.Spread = append(spec.Spread, unitfile.Domain{Label: label, Soft: soft})
		case "near":
			glob, soft := strings.CutPrefix(value, "-")
			spec.Near = append(spec.Near, unitfile.Peers{Glob: glob, Soft: soft})
		case "away":
			glob, soft := strings.CutPrefix(value, "-")
			spec.Away = append(spec.Away, unitfile.Peers{Glob: glob, Soft: soft})
		case "cpu":
			spec.CPU = int64(1000 * number(t, value))
		case "memory":
			spec.Memory = int64(number(t, value))
		case "restarts":
			spec.Restarts = true
		case "final":
			spec.FinalExits = append(spec.FinalExits, int(number(t, value)))
		case "priority":
			spec.Priority = int(number(t, value))
		case "on":
			at, placed = nodeIDs(value), true
		case "broken":
			u.Text = "broken"
		case "inactive":
			u.Desired = cluster.Inactive
		default:
			t.Fatalf("world: unit %s: %q", name, w)
		}
	}
	in.State.Units = append(in.State.Units, u)
	if placed {
		in.State.Placements = append(in.State.Placements, cluster.Placement{
			Unit: name, UID: u.UID, Nodes: at, Global: spec.Global && len(at) > 0 || len(at) > 1,
			Epoch: 5, Reason: "as it was", Revision: 10,
		})
	}
	return spec
}

func expressions(t testing.TB, text string) []unitfile.Requirement {
	t.Helper()
	all, err := unitfile.ParseRequirements(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func number(t testing.TB, text string) float64 {
	t.Helper()
	n, err := unitfile.ParseSize(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func nodeIDs(list string) []cluster.NodeID {
	var out []cluster.NodeID
	for id := range strings.SplitSeq(list, ",") {
		if id != "" {
			out = append(out, cluster.NodeID(id))
		}
	}
	slices.Sort(out)
	return out
}

// picture prints a proposal, one line for each change.
func picture(p place.Proposal) string {
	var b strings.Builder
	for _, c := range p.Changes {
		where := "pending"
		if len(c.Placement.Nodes) > 0 {
			where = fmt.Sprint(c.Placement.Nodes)
		}
		fmt.Fprintf(&b, "%s %s: %s\n", c.Placement.Unit, where, c.Placement.Reason)
	}
	for _, d := range p.Deletes {
		fmt.Fprintf(&b, "%s deleted: %s\n", d.Unit, d.Reason)
	}
	return b.String()
}
