package engine

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/audit"
	"argosy/internal/cluster"
	"argosy/internal/metrics"
	"argosy/internal/place"
	"argosy/internal/store"
)

// round is what one round of leading works on.
type round struct {
	state  *cluster.State
	now    time.Time
	leader cluster.Leader // as held; its revision is the fencing key
	since  time.Time      // when it was won
}

// guard fences every write of the round.
func (r round) guard() []store.Cond {
	return []store.Cond{store.ChangedAt(store.KeyLeader, r.leader.Revision)}
}

// commitsAtOnce is how many transactions the leader has under way: etcd makes
// one disk write of those that arrive together.
const commitsAtOnce = 4

// leadRound makes the cluster as it should be, one step further.
func (e *Engine) leadRound(ctx context.Context, r round) (time.Duration, error) {
	if r.state.Revision < r.leader.Revision {
		return idlePoll, nil // the mirror does not show our own election yet
	}
	e.mu.Lock()
	health := e.live.all()
	dying := e.live.dying(r.now, r.since)
	due := e.live.due(r.now, r.since)
	e.mu.Unlock()
	e.wakeServers(r.state, health)

	placements, err := e.place(r, health)
	if err != nil {
		e.deps.Metrics.RoundFailed(metrics.FailureSchedule)
		return 0, err
	}
	if err := e.commitPlan(ctx, r, append(deaths(dying), placements...)); err != nil {
		return 0, err
	}
	if next := e.settled.next; !next.IsZero() {
		due = min(due, max(next.Sub(r.now), planEvery))
	}
	return due, e.sweep(ctx, r)
}

// commitPlan commits first what makes room: if a part of that is refused, what
// comes into the room would come too early, and is planned anew.
func (e *Engine) commitPlan(ctx context.Context, r round, writes []write) error {
	leaving, coming := []write{}, []write{}
	for _, w := range writes {
		if w.comes {
			coming = append(coming, w)
		} else {
			leaving = append(leaving, w)
		}
	}
	if len(pack(r.guard(), writes)) == 1 { // all of it happens, or nothing
		leaving, coming = writes, nil
	}
	refused, err := e.commitAll(ctx, r, leaving)
	if err != nil || refused {
		return err
	}
	_, err = e.commitAll(ctx, r, coming)
	return err
}

// sweep removes what has no reason to exist. It comes last: nobody waits for it.
func (e *Engine) sweep(ctx context.Context, r round) error {
	orphans, err := e.orphans(ctx, r)
	if err != nil {
		e.deps.Metrics.RoundFailed(metrics.FailureRun)
		return err
	}
	_, err = e.commitAll(ctx, r, append(garbage(r.state, r.now), orphans...))
	return err
}

// deaths declares sessions dead, each at the last revision that was seen: a
// renewal that slips in makes the write fail.
func deaths(sessions []cluster.Session) []write {
	var out []write
	for _, s := range sessions {
		was := s.Revision
		s.Dead = true
		s.Epoch++
		out = append(out, write{
			conds: []store.Cond{store.ChangedAt(store.SessionKey(s.Node), was)},
			ops:   []store.Op{store.PutSession(s)},
		})
	}
	return out
}

// place plans the placements, audits the result and turns it into writes.
func (e *Engine) place(r round, health map[cluster.NodeID]cluster.Health) ([]write, error) {
	input := planInput{
		health: health, nodes: r.state.Nodes, units: r.state.Units, placements: r.state.Placements,
		statuses: r.state.Statuses, failures: e.settled.failures,
	}
	if !shared(input.statuses, e.settled.statuses) {
		input.failures = failures(input.statuses)
	}
	if e.settled.equal(input) && !e.settled.due(r.now) {
		return nil, nil
	}
	e.specs.Prune(len(r.state.Units))
	e.plans.Add(1)
	proposal := place.Plan(place.Input{
		State: r.state, Health: health, Specs: e.specs.Of, Now: r.now.UTC().Round(0), Seed: place.SeedOf(r.state.Cluster.ID),
	})
	if proposal.Empty() {
		e.settled = input
		e.settled.next = proposal.Next
		return nil, nil
	}
	proposal, err := e.audited(r.state, proposal)
	if err != nil {
		return nil, err
	}
	var out []write
	for _, c := range proposal.Changes {
		name := c.Placement.Unit
		e.log.Info("place", "unit", name, "nodes", c.Placement.Nodes, "epoch", c.Placement.Epoch, "because", c.Placement.Reason)
		out = append(out, write{
			conds: []store.Cond{
				store.ChangedAt(store.UnitKey(name), c.UnitRevision),
				store.ChangedAt(store.PlacementKey(name), c.PlacementRevision),
			},
			ops:   []store.Op{store.PutPlacement(c.Placement)},
			task:  taskOf(c.Placement),
			comes: !leaves(r.state, c.Placement),
		})
	}
	for _, d := range proposal.Deletes {
		e.log.Info("unplace", "unit", d.Unit, "because", d.Reason)
		out = append(out, write{
			conds: []store.Cond{
				// Revision 0 demands that the unit does not exist: a record that
				// the mirror could not read must not look like a destroyed unit.
				store.ChangedAt(store.UnitKey(d.Unit), d.UnitRevision),
				store.ChangedAt(store.PlacementKey(d.Unit), d.PlacementRevision),
			},
			ops:  []store.Op{store.Delete(store.PlacementKey(d.Unit))},
			task: metrics.TaskUnschedule,
		})
	}
	return out, nil
}

// leaves reports whether a unit goes off a node that it is placed on.
func leaves(state *cluster.State, next cluster.Placement) bool {
	i, found := slices.BinarySearchFunc(state.Placements, next.Unit, func(p cluster.Placement, name cluster.UnitName) int {
		return cmp.Compare(p.Unit, name)
	})
	return found && slices.ContainsFunc(state.Placements[i].Nodes, func(id cluster.NodeID) bool { return !next.On(id) })
}

// taskOf names the change of a placement as fleet did.
func taskOf(p cluster.Placement) string {
	if p.Pending() {
		return metrics.TaskUnschedule
	}
	return metrics.TaskSchedule
}

// planInput is what placing depends on, of all that a snapshot holds. Renewals
// of sessions come all the time and change none of it, and of statuses only
// those count that say that a unit failed.
type planInput struct {
	health     map[cluster.NodeID]cluster.Health
	nodes      []cluster.NodeState
	units      []cluster.Unit
	placements []cluster.Placement
	statuses   []cluster.Status
	failures   []failure
	next       time.Time // when the plan is to be made anew all the same
}

// failure is one failure of one start of a unit.
type failure struct {
	unit     cluster.UnitName
	node     cluster.NodeID
	epoch    cluster.Epoch
	restarts int64
	hash     cluster.Hash
	boot     string
	exit     int
}

func failures(statuses []cluster.Status) []failure {
	var out []failure
	for i := range statuses {
		if s := &statuses[i]; s.Spent() {
			out = append(out, failure{s.Unit, s.Node, s.Epoch, s.Restarts, s.Hash, s.BootID, s.ExitCode})
		}
	}
	return out
}

// due reports whether time alone asks for another plan.
func (p planInput) due(now time.Time) bool { return !p.next.IsZero() && !now.Before(p.next) }

// equal compares with the snapshot of another round. Lists of the mirror are
// shared between snapshots until they change, so most are compared by where
// they are.
func (p planInput) equal(q planInput) bool {
	return p.health != nil && maps.Equal(p.health, q.health) &&
		shared(p.units, q.units) && shared(p.placements, q.placements) && slices.Equal(p.failures, q.failures) &&
		slices.EqualFunc(p.nodes, q.nodes, func(a, b cluster.NodeState) bool {
			same := a.Node.ID == b.Node.ID && a.Node.Revision == b.Node.Revision
			if !same || a.Report.Revision == b.Report.Revision {
				return same
			}
			a.Report.Revision = b.Report.Revision // one that was written again and says the same is no change
			return reflect.DeepEqual(a.Report, b.Report)
		})
}

func shared[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// audited returns the part of a proposal that breaks no invariant which holds
// without it. What it leaves out is a bug of place, so it is logged as one.
func (e *Engine) audited(state *cluster.State, proposal place.Proposal) (place.Proposal, error) {
	bad := e.breaks(state, proposal)
	if len(bad) == 0 {
		return proposal, nil
	}
	subjects := map[string]bool{}
	e.deps.Metrics.RoundFailed(metrics.FailureSchedule)
	for _, f := range bad {
		subjects[f.Subject] = true
		e.log.Error("a plan was refused by the audit", "rule", f.Rule, "finding", f.Message)
	}
	proposal.Changes = slices.DeleteFunc(proposal.Changes, func(c place.Change) bool {
		return subjects[string(c.Placement.Unit)] ||
			slices.ContainsFunc(c.Placement.Nodes, func(id cluster.NodeID) bool { return subjects[string(id)] })
	})
	proposal.Deletes = slices.DeleteFunc(proposal.Deletes, func(d place.Deletion) bool { return subjects[string(d.Unit)] })
	if still := e.breaks(state, proposal); len(still) > 0 {
		return place.Proposal{}, cluster.Errorf(cluster.Internal, "plan refused by the audit: %s", still[0])
	}
	return proposal, nil
}

// breaks returns the findings that a proposal brings about.
func (e *Engine) breaks(state *cluster.State, proposal place.Proposal) []audit.Finding {
	next := place.Apply(state, proposal)
	findings := append(audit.CheckWith(next, e.specs.Of), audit.CheckStep(state, next)...)
	if len(findings) == 0 {
		return nil
	}
	before := audit.CheckWith(state, e.specs.Of)
	return slices.DeleteFunc(findings, func(f audit.Finding) bool { return slices.Contains(before, f) })
}

// commitAll commits writes in as few transactions as possible, waits until the
// mirror shows them, and says whether any was refused. A transaction that is
// refused, because something changed meanwhile, is no error: when the mirror
// shows that change it wakes the engine, and the rest was not held up.
func (e *Engine) commitAll(ctx context.Context, r round, writes []write) (refused bool, err error) {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(commitsAtOnce)
	var mu sync.Mutex
	var latest cluster.Revision
	for _, b := range pack(r.guard(), writes) {
		group.Go(func() error {
			rev, ok, err := commit(gctx, e.deps.Store, b.txn)
			e.count(writes, b.writes, ok && err == nil)
			mu.Lock()
			defer mu.Unlock()
			latest, refused = max(latest, rev), refused || !ok
			return err
		})
	}
	err = group.Wait()
	if err != nil {
		e.deps.Metrics.RoundFailed(metrics.FailureRun)
	}
	if latest > 0 {
		catchUp(ctx, e.deps.Mirror, latest)
	}
	return refused, err
}

// count counts the placements among some writes.
func (e *Engine) count(writes []write, which []int, done bool) {
	tasks := map[string]int{}
	for _, i := range which {
		tasks[writes[i].task]++
	}
	for _, kind := range []string{metrics.TaskSchedule, metrics.TaskUnschedule} {
		e.deps.Metrics.Tasks(kind, tasks[kind], done)
	}
}
