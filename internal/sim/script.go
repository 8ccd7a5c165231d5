package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// Limits of waiting, in the world's time.
const (
	waitMax = 60 * time.Second
	look    = 100 * time.Millisecond
)

// Script carries out a script, line by line. Words that begin with "@" name
// the node where a unit runs ("@web.service") or the leader's ("@leader"),
// those with "$" a name that "let" gave. A line that begins with "!" must be
// refused, one that begins with "?" may be. After every line the world's invariants are checked.
type Script struct {
	// Make makes the world that the verb "cluster" asks for. The seed is that of
	// the verb "seed", or 1; only simulated worlds have a use for it.
	Make func(nodes int, seed uint64) (World, error)
	// Files are those that "submit" and "cmp" name.
	Files map[string]string

	world    World
	seed     uint64
	output   string
	names    map[string]string
	remember map[string]int
}

// Run runs a script's text. The error names the line.
func (s *Script) Run(text string) error {
	s.names, s.seed = map[string]string{}, 1
	n := 0
	for line := range strings.Lines(text) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := s.line(words); err != nil {
			return fmt.Errorf("line %d: %s: %w", n, strings.TrimSpace(line), err)
		}
	}
	return nil
}

func (s *Script) line(words []string) error {
	refused, either := words[0] == "!", words[0] == "?"
	if refused || either {
		words = words[1:]
	}
	if words[0] == "seed" {
		return s.seeds(words[1:])
	}
	if words[0] != "cluster" && s.world == nil {
		return errors.New("the first verb must be cluster, or seed and then cluster")
	}
	verb, ok := verbs()[words[0]]
	if !ok {
		return fmt.Errorf("unknown verb; there are %v", slices.Sorted(maps.Keys(verbs())))
	}
	args, err := s.expand(words[1:])
	if err == nil {
		err = verb(s, args)
	}
	switch {
	case either:
	case refused && err == nil:
		return errors.New("was not refused")
	case refused:
		s.output = err.Error() + "\n" + cluster.HintOf(err)
	case err != nil:
		return err
	}
	if wrong := s.world.Audit(false); len(wrong) > 0 {
		return fmt.Errorf("invariants are broken:\n%s", strings.Join(wrong, "\n"))
	}
	return nil
}

// expand replaces the names that stand for nodes.
func (s *Script) expand(words []string) ([]string, error) {
	out := slices.Clone(words)
	for i, word := range out {
		switch {
		case word == "@leader":
			out[i] = s.world.Leader()
		case strings.HasPrefix(word, "@"):
			nodes, err := s.runs(cluster.UnitName(word[1:]))
			if err != nil {
				return nil, err
			}
			if len(nodes) != 1 {
				return nil, fmt.Errorf("%s runs on %v, not on one node", word[1:], nodes)
			}
			out[i] = nodes[0]
		case strings.Contains(word, "$"):
			for name, value := range s.names {
				out[i] = strings.ReplaceAll(out[i], "$"+name, value)
			}
			if strings.Contains(out[i], "$") {
				return nil, fmt.Errorf("%s was not given a value", word)
			}
		}
	}
	return out, nil
}

// runs returns the nodes that have a process of a unit.
func (s *Script) runs(unit cluster.UnitName) ([]string, error) {
	var nodes []string
	for _, name := range s.world.Nodes() {
		processes, err := s.world.Processes(name)
		if err != nil {
			return nil, err
		}
		if processes[unit] != 0 {
			nodes = append(nodes, name)
		}
	}
	return nodes, nil
}

// verb is one thing that a script can say.
type verb func(s *Script, args []string) error

// verbs lists them all.
func verbs() map[string]verb {
	return map[string]verb{
		"seed":        (*Script).seeds,   // seed N, before cluster: what a simulated world's chances come from
		"cluster":     (*Script).cluster, // cluster N
		"submit":      (*Script).submit,  // submit FILE|UNIT=FILE…
		"replace":     (*Script).replace, // replace FILE|UNIT=FILE…: starts it with this text
		"scale":       (*Script).scale,   // scale TEMPLATE N
		"label":       (*Script).label,   // label NODE KEY=VALUE|KEY-…
		"start":       desire(cluster.Launched),
		"load":        desire(cluster.Loaded),
		"stop":        desire(cluster.Loaded),
		"unload":      desire(cluster.Inactive),
		"restart":     (*Script).restart,
		"destroy":     (*Script).destroy,
		"text":        (*Script).text,   // text UNIT FILE [TIME]: waits until it is active with this text
		"wait":        (*Script).wait,   // wait UNIT STATE [TIME]
		"moved":       (*Script).moved,  // moved UNIT NODE [TIME]: waits until it is active on another
		"found":       (*Script).found,  // found SERVICE NODE…|nowhere [TIME]: waits until it is healthy on just these
		"tried":       (*Script).tried,  // tried UNIT TIMES [TIME]
		"placed":      (*Script).placed, // placed NAME UNIT: the node that a unit is on, running or not
		"where":       (*Script).where,  // where UNIT: prints the nodes
		"units":       (*Script).units,  // prints NAME STATE NODES
		"let":         (*Script).let,    // let NAME WORD
		"differ":      (*Script).differ, // differ WORD WORD
		"cmp":         (*Script).cmp,    // cmp FILE: compares the last output
		"says":        (*Script).says,   // says TEXT…: the last output holds it
		"power":       (*Script).power,  // power NODE|all on|off
		"cut":         (*Script).cut,    // cut NODE|NODE:NODE [oneway]
		"heal":        func(s *Script, _ []string) error { return s.world.Heal() },
		"pause":       func(s *Script, a []string) error { return s.world.Pause(a[0], true) },
		"resume":      (*Script).resume,                                                              // resume NODE|all
		"touch":       func(s *Script, a []string) error { return s.world.Touch(a[0], a[1], true) },  // touch NODE PATH: makes a file
		"rm":          func(s *Script, a []string) error { return s.world.Touch(a[0], a[1], false) }, // rm NODE PATH
		"doom":        (*Script).doom,                                                                // doom NODE COMMITS before|after: it falls silent at that commit
		"slow":        (*Script).slow,                                                                // slow NODE TIME
		"lossy":       (*Script).lossy,                                                               // lossy NODE SHARE
		"daemon":      (*Script).daemon,                                                              // daemon NODE|all: restarts it
		"advance":     (*Script).advance,                                                             // advance TIME
		"remember":    (*Script).remembers,                                                           // notes every process
		"undisturbed": (*Script).undisturbed,                                                         // every process that was noted still runs
		"audit":       (*Script).audit,                                                               // audit [TIME]: everything comes to rest, and is right
	}
}

func ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func (s *Script) seeds(args []string) (err error) {
	if s.world != nil {
		return errors.New("the cluster is made already")
	}
	s.seed, err = strconv.ParseUint(strings.Join(args, " "), 10, 64)
	return err
}

func (s *Script) cluster(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if s.world, err = s.Make(n, s.seed); err != nil {
		return err
	}
	return s.until(waitMax, func() error {
		ctx, cancel := ctx()
		defer cancel()
		list, err := s.world.API().Nodes(ctx)
		if err != nil {
			return err
		}
		if s.world.Leader() == "" {
			return errors.New("there is no leader")
		}
		for _, v := range list.Items {
			if v.Health != cluster.Ready || v.Version == "" {
				return fmt.Errorf("%s is %s", v.Name, v.Health)
			}
		}
		return nil
	})
}

// until looks again and again until there is no error, or time is up.
func (s *Script) until(limit time.Duration, try func() error) error {
	end := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if !time.Now().Before(end) {
			return fmt.Errorf("after %s: %w", limit, err)
		}
		s.world.Advance(look)
	}
}

// write asks for a change, again while it is not known whether it was made
// (the server died with the request): all of these may be asked for twice.
func (s *Script) write(ask func(context.Context) error) error {
	for tries := 1; ; tries++ {
		ctx, cancel := ctx()
		err := ask(ctx)
		cancel()
		if err == nil || cluster.KindOf(err) != cluster.Unknown || tries == 5 {
			return err
		}
	}
}

func (s *Script) submit(args []string) error { return s.hand(args, "") }

func (s *Script) replace(args []string) error { return s.hand(args, cluster.Launched) }

// hand gives units to the cluster, in the place of others of their names. Without
// a state they keep what they have.
func (s *Script) hand(args []string, desired cluster.Desired) error {
	var req wire.SubmitRequest
	for _, arg := range args {
		name, file, given := strings.Cut(arg, "=")
		if !given {
			file = name
		}
		text, ok := s.Files[file]
		if !ok { // an instance is made from its template, as the command line does it
			text, ok = s.Files[string(cluster.UnitName(name).Template())]
		}
		if !ok {
			return fmt.Errorf("the script has no file %s", file)
		}
		req.Units = append(req.Units, wire.SubmitUnit{Name: cluster.UnitName(name), Text: text, Desired: desired})
	}
	req.Replace = true
	return s.write(func(ctx context.Context) error {
		_, err := s.world.API().Submit(ctx, req)
		return err
	})
}

func names(args []string) []cluster.UnitName {
	var list []cluster.UnitName
	for _, a := range args {
		list = append(list, cluster.UnitName(a))
	}
	return list
}

func desire(d cluster.Desired) verb {
	return func(s *Script, args []string) error {
		return s.write(func(ctx context.Context) error {
			_, err := s.world.API().SetDesired(ctx, wire.DesiredRequest{Names: names(args), Desired: d})
			return err
		})
	}
}

func (s *Script) restart(args []string) error {
	return s.write(func(ctx context.Context) error {
		_, err := s.world.API().Restart(ctx, names(args))
		return err
	})
}

func (s *Script) destroy(args []string) error {
	return s.write(func(ctx context.Context) error {
		_, err := s.world.API().Destroy(ctx, names(args))
		return err
	})
}

func (s *Script) scale(args []string) error {
	replicas, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return s.write(func(ctx context.Context) error {
		_, err := s.world.API().Scale(ctx, wire.ScaleRequest{Template: cluster.UnitName(args[0]), Replicas: replicas})
		return err
	})
}

func (s *Script) label(args []string) error {
	labels := map[string]string{}
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(strings.TrimSuffix(arg, "-"), "=")
		labels[key] = value // an empty one removes it
	}
	return s.write(func(ctx context.Context) error {
		nodes, err := s.world.API().Nodes(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(nodes.Items, func(n wire.NodeView) bool { return n.Name == args[0] })
		if i < 0 {
			return fmt.Errorf("there is no node %s", args[0])
		}
		_, err = s.world.API().PatchNode(ctx, nodes.Items[i].ID, wire.NodePatch{Labels: labels})
		return err
	})
}

// text waits until the nodes of a unit say that they run it with a text.
func (s *Script) text(args []string) error {
	limit, err := limitOf(args, 2)
	if err != nil {
		return err
	}
	want, ok := s.Files[args[1]]
	if !ok {
		return fmt.Errorf("the script has no file %s", args[1])
	}
	return s.until(limit, func() error {
		u, err := s.view(args[0])
		if is := state(u); err == nil && is != "active" {
			err = fmt.Errorf("it is %s", is)
		}
		if err != nil {
			return err
		}
		for _, status := range u.Statuses {
			if u.Placement.On(status.Node) && status.Hash != cluster.HashText(want) {
				return fmt.Errorf("on %s it runs with another text", status.Node.Short())
			}
		}
		return nil
	})
}

// view returns how the API shows a unit; nil if there is none.
func (s *Script) view(name string) (*wire.UnitView, error) {
	ctx, cancel := ctx()
	defer cancel()
	list, err := s.world.API().Units(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if u := &list.Items[i]; string(u.Name) == name {
			return u, nil
		}
	}
	return nil, nil
}

// state sums a unit up in one word: gone, inactive, pending, loaded (and not
// running), or what systemd says of it.
func state(u *wire.UnitView) string {
	if u == nil {
		return "gone"
	}
	if u.Placement == nil || u.Desired == cluster.Inactive {
		return "inactive"
	}
	if u.Placement.Pending() {
		return "pending"
	}
	var words []string
	for _, status := range u.Statuses {
		if u.Placement.On(status.Node) && status.UID == u.UID {
			words = append(words, status.Active)
		}
	}
	if len(words) < len(u.Placement.Nodes) {
		return "activating"
	}
	slices.Sort(words)
	if word := strings.Join(slices.Compact(words), "+"); word != "inactive" || u.Desired == cluster.Launched {
		return word
	}
	return "loaded"
}

// found waits until a service has healthy endpoints on just the nodes that are named.
func (s *Script) found(args []string) error {
	limit := waitMax
	if d, err := time.ParseDuration(args[len(args)-1]); err == nil {
		limit, args = d, args[:len(args)-1]
	}
	want := slices.DeleteFunc(slices.Sorted(slices.Values(args[1:])), func(word string) bool { return word == "nowhere" })
	return s.until(limit, func() error {
		ctx, cancel := ctx()
		defer cancel()
		all, err := s.world.API().Services(ctx)
		if err != nil {
			return err
		}
		var got []string
		for _, service := range all.Services {
			for _, e := range service.Endpoints {
				if service.Name == args[0] && e.Healthy {
					got = append(got, e.NodeName)
				}
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("it is found on %v, not on %v", got, want)
		}
		return nil
	})
}

func (s *Script) wait(args []string) error {
	limit, err := limitOf(args, 2)
	if err != nil {
		return err
	}
	return s.until(limit, func() error {
		u, err := s.view(args[0])
		if is := state(u); err == nil && is != args[1] {
			err = fmt.Errorf("it is %s", is)
		}
		return err
	})
}

// tried waits until the cluster has tried a unit that fails again so many times.
func (s *Script) tried(args []string) error {
	limit, err := limitOf(args, 2)
	if err != nil {
		return err
	}
	times, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	return s.until(limit, func() error {
		u, err := s.view(args[0])
		switch {
		case err != nil:
			return err
		case u == nil || u.Placement == nil:
			return errors.New("it is placed nowhere")
		case u.Placement.Tries() < times:
			return fmt.Errorf("it was tried again %d times; %s", u.Placement.Tries(), u.Placement.Reason)
		}
		return nil
	})
}

func limitOf(args []string, at int) (time.Duration, error) {
	if len(args) <= at {
		return waitMax, nil
	}
	return time.ParseDuration(args[at])
}

// moved waits until the cluster shows a unit active on a node other than one.
func (s *Script) moved(args []string) error {
	limit, err := limitOf(args, 2)
	if err != nil {
		return err
	}
	return s.until(limit, func() error {
		ctx, cancel := ctx()
		defer cancel()
		nodes, err := s.world.API().Nodes(ctx)
		if err != nil {
			return err
		}
		units, err := s.world.API().Units(ctx)
		if err != nil {
			return err
		}
		from := slices.IndexFunc(nodes.Items, func(v wire.NodeView) bool { return v.Name == args[1] })
		i := slices.IndexFunc(units.Items, func(v wire.UnitView) bool { return string(v.Name) == args[0] })
		if from < 0 || i < 0 {
			return errors.New("there is no such unit or node")
		}
		u := units.Items[i]
		if is := state(&u); is != "active" || u.Placement.On(nodes.Items[from].ID) {
			return fmt.Errorf("it is %s, %s", is, u.Placement.Reason)
		}
		return nil
	})
}

func (s *Script) where(args []string) error {
	nodes, err := s.runs(cluster.UnitName(args[0]))
	s.output = ""
	for _, name := range nodes {
		s.output += name + "\n"
	}
	return err
}

func (s *Script) units([]string) error {
	ctx, cancel := ctx()
	defer cancel()
	list, err := s.world.API().Units(ctx)
	var b strings.Builder
	for _, u := range list.Items {
		count := 0
		if u.Placement != nil {
			count = len(u.Placement.Nodes)
		}
		fmt.Fprintf(&b, "%s %s %s %d\n", u.Name, u.Desired, state(&u), count)
	}
	s.output = b.String()
	return err
}

func (s *Script) let(args []string) error { s.names[args[0]] = args[1]; return nil }

func (s *Script) placed(args []string) error {
	u, err := s.view(args[1])
	if err != nil {
		return err
	}
	if u == nil || u.Placement == nil || len(u.Placement.Nodes) != 1 {
		return fmt.Errorf("%s is not placed on one node", args[1])
	}
	ctx, cancel := ctx()
	defer cancel()
	nodes, err := s.world.API().Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if u.Placement.On(n.ID) {
			s.names[args[0]] = n.Name
		}
	}
	return nil
}

func (s *Script) differ(args []string) error {
	if args[0] == args[1] {
		return fmt.Errorf("both are %s", args[0])
	}
	return nil
}

func (s *Script) cmp(args []string) error {
	if want := s.Files[args[0]]; want != s.output {
		return fmt.Errorf("want:\n%sgot:\n%s", want, s.output)
	}
	return nil
}

func (s *Script) says(args []string) error {
	if text := strings.Join(args, " "); !strings.Contains(s.output, text) {
		return fmt.Errorf("the last output was %q", s.output)
	}
	return nil
}

// each does something to a node, or to all.
func (s *Script) each(name string, do func(string) error) error {
	list := []string{name}
	if name == "all" {
		list = s.world.Nodes()
	}
	for _, n := range list {
		if err := do(n); err != nil {
			return err
		}
	}
	return nil
}

func (s *Script) power(args []string) error {
	return s.each(args[0], func(n string) error { return s.world.Power(n, args[1] == "on") })
}

func (s *Script) resume(args []string) error {
	return s.each(args[0], func(n string) error { return s.world.Pause(n, false) })
}

func (s *Script) daemon(args []string) error { return s.each(args[0], s.world.RestartDaemon) }

func (s *Script) cut(args []string) error {
	from, to, both := strings.Cut(args[0], ":")
	if !both {
		to = "*"
	}
	if err := s.world.Cut(from, to); err != nil || len(args) > 1 {
		return err
	}
	return s.world.Cut(to, from)
}

func (s *Script) doom(args []string) error {
	commits, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	return s.world.Doom(args[0], commits, args[2] == "after")
}

func (s *Script) slow(args []string) error {
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	return s.world.Slow(args[0], d)
}

func (s *Script) lossy(args []string) error {
	share, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	return s.world.Lose(args[0], share)
}

func (s *Script) advance(args []string) error {
	d, err := time.ParseDuration(args[0])
	if err == nil {
		s.world.Advance(d)
	}
	return err
}

// processes returns every process, by node and unit.
func (s *Script) processes() (map[string]int, error) {
	all := map[string]int{}
	for _, node := range s.world.Nodes() {
		processes, err := s.world.Processes(node)
		if err != nil {
			return nil, err
		}
		for unit, pid := range processes {
			all[node+" "+string(unit)] = pid
		}
	}
	return all, nil
}

func (s *Script) remembers([]string) (err error) {
	s.remember, err = s.processes()
	return err
}

func (s *Script) undisturbed([]string) error {
	now, err := s.processes()
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(s.remember)) {
		if now[key] != s.remember[key] {
			return fmt.Errorf("%s was process %d and is %d", key, s.remember[key], now[key])
		}
	}
	return nil
}

func (s *Script) audit(args []string) error {
	limit, err := limitOf(args, 0)
	if err != nil {
		return err
	}
	return s.until(limit, func() error {
		if wrong := s.world.Audit(true); len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "\n"))
		}
		return nil
	})
}
