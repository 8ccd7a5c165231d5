package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"argosy/internal/api/wire"
	"argosy/internal/cli/waiter"
	"argosy/internal/cluster"
)

// Limits on one request, so that a thousand files are a few requests and none
// is too big for a server to take.
const (
	batchUnits = 2000
	batchBytes = 8 << 20
)

// fewUnits is up to how many units are asked for one by one, instead of all
// that the cluster has.
const fewUnits = 4

// handover is what submit, load and start have in common: units are brought
// into the cluster if they are not there, and to a desired state.
type handover struct {
	*app
	verb    string
	desired cluster.Desired
	goal    waiter.Goal // 0: there is nothing to wait for
	replace bool
	wait    waitFlags
}

// bind gives the verb its flags.
func (h *handover) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&h.replace, "replace", false, "take the file even if the cluster has another text under the name")
	if h.goal != 0 {
		h.wait.bind(h.app, cmd)
	}
	cmd.ValidArgsFunction = h.unitNames(true)
}

func (h *handover) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	limit, err := h.wait.limit(cmd)
	if err != nil {
		return err
	}
	units, err := parseWanted(args)
	if err != nil {
		return err
	}
	b, err := h.connect(ctx)
	if err != nil {
		return err
	}
	found, err := h.find(ctx, b, units)
	if err != nil {
		return err
	}
	if found, err = h.withReplicas(ctx, b, found); err != nil {
		return err
	}
	plan, err := planHandover(h.verb, h.desired, h.replace, found)
	for _, warning := range plan.warnings {
		h.notef("warning: %s", warning)
	}
	if err != nil {
		return err
	}
	answer, err := h.send(ctx, b, plan)
	if err != nil {
		return err
	}
	h.noteOutcomes(answer.Units)
	if h.goal == 0 || h.wait.noBlock {
		return nil
	}
	started := slices.DeleteFunc(answer.Units, func(o wire.Outcome) bool { return o.Name.IsTemplate() })
	return h.await(ctx, b, waiter.New(h.goal, answer.Revision, awaited(started, before(found))), limit)
}

// found is what is known of a unit before anything is decided.
type found struct {
	wanted
	registry *wire.UnitView // as the cluster has it; nil if it has not
	local    *source        // as the disk has it; nil if it has not
	template *source        // as the cluster has its template, if that is needed
	replicas int            // of a template: how many instances are started for it
}

// find looks the units up in fleet's order: the cluster, a file, the cluster's
// template, a template file next to it.
func (h *handover) find(ctx context.Context, b Backend, units []wanted) ([]found, error) {
	names := make([]cluster.UnitName, 0, len(units))
	for _, unit := range units {
		names = append(names, unit.name)
	}
	registry, err := h.lookUp(ctx, b, names)
	if err != nil {
		return nil, err
	}
	templates := map[cluster.UnitName]*source{}
	var all []found
	for _, unit := range units {
		f := found{wanted: unit}
		if view, ok := registry[unit.name]; ok {
			f.registry = &view
		}
		if f.local, err = unit.local(); err != nil {
			return nil, err
		}
		if f.registry == nil && unit.name.Template() != "" {
			if f.template, err = h.template(ctx, b, templates, unit.name.Template()); err != nil {
				return nil, err
			}
		}
		all = append(all, f)
	}
	return all, nil
}

// withReplicas adds the instances that templates ask for by Replicas=, if the
// verb is to do more than to store them.
func (h *handover) withReplicas(ctx context.Context, b Backend, units []found) ([]found, error) {
	if h.desired == cluster.Inactive {
		return units, nil
	}
	named := map[cluster.UnitName]bool{}
	for _, unit := range units {
		named[unit.name] = true
	}
	all := units
	for i, unit := range units {
		if !unit.name.IsTemplate() {
			continue
		}
		text, err := h.textOf(ctx, b, unit)
		if err != nil {
			return nil, err
		}
		if text == nil {
			continue
		}
		units[i].replicas = replicasOf(unit.name, text.text)
		var instances []wanted
		for n := range units[i].replicas {
			if name := unit.name.Instantiate(strconv.Itoa(n + 1)); !named[name] {
				instances = append(instances, wanted{name: name, dir: unit.dir, explicit: unit.explicit})
			}
		}
		more, err := h.find(ctx, b, instances)
		if err != nil {
			return nil, err
		}
		for j := range more {
			more[j].template = text // which may be about to replace the one that find saw
		}
		all = append(all, more...)
	}
	return all, nil
}

// textOf returns what the text of a template will be once it was handed over.
func (h *handover) textOf(ctx context.Context, b Backend, unit found) (*source, error) {
	if unit.registry != nil && (unit.local == nil || !h.replace) {
		return h.template(ctx, b, map[cluster.UnitName]*source{}, unit.name) // listings have no texts
	}
	return unit.local, nil
}

// template returns the text of a template that the cluster has, asked for once.
func (h *handover) template(ctx context.Context, b Backend, known map[cluster.UnitName]*source, name cluster.UnitName) (*source, error) {
	if s, ok := known[name]; ok {
		return s, nil
	}
	request, cancel := h.request(ctx)
	defer cancel()
	view, err := b.Unit(request, name)
	switch {
	case cluster.KindOf(err) == cluster.NotFound:
		known[name] = nil
	case err != nil:
		return nil, err
	default:
		known[name] = &source{path: string(name) + " (in the cluster)", text: view.Text}
	}
	return known[name], nil
}

// lookUp returns those of the units that the cluster has.
func (a *app) lookUp(ctx context.Context, b Backend, names []cluster.UnitName) (map[cluster.UnitName]wire.UnitView, error) {
	request, cancel := a.request(ctx)
	defer cancel()
	views := map[cluster.UnitName]wire.UnitView{}
	if len(names) > fewUnits {
		list, err := b.Units(request)
		if err != nil {
			return nil, err
		}
		wanted := make(map[cluster.UnitName]bool, len(names))
		for _, name := range names {
			wanted[name] = true
		}
		for _, view := range list.Items {
			if wanted[view.Name] && view.Desired != "" { // else it is destroyed, and on its way out
				views[view.Name] = view
			}
		}
		return views, nil
	}
	for _, name := range names {
		view, err := b.Unit(request, name)
		switch {
		case err == nil:
			views[name] = view
		case cluster.KindOf(err) != cluster.NotFound:
			return nil, err
		}
	}
	return views, nil
}

// handoverPlan is what to ask of the cluster.
type handoverPlan struct {
	create   []wire.SubmitUnit  // units the cluster does not have
	replace  []wire.SubmitUnit  // units whose text changes
	change   []cluster.UnitName // units that only get another desired state
	warnings []string
}

// planHandover decides what to do about each unit, before anything is sent: a
// unit that is refused or not to be found keeps all others out.
func planHandover(verb string, desired cluster.Desired, replace bool, units []found) (handoverPlan, error) {
	var plan handoverPlan
	for _, unit := range units {
		desired := desired
		if unit.name.IsTemplate() && desired != cluster.Inactive {
			if unit.replicas == 0 {
				return plan, cluster.Errorf(cluster.Invalid, "%s is a template and runs nowhere itself", unit.name).
					WithHint(fmt.Sprintf("name an instance: argosy %s %s@1; or say Replicas= in it", verb, unit.name.Prefix()))
			}
			desired = cluster.Inactive // its instances get the state that is wanted
		}
		var err error
		if unit.registry != nil {
			err = plan.known(verb, desired, replace, unit)
		} else {
			err = plan.unknown(desired, unit)
		}
		if err != nil {
			return plan, err
		}
	}
	return plan, nil
}

// known plans a unit that the cluster has. Its text is taken from a file only
// with --replace, and only by a verb that wants at least the state that the
// unit is in: "submit --replace" must not disturb what runs (fleet's rule).
func (p *handoverPlan) known(verb string, desired cluster.Desired, replace bool, unit found) error {
	differs := unit.local != nil && cluster.HashText(unit.local.text) != unit.registry.Hash
	switch {
	case differs && replace && rank(desired) >= rank(unit.registry.Desired):
		submit, err := p.checked(desired, unit.name, *unit.local)
		if err != nil {
			return err
		}
		p.replace = append(p.replace, submit)
		return nil
	case differs && replace:
		p.warnf("%s is %s, and %s --replace does not touch what is further than it goes itself; the text stays", unit.name, unit.registry.Desired, verb)
	case differs:
		p.warnf("%s: the cluster has another text under this name, which is kept; --replace takes the file", unit.local.path)
	}
	if desired != cluster.Inactive {
		p.change = append(p.change, unit.name)
	}
	return nil
}

// unknown plans a unit that the cluster does not have.
func (p *handoverPlan) unknown(desired cluster.Desired, unit found) error {
	text := unit.local
	// A file of the very name goes before the cluster's template, and that
	// before a template file.
	if unit.template != nil && (text == nil || cluster.UnitName(baseOf(text.path)) != unit.name) {
		text = unit.template
	}
	if text == nil {
		return notFound(unit.wanted)
	}
	submit, err := p.checked(desired, unit.name, *text)
	if err != nil {
		return err
	}
	p.create = append(p.create, submit)
	return nil
}

// checked returns the unit to submit, or all that is wrong with its text.
func (p *handoverPlan) checked(desired cluster.Desired, name cluster.UnitName, text source) (wire.SubmitUnit, error) {
	if err := refusal(name, text, &p.warnings); err != nil {
		return wire.SubmitUnit{}, err
	}
	return wire.SubmitUnit{Name: name, Text: text.text, Desired: desired}, nil
}

func (p *handoverPlan) warnf(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// rank orders the desired states: each includes those of a lower rank.
func rank(d cluster.Desired) int {
	return slices.Index([]cluster.Desired{cluster.Inactive, cluster.Loaded, cluster.Launched}, d)
}

// send carries the plan out in few requests, and returns all outcomes with the
// last revision.
func (h *handover) send(ctx context.Context, b Backend, plan handoverPlan) (wire.DesiredAnswer, error) {
	var all wire.DesiredAnswer
	for _, part := range []struct {
		units   []wire.SubmitUnit
		replace bool
	}{{plan.create, false}, {plan.replace, true}} {
		for _, units := range batches(part.units) {
			request, cancel := h.request(ctx)
			answer, err := b.Submit(request, wire.SubmitRequest{Units: units, Replace: part.replace})
			cancel()
			if err != nil {
				return all, partly(err, len(all.Units))
			}
			all.Revision = max(all.Revision, answer.Revision)
			all.Units = append(all.Units, answer.Units...)
		}
	}
	answer, err := h.inBatches(ctx, plan.change, func(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error) {
		return b.SetDesired(ctx, wire.DesiredRequest{Names: names, Desired: h.desired})
	})
	all.Revision = max(all.Revision, answer.Revision)
	all.Units = append(all.Units, answer.Units...)
	return all, partly(err, len(all.Units))
}

// inBatches sends names in few requests and returns all outcomes.
func (a *app) inBatches(ctx context.Context, names []cluster.UnitName, send func(context.Context, []cluster.UnitName) (wire.DesiredAnswer, error)) (wire.DesiredAnswer, error) {
	var all wire.DesiredAnswer
	for part := range slices.Chunk(names, batchUnits) {
		request, cancel := a.request(ctx)
		answer, err := send(request, part)
		cancel()
		if err != nil {
			return all, err
		}
		all.Revision = max(all.Revision, answer.Revision)
		all.Units = append(all.Units, answer.Units...)
	}
	return all, nil
}

// partly says how much was done before an error, if anything was.
func partly(err error, done int) error {
	if err == nil || done == 0 {
		return err
	}
	return cluster.Errorf(cluster.KindOf(err), "%w (%d units were done before)", err, done).WithHint(cluster.HintOf(err))
}

// batches parts units so that each part is within the limits of a request.
func batches(units []wire.SubmitUnit) [][]wire.SubmitUnit {
	var all [][]wire.SubmitUnit
	begin, size := 0, 0
	for i, unit := range units {
		if i > begin && (i-begin >= batchUnits || size+len(unit.Text) > batchBytes) {
			all = append(all, units[begin:i])
			begin, size = i, 0
		}
		size += len(unit.Text)
	}
	if begin < len(units) {
		all = append(all, units[begin:])
	}
	return all
}

// awaited returns what a waiter needs to know of the outcomes.
func awaited(outcomes []wire.Outcome, before map[cluster.UnitName]wire.UnitView) []waiter.Unit {
	units := make([]waiter.Unit, 0, len(outcomes))
	for _, o := range outcomes {
		units = append(units, waiter.Unit{Name: o.Name, Before: before[o.Name], Changed: o.Done != "unchanged"})
	}
	return units
}

func before(units []found) map[cluster.UnitName]wire.UnitView {
	views := map[cluster.UnitName]wire.UnitView{}
	for _, unit := range units {
		if unit.registry != nil {
			views[unit.name] = *unit.registry
		}
	}
	return views
}

// noteOutcomes tells what a request did: a line for each unit, or one for all
// if they are many and a person reads it.
func (a *app) noteOutcomes(outcomes []wire.Outcome) {
	for _, o := range outcomes {
		if o.Warning != "" {
			a.notef("warning: %s: %s", o.Name, o.Warning)
		}
	}
	if len(outcomes) >= compactUnits && a.env.IsTerminal(a.env.Stderr) {
		a.notef("%s", outcomesDone(outcomes))
		return
	}
	for _, o := range outcomes {
		a.notef("%s  %s", o.Name, o.Done)
	}
}
