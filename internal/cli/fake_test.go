package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cli/contexts"
	"argosy/internal/cluster"
	"argosy/internal/place"
)

// fake is a cluster that answers from fields and notes what it was asked.
type fake struct {
	status   wire.Status
	settling []wire.Status // what the first, second … look at the status finds
	nodes    []wire.NodeView
	units    []wire.UnitView
	tokens   []cluster.Token
	looks    [][]cluster.Token   // what the first, second … look at the tokens finds
	journals map[string][]string // by unit and node name
	// watches are the messages of the first, second … watch; the server ends
	// all but the last, which stays open.
	lasting bool // a watch goes on when its messages have been told
	watches [][]wire.Change
	// events are the messages of the first, second … stream of events; each but
	// the last is broken off by the server, and the last stays open if it is
	// followed.
	events [][]wire.EventMessage
	// services are the messages of the first, second … stream of services.
	services [][]wire.Services
	// keys is what there is in the key space, keyEvents the messages of the first,
	// second … watch of it.
	keys      []wire.KeyItem
	keyEvents [][]wire.KeyEvents
	// watching is called when the last watch has nothing more to say.
	watching func()
	fail     map[string]error // by the verb of the request
	done     string           // what requests say they did; "changed" if empty
	stale    bool

	explanation place.Explanation
	scaled      wire.DesiredAnswer

	exit int // of what a terminal runs

	requests []string
	target   contexts.Context
}

// ask notes a request and returns the error that it is to fail with.
func (f *fake) ask(format string, args ...any) error {
	request := fmt.Sprintf(format, args...)
	f.requests = append(f.requests, request)
	verb, _, _ := strings.Cut(request, " ")
	return f.fail[verb]
}

func (f *fake) Units(context.Context) (wire.List[wire.UnitView], error) {
	list := wire.List[wire.UnitView]{Revision: 7, Items: slices.Clone(f.units), Stale: f.stale, Age: 12}
	for i := range list.Items {
		list.Items[i].Text = ""
	}
	return list, f.ask("units")
}

func (f *fake) Unit(_ context.Context, name cluster.UnitName) (wire.UnitView, error) {
	if err := f.ask("unit %s", name); err != nil {
		return wire.UnitView{}, err
	}
	for _, unit := range f.units {
		if unit.Name == name {
			return unit, nil
		}
	}
	return wire.UnitView{}, cluster.Errorf(cluster.NotFound, "no unit %s", name)
}

func (f *fake) Explain(_ context.Context, name cluster.UnitName) (place.Explanation, error) {
	if err := f.ask("explain %s", name); err != nil {
		return place.Explanation{}, err
	}
	return f.explanation, nil
}

func (f *fake) Scale(_ context.Context, req wire.ScaleRequest) (wire.DesiredAnswer, error) {
	if err := f.ask("scale %s %d", req.Template, req.Replicas); err != nil {
		return wire.DesiredAnswer{}, err
	}
	return f.scaled, nil
}

func (f *fake) PatchParameters(_ context.Context, name cluster.UnitName, patch wire.ParametersPatch) (wire.DesiredAnswer, error) {
	text, _ := json.Marshal(patch)
	if err := f.ask("parameters %s %s", name, text); err != nil {
		return wire.DesiredAnswer{}, err
	}
	return wire.DesiredAnswer{Units: f.outcomes([]cluster.UnitName{name}, "changed")}, nil
}

func (f *fake) outcomes(names []cluster.UnitName, done string) []wire.Outcome {
	if f.done != "" {
		done = f.done
	}
	var all []wire.Outcome
	for _, name := range names {
		all = append(all, wire.Outcome{Name: name, Done: done})
	}
	return all
}

func (f *fake) Submit(_ context.Context, r wire.SubmitRequest) (wire.SubmitAnswer, error) {
	var names []cluster.UnitName
	note := ""
	for _, unit := range r.Units {
		names = append(names, unit.Name)
		note += fmt.Sprintf(" %s:%s:%d", unit.Name, unit.Desired, len(unit.Text))
	}
	if len(r.Units) > 10 {
		note = fmt.Sprintf(" %d units", len(r.Units))
	}
	done := "created"
	if r.Replace {
		note, done = " replace"+note, "replaced"
	}
	return wire.SubmitAnswer{Revision: 10, Units: f.outcomes(names, done)}, f.ask("submit%s", note)
}

func (f *fake) SetDesired(_ context.Context, r wire.DesiredRequest) (wire.DesiredAnswer, error) {
	return wire.DesiredAnswer{Revision: 10, Units: f.outcomes(r.Names, "changed")}, f.ask("desired %s %s", r.Desired, r.Names)
}

func (f *fake) Destroy(_ context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return wire.DesiredAnswer{Revision: 10, Units: f.outcomes(names, "destroyed")}, f.ask("destroy %s", names)
}

func (f *fake) Restart(_ context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error) {
	return wire.DesiredAnswer{Revision: 10, Units: f.outcomes(names, "changed")}, f.ask("restart %s", names)
}

func (f *fake) Status(context.Context) (wire.Status, error) {
	err := f.ask("status")
	if len(f.settling) > 0 {
		first := f.settling[0]
		f.settling = f.settling[1:]
		return first, err
	}
	return f.status, err
}

func (f *fake) Nodes(context.Context) (wire.List[wire.NodeView], error) {
	return wire.List[wire.NodeView]{Revision: 7, Items: f.nodes}, f.ask("nodes")
}

// endless says so of a request that --timeout does not end.
func endless(ctx context.Context) string {
	if _, bounded := ctx.Deadline(); bounded {
		return ""
	}
	return " without end"
}

func (f *fake) PatchNode(ctx context.Context, id cluster.NodeID, patch wire.NodePatch) (wire.NodeView, error) {
	for _, node := range f.nodes {
		if node.ID == id {
			node.Labels = patch.Labels
			return node, f.ask("patch %s %v%s", id.Short(), patch.Labels, endless(ctx))
		}
	}
	return wire.NodeView{}, f.ask("patch of nothing")
}

func (f *fake) RemoveNode(ctx context.Context, id cluster.NodeID) error {
	return f.ask("remove %s%s", id.Short(), endless(ctx))
}

func (f *fake) Init(_ context.Context, r wire.InitRequest) (wire.Identity, error) {
	f.status = wire.Status{Formed: true, Leader: &cluster.Leader{}}
	return wire.Identity{Cluster: "c1", Node: nodeID(1), Name: "node-1"}, f.ask("init %s %s", r.Name, r.Address)
}

func (f *fake) Join(_ context.Context, r wire.JoinRequest) (wire.Identity, error) {
	f.status = wire.Status{Formed: true, Leader: &cluster.Leader{}}
	return wire.Identity{Cluster: "c1", Node: nodeID(2), Name: "node-2"}, f.ask("join %s", r.Token)
}
func (f *fake) Leave(context.Context) error { return f.ask("leave") }
func (f *fake) Reset(context.Context) error { return f.ask("reset") }

func (f *fake) Tokens(context.Context) ([]cluster.Token, error) {
	if len(f.looks) > 0 {
		f.tokens, f.looks = f.looks[0], f.looks[1:]
	} else if f.watching != nil {
		f.watching()
	}
	return f.tokens, f.ask("tokens")
}

func (f *fake) CreateToken(_ context.Context, r wire.TokenRequest) (wire.TokenAnswer, error) {
	return wire.TokenAnswer{Token: "argosy1-abc", Record: cluster.Token{ID: "t1", Uses: r.Uses, Expires: testNow().Add(r.TTL)}},
		f.ask("createtoken %s %d", r.TTL, r.Uses)
}

func (f *fake) RemoveToken(_ context.Context, id string) error { return f.ask("rmtoken %s", id) }

func (f *fake) Services(context.Context) (wire.Services, error) {
	if err := f.ask("services"); err != nil || len(f.services) == 0 {
		return wire.Services{}, err
	}
	return f.services[0][0], nil
}

func (f *fake) FollowServices(ctx context.Context, q client.ServicesQuery, each func(wire.Services) error) error {
	if err := f.ask("followservices %s", q.After); err != nil {
		return err
	}
	var messages []wire.Services
	if len(f.services) > 0 {
		messages, f.services = f.services[0], f.services[1:]
	}
	for _, message := range messages {
		if err := each(message); err != nil {
			return err
		}
	}
	if len(f.services) > 0 {
		return nil
	}
	if f.watching != nil {
		f.watching()
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Watch(ctx context.Context, each func(wire.Change) error) error {
	if err := f.ask("watch"); err != nil {
		return err
	}
	var messages []wire.Change
	if len(f.watches) > 0 {
		messages = f.watches[0]
		f.watches = f.watches[1:]
	}
	for _, message := range messages {
		if err := each(message); err != nil {
			return err
		}
	}
	if len(f.watches) > 0 && !f.lasting {
		return nil
	}
	if f.watching != nil {
		f.watching()
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Events(ctx context.Context, q client.EventQuery, each func(wire.EventMessage) error) error {
	if err := f.ask("events since %s after %d about %s follow %t%s", q.Since, q.After, q.Names, q.Follow, endless(ctx)); err != nil {
		return err
	}
	var messages []wire.EventMessage
	if len(f.events) > 0 {
		messages, f.events = f.events[0], f.events[1:]
	}
	for _, message := range messages {
		if err := each(message); err != nil {
			return err
		}
	}
	switch {
	case len(f.events) > 0:
		return cluster.Errorf(cluster.Unavailable, "the stream broke")
	case !q.Follow:
		return nil
	case f.watching != nil:
		f.watching()
	}
	<-ctx.Done()
	return ctx.Err()
}

// Terminal notes what is to run, hands its input back as both outputs, and ends
// with f.exit.
func (f *fake) Terminal(_ context.Context, node cluster.NodeID, want wire.Terminal, s channel.Streams) (int, error) {
	note := fmt.Sprintf("terminal %s %q", node.Short(), want.Command)
	if want.TTY {
		note += fmt.Sprintf(" %s %dx%d", want.Term, want.Size.Columns, want.Size.Rows)
	}
	if err := f.ask("%s", note); err != nil {
		return 0, err
	}
	text, err := io.ReadAll(s.In)
	if err == nil {
		fmt.Fprintf(s.Out, "out:%s", text)
		fmt.Fprintf(s.Err, "err:%s", text)
	}
	return f.exit, err
}

func (f *fake) Journal(_ context.Context, q client.JournalQuery, each func(string) error) error {
	if err := f.ask("%s", strings.TrimSpace(fmt.Sprintf("journal %s %s %d %t %s", q.Unit, q.Node.Short(), q.Lines, q.Follow, q.Form))); err != nil {
		return err
	}
	for _, line := range f.journals[string(q.Unit)] {
		if err := each(line); err != nil {
			return err
		}
	}
	return nil
}

// testNow is the time of all tests.
func testNow() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// nodeID makes the ID of a node whose short form is readable.
func nodeID(n int) cluster.NodeID {
	return cluster.NodeID(fmt.Sprintf("%08d%024d", n, n))
}

// threeNodes is a cluster of node-1 (leader), node-2 and node-3.
func threeNodes() []wire.NodeView {
	var nodes []wire.NodeView
	for i := 1; i <= 3; i++ {
		node := wire.NodeView{
			Role: cluster.Server, Health: cluster.Ready, Leader: i == 1, Units: i,
			Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), Version: "v1", CPUs: 2, Memory: 4 << 30,
		}
		node.ID, node.Name = nodeID(i), fmt.Sprintf("node-%d", i)
		nodes = append(nodes, node)
	}
	nodes[1].Labels = map[string]string{"region": "eu", "disk": "ssd"}
	return nodes
}

const helloText = "[Unit]\nDescription=Hello\n\n[Service]\nExecStart=/bin/sleep inf\n"

// hello is hello.service as the cluster has it, wanted so.
func hello(desired cluster.Desired) wire.UnitView {
	return wire.UnitView{
		Unit: cluster.Unit{
			Name: "hello.service", UID: "u1", Text: helloText, Hash: cluster.HashText(helloText),
			Desired: desired, Created: testNow().Add(-time.Hour),
		},
		State: desired,
	}
}

// placedOn places a unit on a node.
func placedOn(view wire.UnitView, node int) wire.UnitView {
	view.Placement = &cluster.Placement{
		Unit: view.Name, UID: view.UID, Nodes: []cluster.NodeID{nodeID(node)}, Epoch: 1,
		Reason: "least loaded of 3 nodes", Since: testNow().Add(-10 * time.Minute),
	}
	return view
}

// saying adds what a node says of the unit.
func saying(view wire.UnitView, node int, active, sub string, pid int) wire.UnitView {
	view.Statuses = append(slices.Clone(view.Statuses), cluster.Status{
		Unit: view.Name, Node: nodeID(node), UID: view.UID, Hash: view.Hash, Epoch: 1, Restarts: view.Restarts,
		Load: "loaded", Active: active, Sub: sub, MainPID: pid, Since: testNow().Add(-5 * time.Minute),
	})
	return view
}

func pending(view wire.UnitView, reason string) wire.UnitView {
	view.Placement = &cluster.Placement{Unit: view.Name, UID: view.UID, Epoch: 1, Reason: reason, Since: testNow().Add(-time.Minute)}
	view.Problem = reason
	return view
}

// full is the first message of a watch.
func full(units ...wire.UnitView) wire.Change {
	return wire.Change{Revision: 10, Full: true, Units: units, Nodes: threeNodes()}
}

// later is a message that comes after it.
func later(revision cluster.Revision, units ...wire.UnitView) wire.Change {
	return wire.Change{Revision: revision, Units: units}
}

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

// session is one call of the command line.
type session struct {
	stdin    string
	env      map[string]string
	terminal bool
	width    int
	sizes    []wire.TerminalSize // of the terminal
	raw      *int                // counts up when the terminal is made raw, down when it is restored
}

// Raw and Sizes make a session its own terminal.
func (s session) Raw() (func(), error) { *s.raw++; return func() { *s.raw-- }, nil }

func (s session) Sizes(context.Context) <-chan wire.TerminalSize {
	sizes := make(chan wire.TerminalSize, len(s.sizes))
	for _, size := range s.sizes {
		sizes <- size
	}
	return sizes
}

func (s session) run(t *testing.T, f *fake, args ...string) result {
	t.Helper()
	return s.runContext(t, t.Context(), f, args...)
}

func (s session) runContext(t *testing.T, ctx context.Context, f *fake, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	home := t.TempDir()
	code := Run(ctx, args, Env{
		Stdin: strings.NewReader(s.stdin), Stdout: &out, Stderr: &err,
		Getenv: func(name string) string {
			if value, ok := s.env[name]; ok {
				return value
			}
			if name == "HOME" {
				return home
			}
			return ""
		},
		IsTerminal: func(any) bool { return s.terminal },
		Width:      s.width,
		Terminal:   s,
		Now:        testNow,
		Dial: func(_ context.Context, target contexts.Context) (Backend, error) {
			f.target = target
			return f, nil
		},
	})
	return result{code, out.String(), err.String()}
}

// run calls the command line, piped, with the words of a line.
func run(t *testing.T, f *fake, line string) result {
	t.Helper()
	return session{}.run(t, f, strings.Fields(line)...)
}

// units is a list of units.
func units[T any](all ...T) []T { return all }

func (f *fake) Keys(_ context.Context, q client.KeysQuery) (wire.Keys, error) {
	found := wire.Keys{Revision: 9}
	for _, item := range f.keys {
		if item.Key.String() == q.Key || q.Prefix && strings.HasPrefix(item.Key.String(), q.Key) {
			found.Items = append(found.Items, item)
		}
	}
	found.Count = int64(len(found.Items))
	return found, f.ask("keys %s prefix %v limit %d", q.Key, q.Prefix, q.Limit)
}

func (f *fake) WriteKey(_ context.Context, w wire.KeyWrite) (wire.KeyAnswer, error) {
	condition := ""
	if w.If != nil {
		condition = fmt.Sprintf(" if absent %v changed %d", w.If.Absent, w.If.Changed)
		if w.If.Value != nil {
			condition += " value " + w.If.Value.String()
		}
	}
	removed := int64(0)
	for _, item := range f.keys {
		if w.Delete && (item.Key.String() == w.Key.String() || w.Prefix && strings.HasPrefix(item.Key.String(), w.Key.String())) {
			removed++
		}
	}
	return wire.KeyAnswer{Revision: 10, Removed: removed}, f.ask("write %s=%s ttl %s delete %v prefix %v%s", w.Key, w.Value, w.TTL, w.Delete, w.Prefix, condition)
}

func (f *fake) WatchKeys(ctx context.Context, q client.KeysQuery, each func(wire.KeyEvents) error) error {
	if err := f.ask("watchkeys %s prefix %v after %d", q.Key, q.Prefix, q.After); err != nil {
		return err
	}
	var messages []wire.KeyEvents
	last := len(f.keyEvents) <= 1
	if len(f.keyEvents) > 0 {
		messages = f.keyEvents[0]
		f.keyEvents = f.keyEvents[1:]
	}
	for _, m := range messages {
		if err := each(m); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	if f.watching != nil {
		f.watching()
	}
	<-ctx.Done()
	return ctx.Err()
}
