package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/place"
	"argosy/internal/store"
)

// unitsMax bounds one request.
const unitsMax = 2000

// What an Outcome says of a unit that came or went.
const (
	doneReplaced  = "replaced"
	doneCreated   = "created"
	doneDestroyed = "destroyed"
)

func (s *Server) listUnits(ctx context.Context, _ *struct{}) (*body[wire.List[wire.UnitView]], error) {
	if _, err := s.state(); err != nil {
		return nil, problemOf(err)
	}
	stale, age := s.freshness(ctx)
	shown := s.picture(nil)
	return &body[wire.List[wire.UnitView]]{wire.List[wire.UnitView]{
		Revision: shown.views.state.Revision, Stale: stale, Age: age, Items: shown.units,
	}}, nil
}

type nameInput struct {
	Name cluster.UnitName `path:"name"`
}

func (s *Server) getUnit(_ context.Context, in *nameInput) (*body[wire.UnitView], error) {
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	u, ok := findUnit(state, in.Name)
	if !ok {
		return nil, problemOf(noUnit(in.Name))
	}
	return &body[wire.UnitView]{s.views(state).unit(u)}, nil
}

func noUnit(name cluster.UnitName) error {
	return cluster.Errorf(cluster.NotFound, "there is no unit %s", name).WithHint("argosy list-unit-files shows what there is")
}

// submitUnits stores units. Everything is checked before anything is stored;
// up to the size of one transaction they are stored all or not at all.
func (s *Server) submitUnits(ctx context.Context, in *body[wire.SubmitRequest]) (*body[wire.SubmitAnswer], error) {
	if err := checkSubmission(in.Body.Units); err != nil {
		return nil, problemOf(err)
	}
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	var changes []change
	var written []cluster.Unit
	for _, unit := range in.Body.Units {
		old, exists := findUnit(state, unit.Name)
		c := submission(unit, old, exists, in.Body.Replace)
		changes = append(changes, c)
		if !exists || c.outcome.Done == doneReplaced {
			written = append(written, cluster.Unit{Name: unit.Name, Text: unit.Text})
		}
	}
	if err := s.checkCircles(state.Units, written); err != nil {
		return nil, problemOf(err)
	}
	rev, err := s.write(ctx, state.Revision, changes)
	if err != nil {
		return nil, problemOf(err)
	}
	return &body[wire.SubmitAnswer]{wire.SubmitAnswer{Revision: rev, Units: outcomes(changes)}}, nil
}

// checkSubmission returns every reason to refuse any of the units.
func checkSubmission(units []wire.SubmitUnit) error {
	if len(units) > unitsMax {
		return cluster.Errorf(cluster.Invalid, "%d units in one request; the limit is %d", len(units), unitsMax)
	}
	var reasons []string
	var hint string
	seen := map[cluster.UnitName]bool{}
	for _, u := range units {
		err := checkUnit(u.Name, u.Text)
		switch {
		case err != nil:
		case seen[u.Name]:
			err = namedTwice(u.Name)
		case u.Desired != "":
			err = checkActivation(u.Name, u.Desired)
		}
		seen[u.Name] = true
		if err != nil {
			reasons = append(reasons, err.Error())
			if hint == "" {
				hint = cluster.HintOf(err)
			}
		}
	}
	if len(reasons) > 0 {
		return cluster.Errorf(cluster.Invalid, "%s", strings.Join(reasons, "\n")).WithHint(hint)
	}
	return nil
}

func namedTwice(name cluster.UnitName) error {
	return cluster.Errorf(cluster.Invalid, "%s stands in the request twice", name)
}

// checkActivation refuses what cannot be wanted of a unit.
func checkActivation(name cluster.UnitName, desired cluster.Desired) error {
	if err := cluster.CheckDesired(desired); err != nil {
		return err
	}
	if name.IsTemplate() && desired != cluster.Inactive {
		return cluster.Errorf(cluster.Invalid, "%s is a template: only its instances can be %s", name, desired).
			WithHint(fmt.Sprintf("argosy start %s@1.%s", name.Prefix(), name.Type()))
	}
	return nil
}

// change is what a request does to one unit; no op means nothing.
type change struct {
	outcome wire.Outcome
	op      *store.Op
	guard   store.Cond
}

// set makes a change that writes a unit as it was computed from old.
func set(u cluster.Unit, old cluster.Revision, done string) change {
	op := store.PutUnit(u)
	return change{wire.Outcome{Name: u.Name, Done: done}, &op, store.ChangedAt(store.UnitKey(u.Name), old)}
}

func unchanged(name cluster.UnitName, warning string) change {
	return change{outcome: wire.Outcome{Name: name, Done: "unchanged", Warning: warning}}
}

// submission decides what a submission does to a unit. As in fleet, another
// text replaces the stored one only when that was asked for.
func submission(unit wire.SubmitUnit, old cluster.Unit, exists, replace bool) change {
	hash := cluster.HashText(unit.Text)
	desired := unit.Desired
	if desired == "" {
		desired = cluster.Inactive
		if exists {
			desired = old.Desired
		}
	}
	if !exists {
		return set(cluster.Unit{
			Name: unit.Name, UID: newUID(), Text: unit.Text, Hash: hash, Desired: desired, Created: time.Now().UTC(),
		}, 0, doneCreated)
	}
	u := old
	u.Desired = desired
	warning, done := "", "changed"
	switch {
	case old.Hash == hash:
	case replace:
		u.Text, u.Hash, u.Parameters = unit.Text, hash, nil // what the new text says counts
		done = doneReplaced
	default:
		warning = fmt.Sprintf("the stored text of %s differs from the one given and was kept; --replace replaces it", unit.Name)
	}
	if u.Desired == old.Desired && u.Hash == old.Hash {
		return unchanged(unit.Name, warning)
	}
	c := set(u, old.Revision, done)
	c.outcome.Warning = warning
	return c
}

// placing is what a text asks of placing; nothing if it cannot be read.
func placing(name cluster.UnitName, text string) place.Spec {
	spec, err := place.ParseSpec(cluster.Unit{Name: name, Text: text})
	if err != nil {
		return place.Spec{}
	}
	return *spec
}

// newUID returns 128 random bits: the name of one life of a unit.
func newUID() cluster.UID {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return cluster.UID(hex.EncodeToString(b))
}

func (s *Server) setDesired(ctx context.Context, in *body[wire.DesiredRequest]) (*body[wire.DesiredAnswer], error) {
	return s.changeUnits(ctx, in.Body.Names, func(u cluster.Unit) (change, error) {
		if err := checkActivation(u.Name, in.Body.Desired); err != nil {
			return change{}, err
		}
		if u.Desired == in.Body.Desired {
			return unchanged(u.Name, ""), nil
		}
		old := u.Revision
		u.Desired = in.Body.Desired
		return set(u, old, "changed"), nil
	})
}

func (s *Server) restartUnits(ctx context.Context, in *body[wire.NamesRequest]) (*body[wire.DesiredAnswer], error) {
	return s.changeUnits(ctx, in.Body.Names, func(u cluster.Unit) (change, error) {
		if u.Desired != cluster.Launched {
			return change{}, cluster.Errorf(cluster.Conflict, "%s is not launched but %s: there is nothing to restart", u.Name, u.Desired).
				WithHint("argosy start " + string(u.Name))
		}
		old := u.Revision
		u.Restarts++
		return set(u, old, "changed"), nil
	})
}

func (s *Server) destroyUnits(ctx context.Context, in *body[wire.NamesRequest]) (*body[wire.DesiredAnswer], error) {
	return s.changeUnits(ctx, in.Body.Names, func(u cluster.Unit) (change, error) {
		return destruction(u), nil
	})
}

// destruction makes the change that takes a unit out of the cluster.
func destruction(u cluster.Unit) change {
	op := store.Delete(store.UnitKey(u.Name))
	return change{wire.Outcome{Name: u.Name, Done: doneDestroyed}, &op, store.ChangedAt(store.UnitKey(u.Name), u.Revision)}
}

// changeUnits applies one kind of change to units that exist.
func (s *Server) changeUnits(ctx context.Context, names []cluster.UnitName, decide func(cluster.Unit) (change, error)) (*body[wire.DesiredAnswer], error) {
	if len(names) > unitsMax {
		return nil, problemOf(cluster.Errorf(cluster.Invalid, "%d units in one request; the limit is %d", len(names), unitsMax))
	}
	state, err := s.state()
	if err != nil {
		return nil, problemOf(err)
	}
	var changes []change
	seen := map[cluster.UnitName]bool{}
	for _, name := range names {
		if seen[name] {
			return nil, problemOf(namedTwice(name))
		}
		seen[name] = true
		u, ok := findUnit(state, name)
		if !ok {
			return nil, problemOf(noUnit(name))
		}
		c, err := decide(u)
		if err != nil {
			return nil, problemOf(err)
		}
		changes = append(changes, c)
	}
	rev, err := s.write(ctx, state.Revision, changes)
	if err != nil {
		return nil, problemOf(err)
	}
	return &body[wire.DesiredAnswer]{wire.DesiredAnswer{Revision: rev, Units: outcomes(changes)}}, nil
}

func outcomes(changes []change) []wire.Outcome {
	list := make([]wire.Outcome, 0, len(changes))
	for _, c := range changes {
		list = append(list, c.outcome)
	}
	return list
}

// write commits changes in as few transactions as fit, each under the conditions
// given, and waits until this server shows them. Without any it returns the
// revision that was looked at. An error says how much was done before.
func (s *Server) write(ctx context.Context, rev cluster.Revision, changes []change, conds ...store.Cond) (cluster.Revision, error) {
	done := 0
	for _, part := range parts(changes, store.TxnOpsMax-len(conds)) {
		txn := store.Txn{If: slices.Clone(conds)}
		for _, c := range part {
			txn.If = append(txn.If, c.guard)
			txn.Then = append(txn.Then, *c.op)
		}
		committed, ok, err := s.commit(ctx, txn)
		if err == nil && !ok {
			err = cluster.Errorf(cluster.Conflict, "one of the units was changed by somebody else at the same time").WithHint("try again")
		}
		if err != nil && done > 0 {
			err = cluster.Errorf(cluster.KindOf(err), "%w (%d units were done before)", err, done).WithHint(cluster.HintOf(err))
		}
		if err != nil {
			return 0, err
		}
		rev = committed
		done += len(part)
	}
	s.settle(ctx, rev)
	return rev, nil
}

// parts groups the changes that write something so that each group, of most
// changes at the most, fits into one transaction.
func parts(changes []change, most int) [][]change {
	var groups [][]change
	var group []change
	size := 0
	for _, c := range changes {
		if c.op == nil {
			continue
		}
		n := len(c.op.Key) + len(c.op.Value)
		if len(group) == most || len(group) > 0 && size+n > store.TxnBytesMax {
			groups, group, size = append(groups, group), nil, 0
		}
		group, size = append(group, c), size+n
	}
	if len(group) > 0 {
		groups = append(groups, group)
	}
	return slices.Clip(groups)
}
