package lab_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/audit"
	"argosy/internal/cluster"
	"argosy/internal/lab"
	"argosy/internal/lab/labtest"
	"argosy/internal/loop"
	"argosy/internal/sim"
)

// world lets the scripts of test/scripts play on lab nodes.
type world struct {
	t         *testing.T
	lab       *labtest.World
	names     []string
	operator  *operator
	submitted map[cluster.UnitName]string // name -> text, which listings leave out
	shown     *cluster.State              // what the API showed last
}

var _ sim.World = (*world)(nil)

func newWorld(t *testing.T, name string, nodes int) *world {
	w := &world{t: t, lab: labtest.New(t, labtest.Options{Name: name, Nodes: nodes}), submitted: map[cluster.UnitName]string{}}
	servers := 3
	if nodes >= 5 {
		servers = 5
	}
	w.operator = &operator{world: w, away: map[string]bool{}}
	for i := 1; i <= nodes; i++ {
		w.names = append(w.names, w.lab.N(i).Name())
		if i <= servers {
			w.operator.servers = append(w.operator.servers, w.lab.N(i))
			w.operator.clients = append(w.operator.clients, w.lab.Client(i))
		}
	}
	return w
}

func (w *world) Nodes() []string { return w.names }

func (w *world) API() sim.API { return w.operator }

func (w *world) Leader() string {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	status, err := ask(w.operator, func(c *client.Client) (wire.Status, error) { return c.Status(ctx) })
	if err != nil || status.Leader == nil {
		return ""
	}
	return status.LeaderName
}

func (w *world) node(name string) *lab.Node {
	if i := slices.Index(w.names, name); i >= 0 {
		return w.lab.N(i + 1)
	}
	w.t.Fatalf("there is no node %q", name)
	return nil
}

func (w *world) Power(name string, on bool) error {
	if on {
		return w.node(name).PowerOn(w.t.Context())
	}
	return w.node(name).PowerOff(w.t.Context())
}

// Cut cuts one direction; one to or from everybody is one to each other node.
func (w *world) Cut(from, to string) error {
	for _, a := range w.names {
		for _, b := range w.names {
			if a == b || from != "*" && from != a || to != "*" && to != b {
				continue
			}
			if err := w.lab.Cut(w.t.Context(), a+">"+b); err != nil {
				return err
			}
		}
	}
	// Users are on the side of the others.
	if to == "*" {
		w.operator.away[from] = true
	}
	if from == "*" {
		w.operator.away[to] = true
	}
	return nil
}

func (w *world) Heal() error {
	clear(w.operator.away)
	return w.lab.Heal(w.t.Context(), "")
}

func (w *world) Pause(name string, paused bool) error {
	n := w.node(name)
	switch {
	case paused:
		return n.Pause(w.t.Context())
	case n.Power() == lab.Paused:
		return n.Resume(w.t.Context())
	}
	return nil
}

// Touch makes a file on a node, or removes it.
func (w *world) Touch(name, path string, there bool) error {
	command := []string{"touch", path}
	if !there {
		command[0] = "rm"
	}
	_, err := w.node(name).Exec(w.t.Context(), nil, nil, nil, command...)
	return err
}

// Doom is for the simulator: nobody can end a lab node between two instructions.
func (w *world) Doom(string, int64, bool) error {
	return cluster.Errorf(cluster.Invalid, "a lab cannot end a node at a commit")
}

// Slow and lossy lines are for the simulator's random runs.
func (w *world) Slow(string, time.Duration) error {
	return cluster.Errorf(cluster.Invalid, "a lab has no slow lines")
}

func (w *world) Lose(string, float64) error {
	return cluster.Errorf(cluster.Invalid, "a lab has no lossy lines")
}

func (w *world) RestartDaemon(name string) error {
	_, err := w.node(name).Exec(w.t.Context(), nil, nil, nil, "systemctl", "restart", "argosy.service")
	return err
}

func (w *world) Processes(name string) (map[cluster.UnitName]int, error) {
	all := w.node(name).Services()
	for unit := range all {
		if _, ours := w.submitted[unit]; !ours {
			delete(all, unit)
		}
	}
	return all, nil
}

func (w *world) Advance(d time.Duration) { _ = loop.Sleep(w.t.Context(), d) }

// Audit checks what the API shows, and how it came from what it showed before;
// at rest counts the processes too.
func (w *world) Audit(atRest bool) []string {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	state, err := w.state(ctx)
	if err != nil && atRest {
		return []string{err.Error()}
	}
	if err != nil {
		return nil // nobody shows anything that could be wrong
	}
	findings := audit.Check(state)
	// A server that is asked after another may be behind it, for a moment.
	if w.shown != nil && state.Revision > w.shown.Revision {
		findings = append(findings, audit.CheckStep(w.shown, state)...)
	}
	w.shown = state
	if !atRest {
		findings = audit.Lasting(findings)
	}
	var wrong []string
	for _, f := range findings {
		wrong = append(wrong, f.String())
	}
	if !atRest {
		return wrong
	}
	var machines []sim.Machine
	for _, name := range w.names {
		processes, err := w.Processes(name)
		if err != nil {
			return append(wrong, err.Error())
		}
		n := w.node(name)
		machines = append(machines, sim.Machine{ID: n.MachineID(), Name: name, Up: n.On(), Processes: processes})
	}
	return slices.Concat(wrong, sim.Misplaced(state, machines), sim.Misannounced(state, machines))
}

// state puts together again what the API shows.
func (w *world) state(ctx context.Context) (*cluster.State, error) {
	nodes, err := w.operator.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	units, err := w.operator.Units(ctx)
	if err != nil {
		return nil, err
	}
	state := &cluster.State{Revision: units.Revision}
	for _, n := range nodes.Items {
		state.Nodes = append(state.Nodes, cluster.NodeState{
			Node: cluster.Node{ID: n.ID, Name: n.Name, Labels: n.Labels}, Report: cluster.Report{Node: n.ID, CPUs: n.CPUs, Memory: n.Memory},
		})
	}
	for _, u := range units.Items {
		if u.UID != "" {
			unit := u.Unit
			unit.Text = w.submitted[u.Name]
			state.Units = append(state.Units, unit)
		}
		if u.Placement != nil {
			state.Placements = append(state.Placements, *u.Placement)
		}
		state.Statuses = append(state.Statuses, u.Statuses...)
	}
	return state, nil
}

// operator calls the daemons of servers, one after the other until one
// answers, as a client with the addresses of all would. It never asks one that
// is off, paused or cut off.
type operator struct {
	world   *world
	servers []*lab.Node
	clients []*client.Client
	away    map[string]bool
	at      int // the one that answered last
}

// ask makes one call.
func ask[T any](o *operator, call func(*client.Client) (T, error)) (answer T, err error) {
	err = cluster.Errorf(cluster.Unavailable, "no server can be reached")
	for range o.servers {
		n := o.servers[o.at]
		if n.Power() == lab.On && !o.away[n.Name()] {
			answer, err = call(o.clients[o.at])
			if err == nil || cluster.KindOf(err) != cluster.Unavailable {
				return answer, err
			}
		}
		o.at = (o.at + 1) % len(o.servers)
	}
	return answer, err
}

func (o *operator) Submit(ctx context.Context, req wire.SubmitRequest) (wire.SubmitAnswer, error) {
	for _, u := range req.Units {
		o.world.submitted[u.Name] = u.Text
	}
	return ask(o, func(c *client.Client) (wire.SubmitAnswer, error) { return c.Submit(ctx, req) })
}

func (o *operator) SetDesired(ctx context.Context, req wire.DesiredRequest) (wire.DesiredAnswer, error) {
	return ask(o, func(c *client.Client) (wire.DesiredAnswer, error) { return c.SetDesired(ctx, req) })
}

func (o *operator) Restart(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return ask(o, func(c *client.Client) (wire.DesiredAnswer, error) { return c.Restart(ctx, names) })
}

func (o *operator) Destroy(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return ask(o, func(c *client.Client) (wire.DesiredAnswer, error) { return c.Destroy(ctx, names) })
}

// Scale notes the texts of the instances that it makes, which are the template's.
func (o *operator) Scale(ctx context.Context, req wire.ScaleRequest) (wire.DesiredAnswer, error) {
	answer, err := ask(o, func(c *client.Client) (wire.DesiredAnswer, error) { return c.Scale(ctx, req) })
	for _, unit := range answer.Units {
		if unit.Done == "created" {
			o.world.submitted[unit.Name] = o.world.submitted[req.Template]
		}
	}
	return answer, err
}

func (o *operator) PatchNode(ctx context.Context, id cluster.NodeID, patch wire.NodePatch) (wire.NodeView, error) {
	return ask(o, func(c *client.Client) (wire.NodeView, error) { return c.PatchNode(ctx, id, patch) })
}

func (o *operator) Units(ctx context.Context) (wire.List[wire.UnitView], error) {
	return ask(o, func(c *client.Client) (wire.List[wire.UnitView], error) { return c.Units(ctx) })
}

func (o *operator) Nodes(ctx context.Context) (wire.List[wire.NodeView], error) {
	return ask(o, func(c *client.Client) (wire.List[wire.NodeView], error) { return c.Nodes(ctx) })
}

func (o *operator) Services(ctx context.Context) (wire.Services, error) {
	return ask(o, func(c *client.Client) (wire.Services, error) { return c.Services(ctx) })
}
