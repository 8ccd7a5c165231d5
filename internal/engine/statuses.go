package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/store"
	"argosy/internal/unitfile"
)

// gatherStatuses is how far apart the rounds of writing statuses are by
// default: long enough to gather a burst, too short to be noticed.
const gatherStatuses = 30 * time.Millisecond

// Statuses writes what the nodes that are connected to this server observe.
// Its methods may be called concurrently.
type Statuses struct {
	store  store.Store
	mirror Mirror
	batch  *batcher[nodeUpdate]
	// wrote holds what this server wrote and the mirror does not show yet: the
	// revision of each key and whether it was deleted. Used by the committing
	// loop only.
	wrote map[string]written
}

type written struct {
	rev  cluster.Revision
	gone bool
}

type nodeUpdate struct {
	node   cluster.NodeID
	update wire.StatusUpdate
}

// NewStatuses makes the writer; gather is the least time between two rounds
// (default 30 ms). Run starts it. Only Store, Mirror and Log of the ports are
// used.
func NewStatuses(deps Deps, gather time.Duration) *Statuses {
	if gather == 0 {
		gather = gatherStatuses
	}
	s := &Statuses{store: deps.Store, mirror: deps.Mirror, wrote: map[string]written{}}
	s.batch = &batcher[nodeUpdate]{pace: loop.Pace{Every: gather}, commit: s.commit}
	s.batch.loop = loop.New("statuses", deps.Log, s.batch.step)
	return s
}

// Run commits statuses until ctx ends, and returns its error.
func (s *Statuses) Run(ctx context.Context) error { return s.batch.run(ctx) }

// Update writes an update of one node's statuses. A node begins with a full
// update whenever it has connected to a server, and after every error.
//
// Each key is guarded by the revision it was last seen at: what a node sent
// through another server before cannot overwrite, or bring back, what it says
// now. A status of a unit that is destroyed and gone is dropped.
//
// Errors: NotFound (the node was removed), Denied (a status of another node), Invalid
// (offers that no unit makes), Conflict (another server wrote meanwhile), Unavailable,
// Unknown.
func (s *Statuses) Update(ctx context.Context, node cluster.NodeID, update wire.StatusUpdate) error {
	for _, status := range update.Put {
		if status.Node != node {
			return cluster.Errorf(cluster.Denied, "node %s may not write a status of node %s", node.Short(), status.Node.Short())
		}
		if err := unitfile.CheckOffers(status.Offers); err != nil {
			return cluster.Errorf(cluster.Invalid, "status of %s: %w", status.Unit, err)
		}
	}
	_, err := s.batch.do(ctx, nodeUpdate{node, update})
	return err
}

// commit commits updates. Those of one node are committed in turn: a later one
// builds on what an earlier one wrote.
func (s *Statuses) commit(ctx context.Context, batch []*request[nodeUpdate]) {
	for _, wave := range waves(batch, func(v nodeUpdate) cluster.NodeID { return v.node }) {
		s.commitWave(ctx, wave)
	}
}

// commitWave commits updates of different nodes, in transactions that they
// share. Updates whose transaction was refused are committed alone.
func (s *Statuses) commitWave(ctx context.Context, wave []*request[nodeUpdate]) {
	state := s.mirror.State()
	if state == nil {
		for _, r := range wave {
			r.answer(nodeUpdate{}, cluster.Errorf(cluster.Unavailable, "this server has not read the cluster's state yet"))
		}
		return
	}
	for key, w := range s.wrote {
		if w.rev <= state.Revision {
			delete(s.wrote, key)
		}
	}
	var writes []write
	var of []int // the update that a write belongs to
	fate := make([]error, len(wave))
	for i, r := range wave {
		var mine []write
		mine, fate[i] = s.writes(ctx, state, r.value)
		for _, w := range mine {
			writes, of = append(writes, w), append(of, i)
		}
	}
	refused := s.commitPacked(ctx, writes, func(w int, err error) { fate[of[w]] = err })
	alone := map[int][]write{}
	for _, w := range refused {
		alone[of[w]] = append(alone[of[w]], writes[w])
	}
	for i, mine := range alone {
		if fate[i] == nil {
			fate[i] = s.commitAlone(ctx, mine)
		}
	}
	for i, r := range wave {
		r.answer(nodeUpdate{}, fate[i])
	}
}

// commitAlone commits what one node wrote in a batch that was refused.
func (s *Statuses) commitAlone(ctx context.Context, writes []write) error {
	var err error
	refused := s.commitPacked(ctx, writes, func(_ int, failed error) { err = failed })
	if err == nil && len(refused) > 0 {
		return cluster.Errorf(cluster.Conflict, "another server wrote statuses of this node meanwhile").
			WithHint("send all statuses again")
	}
	return err
}

// commitPacked commits writes in as few transactions as possible, tells of
// errors, and returns the writes whose guards did not hold.
func (s *Statuses) commitPacked(ctx context.Context, writes []write, failed func(write int, err error)) (refused []int) {
	for _, b := range pack(nil, writes) {
		rev, ok, err := commit(ctx, s.store, b.txn)
		for _, i := range b.writes {
			switch {
			case err != nil:
				failed(i, err)
			case !ok:
				refused = append(refused, i)
			default:
				for _, op := range writes[i].ops {
					s.wrote[op.Key] = written{rev, op.Delete}
				}
			}
		}
	}
	return refused
}

// writes computes what an update changes in the store.
func (s *Statuses) writes(ctx context.Context, state *cluster.State, u nodeUpdate) ([]write, error) {
	if !member(state, u.node) {
		if _, err := lookUp(ctx, s.store, u.node); err != nil {
			return nil, err
		}
	}
	if u.update.Full {
		return s.replace(ctx, state, u)
	}
	var out []write
	put := map[cluster.UnitName]cluster.Status{}
	for _, status := range u.update.Put {
		put[status.Unit] = status // the last word counts
	}
	for _, name := range sortedNames(put) {
		key, status := store.StatusKey(u.node, name), put[name]
		rev, stored := s.known(state, u.node, name)
		if stored != nil && stored.Equal(status) {
			continue
		}
		if rev == 0 {
			exists, err := s.exists(ctx, state, name)
			if err != nil {
				return nil, err
			}
			if !exists {
				continue // the unit was destroyed and is gone: nobody waits for this
			}
		}
		out = append(out, statusWrite(key, rev, store.PutStatus(status)))
	}
	for _, name := range u.update.Gone {
		if _, returned := put[name]; returned {
			continue
		}
		key := store.StatusKey(u.node, name)
		if rev, _ := s.known(state, u.node, name); rev != 0 {
			out = append(out, statusWrite(key, rev, store.Delete(key)))
		}
	}
	return out, nil
}

// replace computes what a full update changes. The store is asked, not the
// mirror: another server may have written for this node a moment ago.
func (s *Statuses) replace(ctx context.Context, state *cluster.State, u nodeUpdate) ([]write, error) {
	items, err := list(ctx, s.store, store.StatusKey(u.node, ""))
	if err != nil {
		return nil, err
	}
	put := map[cluster.UnitName]cluster.Status{}
	for _, status := range u.update.Put {
		put[status.Unit] = status
	}
	var out []write
	for _, item := range items {
		name := cluster.UnitName(strings.TrimPrefix(item.Key, store.StatusKey(u.node, "")))
		status, there := put[name]
		delete(put, name)
		var stored cluster.Status
		switch {
		case !there:
			out = append(out, statusWrite(item.Key, item.Changed, store.Delete(item.Key)))
		case json.Unmarshal(item.Value, &stored) != nil || !stored.Equal(status):
			out = append(out, statusWrite(item.Key, item.Changed, store.PutStatus(status)))
		}
	}
	for _, name := range sortedNames(put) {
		exists, err := s.exists(ctx, state, name)
		if err != nil {
			return nil, err
		}
		if exists {
			out = append(out, statusWrite(store.StatusKey(u.node, name), 0, store.PutStatus(put[name])))
		}
	}
	return out, nil
}

func statusWrite(key string, rev cluster.Revision, op store.Op) write {
	return write{conds: []store.Cond{store.ChangedAt(key, rev)}, ops: []store.Op{op}}
}

// known returns the revision that a status was last written at, 0 if there is
// none, and the status itself if the mirror shows it as it is.
func (s *Statuses) known(state *cluster.State, node cluster.NodeID, name cluster.UnitName) (cluster.Revision, *cluster.Status) {
	if w, newer := s.wrote[store.StatusKey(node, name)]; newer {
		if w.gone {
			return 0, nil
		}
		return w.rev, nil
	}
	at, found := slices.BinarySearchFunc(state.Statuses, cluster.Status{Unit: name, Node: node}, compareStatuses)
	if !found {
		return 0, nil
	}
	return state.Statuses[at].Revision, &state.Statuses[at]
}

func compareStatuses(a, b cluster.Status) int {
	if c := strings.Compare(string(a.Unit), string(b.Unit)); c != 0 {
		return c
	}
	return strings.Compare(string(a.Node), string(b.Node))
}

// exists reports whether a unit is in the cluster. The node may have heard of
// it through another server before this mirror did.
func (s *Statuses) exists(ctx context.Context, state *cluster.State, name cluster.UnitName) (bool, error) {
	_, found := slices.BinarySearchFunc(state.Units, name, func(u cluster.Unit, name cluster.UnitName) int {
		return strings.Compare(string(u.Name), string(name))
	})
	if found {
		return true, nil
	}
	items, err := list(ctx, s.store, store.UnitKey(name))
	return slices.ContainsFunc(items, func(i store.Item) bool { return i.Key == store.UnitKey(name) }), err
}

func sortedNames(put map[cluster.UnitName]cluster.Status) []cluster.UnitName {
	names := make([]cluster.UnitName, 0, len(put))
	for name := range put {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
