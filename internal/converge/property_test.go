package converge_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/systemd"
)

// world draws what is wanted, what is seen and what is remembered.
func world(t *rapid.T) converge.Input {
	in := converge.Input{Memory: converge.Memory{}, Now: now, Lag: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "lag")}
	in.Restarting, in.Announced, in.Sick = converge.Restarting{}, map[cluster.UnitName]bool{}, map[cluster.UnitName]string{}
	text := rapid.SampledFrom([]string{"a", "b"})
	uid := rapid.SampledFrom([]cluster.UID{"u1", "u2"})
	epoch := rapid.Int64Range(1, 2)
	for i := range rapid.IntRange(0, 6).Draw(t, "units") {
		name := cluster.UnitName(fmt.Sprintf("u%d.service", i))
		if rapid.Bool().Draw(t, "wanted") {
			text := text.Draw(t, "text")
			in.Want = append(in.Want, cluster.Assignment{
				Name: name, UID: uid.Draw(t, "uid"), Text: text, Hash: cluster.HashText(text),
				Desired:  rapid.SampledFrom([]cluster.Desired{cluster.Loaded, cluster.Launched}).Draw(t, "desired"),
				Restarts: epoch.Draw(t, "restarts"), Epoch: cluster.Epoch(epoch.Draw(t, "epoch")),
			})
		}
		if rapid.Bool().Draw(t, "seen") {
			u := drawUnit(t, name, text)
			in.Seen = append(in.Seen, u)
			if u.AutoRestarts > 0 && rapid.Bool().Draw(t, "looked at before") {
				u.AutoRestarts--
				in.Restarting.Seen([]systemd.Unit{u}, now)
			}
		}
		in.Announced[name] = rapid.Bool().Draw(t, "announced")
		if rapid.Bool().Draw(t, "sick") {
			in.Sick[name] = "it answers badly"
		}
		if rapid.Bool().Draw(t, "known") {
			in.Memory[name] = drawKnown(t, text, uid, epoch)
		}
	}
	return in
}

func drawUnit(t *rapid.T, name cluster.UnitName, text *rapid.Generator[string]) systemd.Unit {
	u := systemd.Unit{
		Name: name, Load: "loaded", Ours: rapid.IntRange(0, 4).Draw(t, "ours") > 0,
		Active: rapid.SampledFrom([]string{"active", "inactive", "failed", "activating", "deactivating", "reloading"}).Draw(t, "active"),
	}
	if !u.Ours {
		return u
	}
	u.AutoRestarts = rapid.SampledFrom([]int{0, 100}).Draw(t, "restarts")
	u.Stale = rapid.Bool().Draw(t, "stale")
	if rapid.IntRange(0, 4).Draw(t, "file") > 0 {
		u.FileHash = cluster.HashText(text.Draw(t, "file text"))
	}
	return u
}

func drawKnown(t *rapid.T, text *rapid.Generator[string], uid *rapid.Generator[cluster.UID], number *rapid.Generator[int64]) converge.Known {
	key := converge.Key{
		UID: uid.Draw(t, "known uid"), Hash: cluster.HashText(text.Draw(t, "known text")),
		Restarts: number.Draw(t, "known restarts"), Epoch: cluster.Epoch(number.Draw(t, "known epoch")),
	}
	k := converge.Known{Key: key}
	if rapid.Bool().Draw(t, "started") {
		k.Started = &converge.Started{Key: key, Result: rapid.SampledFrom([]string{"done", "failed"}).Draw(t, "result")}
	}
	if rapid.IntRange(0, 3).Draw(t, "asked") == 0 {
		k.Asked = &converge.Key{UID: uid.Draw(t, "asked uid"), Hash: cluster.HashText(text.Draw(t, "asked text"))}
	}
	return k
}

// model carries steps out on units in memory, all of them well.
type model struct {
	units  map[cluster.UnitName]systemd.Unit
	memory converge.Memory
}

func newModel(in converge.Input) *model {
	m := &model{map[cluster.UnitName]systemd.Unit{}, converge.Memory{}}
	for _, u := range in.Seen {
		m.units[u.Name] = u
	}
	for name, k := range in.Memory {
		m.memory[name] = k
	}
	return m
}

func (m *model) seen() []systemd.Unit {
	var units []systemd.Unit
	for _, u := range m.units {
		units = append(units, u)
	}
	return units
}

func (m *model) apply(decisions []converge.Decision, want []cluster.Assignment) {
	for _, d := range decisions {
		i := slices.IndexFunc(want, func(a cluster.Assignment) bool { return a.Name == d.Unit })
		var a *cluster.Assignment
		if i >= 0 {
			a = &want[i]
		}
		for _, step := range d.Steps {
			m.ask(d.Unit, step, a)
			m.do(d.Unit, step, a)
		}
		switch {
		case d.Settled != nil:
			m.memory[d.Unit] = *d.Settled
		case d.Gone:
			delete(m.memory, d.Unit)
		}
	}
}

func (m *model) do(name cluster.UnitName, step converge.Step, want *cluster.Assignment) {
	u, ok := m.units[name]
	if !ok {
		u = systemd.Unit{Name: name, Load: "not-found", Active: "inactive"}
	}
	switch step.Kind {
	case converge.Stop, converge.GiveUp, converge.ResetFailed:
		u.Active = "inactive"
	case converge.Remove:
		u.FileHash, u.Stale = "", true
	case converge.Write:
		u.Stale = u.Load == "loaded"
		u.FileHash, u.Load, u.Ours = want.Hash, "loaded", true
	case converge.Reload:
		u.Stale = false
	case converge.Start, converge.Restart:
		u.Active = "active"
	case converge.Withdraw: // is nothing that systemd shows
	}
	if u.FileHash == "" && (u.Active == "inactive") {
		delete(m.units, name)
	} else {
		m.units[name] = u
	}
	result := ""
	if step.Kind != converge.Write && step.Kind != converge.Remove {
		result = "done"
	}
	m.memory[name], _ = m.memory[name].Did(step, want, converge.Outcome{Result: result, At: now})
}

// ask is what comes before a step is done: whoever asks may end with that.
func (m *model) ask(name cluster.UnitName, step converge.Step, want *cluster.Assignment) {
	m.memory[name] = m.memory[name].Asks(step, want)
}

func TestTheOrderOfTheInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		before := converge.Plan(in)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		in.Want, in.Seen = slices.Clone(in.Want), slices.Clone(in.Seen)
		r.Shuffle(len(in.Want), func(i, j int) { in.Want[i], in.Want[j] = in.Want[j], in.Want[i] })
		r.Shuffle(len(in.Seen), func(i, j int) { in.Seen[i], in.Seen[j] = in.Seen[j], in.Seen[i] })
		if diff := cmp.Diff(before, converge.Plan(in)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestACarriedOutPlanLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		m := newModel(in)
		for range 2 { // the second round settles the memory
			m.apply(converge.Plan(converge.Input{Want: in.Want, Seen: m.seen(), Memory: m.memory, Now: now, Lag: in.Lag, Restarting: in.Restarting}), in.Want)
		}
		for _, d := range converge.Plan(converge.Input{Want: in.Want, Seen: m.seen(), Memory: m.memory, Now: now, Lag: in.Lag, Restarting: in.Restarting}) {
			if len(d.Steps) > 0 {
				t.Fatalf("still to do: %+v\nseen %+v\nknown %+v", d, m.units[d.Unit], m.memory[d.Unit])
			}
		}
	})
}

func TestARunningUnitIsUpAgainAfterEveryPlanThatWantsItLaunched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		m := newModel(in)
		m.apply(converge.Plan(in), in.Want)
		for _, a := range in.Want {
			before := slices.IndexFunc(in.Seen, func(u systemd.Unit) bool { return u.Name == a.Name && u.Active == "active" })
			if a.Desired == cluster.Launched && before >= 0 && m.units[a.Name].Active != "active" {
				t.Fatalf("%s was active and is %q", a.Name, m.units[a.Name].Active)
			}
		}
	})
}

// Between two steps a daemon may end, a node be declared dead, a step meet an error
// that passes. What was to be started is started all the same.
func TestAPlanThatIsCutOffAfterAnyStepIsCarriedOutInTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		m := newModel(in)
		plan := converge.Plan(in)
		begun := slices.Clone(plan)
		for i, d := range begun {
			cut := rapid.IntRange(0, len(d.Steps)).Draw(t, "cut off after")
			begun[i].Steps = d.Steps[:cut]
		}
		m.apply(begun, in.Want)
		for range 3 {
			m.apply(converge.Plan(converge.Input{Want: in.Want, Seen: m.seen(), Memory: m.memory, Now: now}), in.Want)
		}
		for _, d := range plan {
			starts := slices.ContainsFunc(d.Steps, func(s converge.Step) bool { return s.Kind.Starts() })
			if u := m.units[d.Unit]; starts && u.Active != "active" {
				t.Fatalf("%s was to be started and is %q: %+v\n%+v", d.Unit, u.Active, d.Steps, m.memory[d.Unit])
			}
		}
	})
}

func TestUnitsDoNotDependOnEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		for _, d := range converge.Plan(in) {
			alone := converge.Input{Memory: in.Memory, Now: now, Lag: in.Lag, Restarting: in.Restarting, Announced: in.Announced, Sick: in.Sick}
			for _, a := range in.Want {
				if a.Name == d.Unit {
					alone.Want = append(alone.Want, a)
				}
			}
			for _, u := range in.Seen {
				if u.Name == d.Unit {
					alone.Seen = append(alone.Seen, u)
				}
			}
			if diff := cmp.Diff([]converge.Decision{d}, converge.Plan(alone)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestWhateverIsStoppedIsWithdrawnIfItIsAnnounced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		for _, d := range converge.Plan(in) {
			withdrawn := false
			for _, s := range d.Steps {
				withdrawn = withdrawn || s.Kind == converge.Withdraw
				if s.Kind.Stops() && withdrawn != in.Announced[d.Unit] {
					t.Fatalf("announced: %v; %+v", in.Announced[d.Unit], d.Steps)
				}
			}
		}
	})
}

func TestNoStepConcernsAUnitOfTheHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		for _, step := range converge.Steps(converge.Plan(in)) {
			for _, u := range in.Seen {
				if u.Name == step.Unit && !u.Ours {
					t.Fatalf("%+v", step)
				}
			}
		}
	})
}

func TestNothingIsChangedBehindTheCaller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world(t)
		want, seen, memory := slices.Clone(in.Want), slices.Clone(in.Seen), newModel(in).memory
		converge.Plan(in)
		if diff := cmp.Diff(want, in.Want) + cmp.Diff(seen, in.Seen) + cmp.Diff(memory, in.Memory); diff != "" {
			t.Fatal(diff)
		}
	})
}
