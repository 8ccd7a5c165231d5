package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"argosy/internal/audit"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// Machine is a node as it is seen from outside.
type Machine struct {
	ID   cluster.NodeID
	Name string
	Up   bool
	// Processes are the main processes of the units that run there.
	Processes map[cluster.UnitName]int
}

// Misplaced compares what runs, in processes of all nodes, with what should
// run by a snapshot, and says where they differ. It is pure.
func Misplaced(state *cluster.State, machines []Machine) []string {
	running := map[cluster.UnitName][]string{}
	for _, m := range machines {
		for name := range m.Processes {
			running[name] = append(running[name], m.Name)
		}
	}
	want := map[cluster.UnitName][]string{}
	for _, u := range state.Units {
		if u.Desired == cluster.Launched {
			want[u.Name] = homes(state, u, machines)
		}
	}
	names := slices.Concat(slices.Collect(maps.Keys(running)), slices.Collect(maps.Keys(want)))
	slices.Sort(names)
	var wrong []string
	for _, name := range slices.Compact(names) {
		if !slices.Equal(running[name], want[name]) {
			wrong = append(wrong, fmt.Sprintf("%s runs on %v and should run on %v", name, running[name], want[name]))
		}
	}
	return append(wrong, stale(state)...)
}

// stale returns what nodes say of units that are not there any more, or that
// have another text or another life by now.
func stale(state *cluster.State) []string {
	units := map[cluster.UnitName]cluster.Unit{}
	for _, u := range state.Units {
		units[u.Name] = u
	}
	var wrong []string
	for _, s := range state.Statuses {
		switch u, exists := units[s.Unit]; {
		case !exists:
			wrong = append(wrong, fmt.Sprintf("%s was destroyed, and a record of it on %s is left", s.Unit, s.Node.Short()))
		case s.UID != u.UID || s.Hash != u.Hash && s.Active == "active":
			wrong = append(wrong, fmt.Sprintf("%s is on %s as it was before it was changed or submitted again", s.Unit, s.Node.Short()))
		}
	}
	return wrong
}

// homes names the nodes on which a launched unit should have a process.
func homes(state *cluster.State, u cluster.Unit, machines []Machine) []string {
	i, ok := slices.BinarySearchFunc(state.Placements, u.Name, func(p cluster.Placement, n cluster.UnitName) int {
		return cmp.Compare(p.Unit, n)
	})
	if !ok || state.Placements[i].UID != u.UID {
		return []string{"(not placed)"}
	}
	var names []string
	up := false
	for _, m := range machines {
		if m.Up && state.Placements[i].On(m.ID) {
			up = true
			if !failed(state, u.Name, m.ID) {
				names = append(names, m.Name)
			}
		}
	}
	if !up && !state.Placements[i].Pending() {
		return []string{"(a node that has power)"}
	}
	return names
}

// failed reports whether a node says that a unit does not run because it
// failed, or waits to be started again by its systemd.
func failed(state *cluster.State, unit cluster.UnitName, node cluster.NodeID) bool {
	return slices.ContainsFunc(state.Statuses, func(s cluster.Status) bool {
		return s.Unit == unit && s.Node == node && (s.Spent() || s.Sub == "auto-restart")
	})
}

// Misannounced compares what is announced with what runs and says where they differ.
// It is pure.
func Misannounced(state *cluster.State, machines []Machine) (wrong []string) {
	var want, got []string
	chosen := map[string]bool{} // services of units whose ports the nodes choose
	line := func(o cluster.Offer, unit cluster.UnitName, node cluster.NodeID) string {
		if chosen[o.Service+" "+string(unit)] {
			o.Port = 0
		}
		return fmt.Sprintf("%s %d/%s of %s on %s", o.Service, o.Port, o.Protocol, unit, node.Short())
	}
	for _, u := range state.Units {
		file, err := unitfile.Parse(string(u.Name), []byte(u.Text))
		if err != nil || u.Name.IsTemplate() {
			continue
		}
		published, _ := unitfile.PublishedBy(u.Name, file)
		for _, m := range machines {
			for _, o := range published.Offers {
				if o.Port == 0 {
					chosen[o.Service+" "+string(u.Name)] = true
				}
				if m.Processes[u.Name] != 0 {
					want = append(want, line(o, u.Name, m.ID))
				}
			}
		}
	}
	for _, s := range catalog.Of(state, healthOf(machines)) {
		for _, e := range s.Endpoints {
			if e.Healthy {
				got = append(got, line(e.Offer, e.Unit, e.Node))
			}
		}
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			wrong = append(wrong, l+" is not announced")
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			wrong = append(wrong, l+" is announced and does not run")
		}
	}
	return wrong
}

// healthOf says of machines that have no power that they are lost.
func healthOf(machines []Machine) func(cluster.NodeID) cluster.Health {
	return func(id cluster.NodeID) cluster.Health {
		if slices.ContainsFunc(machines, func(m Machine) bool { return m.ID == id && m.Up }) {
			return cluster.Ready
		}
		return cluster.Lost
	}
}

// Audit implements World.
func (s *Sim) Audit(atRest bool) []string {
	wrong := s.watcher.take()
	if !atRest {
		return wrong
	}
	state := s.watcher.current()
	if state == nil {
		return append(wrong, "the store was not read yet")
	}
	for _, f := range audit.Check(state) {
		wrong = append(wrong, f.String())
	}
	var machines []Machine
	for _, m := range s.machines {
		machines = append(machines, Machine{m.id, m.name, m.up, m.fake.Processes()})
	}
	return slices.Concat(wrong, Misplaced(state, machines), Misannounced(state, machines))
}
