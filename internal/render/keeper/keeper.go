// Package keeper keeps one file as a template and the cluster say: it follows the
// services, and those keys that the template asks for, and fills it anew when any of
// them changes.
package keeper

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/render"
	"argosy/internal/render/target"
)

// Source is who knows the services and the keys.
type Source interface {
	FollowServices(ctx context.Context, q client.ServicesQuery, each func(wire.Services) error) error
	Services(ctx context.Context) (wire.Services, error)
	Keys(ctx context.Context, q client.KeysQuery) (wire.Keys, error)
	WatchKeys(ctx context.Context, q client.KeysQuery, each func(wire.KeyEvents) error) error
}

// Job is what is to be kept.
type Job struct {
	// Template is what is filled; nil: the one that is the value of the key, which is
	// followed like everything else.
	Template *render.Template
	Key      string
	Target   target.Target
	Self     cluster.NodeID // the node on which this is
	Env      map[string]string
	// Every is the least time between two fillings: what changes meanwhile is taken in
	// one go.
	Every time.Duration
	// Ready is called once the file is as it should be for the first time; may be nil.
	Ready func()
	Log   *slog.Logger
}

// beginningsMax bounds how many beginnings of keys one template may ask for: each is
// followed for itself.
const beginningsMax = 1000

// tooMany refuses a template that asks for more.
func tooMany(known int) error {
	if known > beginningsMax {
		return cluster.Errorf(cluster.Invalid, "the template asks for keys in more than %d places", beginningsMax).WithHint("gets or ls of what they have in common asks once")
	}
	return nil
}

// again is how long after the end of a stream another one is begun.
const again = 100 * time.Millisecond

// Keep keeps the file until ctx ends, and returns ctx's error. What goes wrong is
// logged and tried again; the file stays what it was meanwhile.
func Keep(ctx context.Context, source Source, job Job) error {
	k := &keeper{source: source, job: job, pace: loop.Pace{Every: job.Every}, keys: map[string]*followed{}}
	k.unused = true // whoever kept the file before may have ended just then
	k.loop = loop.New("fill", job.Log, k.step)
	defer k.group.Wait()
	k.ctx = ctx
	k.group.Go(func() { _ = loop.New("services", job.Log, k.listen).Run(ctx) })
	return k.loop.Run(ctx)
}

type keeper struct {
	source Source
	job    Job
	loop   *loop.Loop
	pace   loop.Pace
	ctx    context.Context //nolint:containedctx // of the run, for those who follow keys
	group  sync.WaitGroup

	// Only the loop uses these.
	text   string           // of the template that was read last, from a key
	read   *render.Template // what came of it
	unused bool             // the file was put, or may have been, and nobody made use of it yet
	ready  bool

	mu      sync.Mutex
	told    bool // the services are known
	cursor  string
	catalog catalog.Catalog
	keys    map[string]*followed // by what they begin with
}

// followed are the keys with one beginning.
type followed struct {
	known  map[string]string // nil: not yet
	cancel context.CancelFunc
}

// listen follows the services for the length of one stream.
func (k *keeper) listen(ctx context.Context) (time.Duration, error) {
	k.mu.Lock()
	after := k.cursor
	k.mu.Unlock()
	return again, k.source.FollowServices(ctx, client.ServicesQuery{After: after}, func(m wire.Services) error {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.cursor = m.Cursor
		if m.Alive() {
			return nil
		}
		k.catalog, k.told = k.catalog.Told(m), true
		k.loop.Wake()
		return nil
	})
}

// follow follows the keys that begin with something.
func (k *keeper) follow(beginning string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, followed := k.keys[beginning]; followed {
		return
	}
	ctx, cancel := context.WithCancel(k.ctx)
	k.keys[beginning] = &followed{cancel: cancel}
	k.group.Go(func() {
		_ = loop.New("keys "+beginning, k.job.Log, func(ctx context.Context) (time.Duration, error) { return again, k.listenKeys(ctx, beginning) }).Run(ctx)
	})
}

// unfollow ends what a filling did not ask for.
func (k *keeper) unfollow(asked []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for beginning, f := range k.keys {
		if beginning != k.job.Key && !slices.Contains(asked, beginning) {
			f.cancel()
			delete(k.keys, beginning)
		}
	}
}

// listenKeys reads keys, and follows them for the length of one stream.
func (k *keeper) listenKeys(ctx context.Context, beginning string) error {
	listed, err := k.source.Keys(ctx, client.KeysQuery{Key: beginning, Prefix: true})
	if err != nil {
		return err
	}
	known := valuesOf(listed)
	k.know(beginning, known)
	return k.source.WatchKeys(ctx, client.KeysQuery{Key: beginning, Prefix: true, After: listed.Revision}, func(m wire.KeyEvents) error {
		if len(m.Events) == 0 {
			return nil
		}
		known = maps.Clone(known)
		for _, e := range m.Events {
			if e.Deleted {
				delete(known, e.Key.String())
			} else {
				known[e.Key.String()] = e.Value.String()
			}
		}
		k.know(beginning, known)
		return nil
	})
}

// know takes what is known of keys now.
func (k *keeper) know(beginning string, known map[string]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.keys[beginning]; f != nil {
		f.known = known
		k.loop.Wake()
	}
}

func valuesOf(listed wire.Keys) map[string]string {
	values := map[string]string{}
	for _, item := range listed.Items {
		values[item.Key.String()] = item.Value.String()
	}
	return values
}

// step fills the template by what is known now, if enough is.
func (k *keeper) step(ctx context.Context) (time.Duration, error) {
	if err := k.pace.Wait(ctx); err != nil {
		return 0, err
	}
	data, told := k.data()
	template, err := k.template(data)
	if err != nil || template == nil || !told {
		return loop.Never, err
	}
	r, err := template.Fill(data)
	if err != nil {
		return 0, err
	}
	if err := tooMany(len(r.Keys)); err != nil {
		return 0, err
	}
	for _, beginning := range r.Missing {
		k.follow(beginning)
	}
	if len(r.Missing) > 0 {
		return loop.Never, nil
	}
	k.unfollow(r.Keys)
	return loop.Never, k.put(ctx, r.Text)
}

// put makes a text the file's, and has it made use of.
func (k *keeper) put(ctx context.Context, text []byte) error {
	changed, err := k.job.Target.Put(ctx, text)
	if err != nil {
		return err
	}
	if changed {
		k.job.Log.Info("changed", "file", k.job.Target.Path)
	}
	if !k.ready && k.job.Ready != nil {
		k.job.Ready()
	}
	k.ready = true
	if k.unused = k.unused || changed; !k.unused {
		return nil
	}
	err = k.job.Target.Use(ctx)
	k.unused = err != nil
	return err
}

// template returns what is to be filled, nil if it is not known yet.
func (k *keeper) template(known render.Data) (*render.Template, error) {
	if k.job.Template != nil {
		return k.job.Template, nil
	}
	if !slices.Contains(known.Known, k.job.Key) {
		k.follow(k.job.Key)
		return nil, nil
	}
	text, there := known.Keys[k.job.Key]
	if !there {
		return nil, noTemplate(k.job.Key)
	}
	if k.read == nil || k.text != text {
		read, err := render.Parse(k.job.Key, text)
		if err != nil {
			return nil, err
		}
		k.read, k.text = read, text
	}
	return k.read, nil
}

func noTemplate(key string) error {
	return cluster.Errorf(cluster.NotFound, "key %s, which is to hold the template, is not there", key).WithHint("argosy kv put " + key + " < FILE")
}

// data returns what is known.
func (k *keeper) data() (d render.Data, told bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := map[string]map[string]string{}
	for beginning, f := range k.keys {
		if f.known != nil {
			keys[beginning] = f.known
		}
	}
	return dataOf(k.catalog, keys, k.job), k.told
}

// dataOf puts together what a template is filled with.
func dataOf(c catalog.Catalog, keys map[string]map[string]string, job Job) render.Data {
	d := render.Data{Keys: map[string]string{}, Services: c.Services, Nodes: c.Nodes, Self: job.Self, Env: job.Env, Now: time.Now()}
	for _, beginning := range slices.Sorted(maps.Keys(keys)) { // they may overlap, as of different moments
		d.Known = append(d.Known, beginning)
		maps.Copy(d.Keys, keys[beginning])
	}
	return d
}

// Once fills the template with what is known now, and returns the text.
func Once(ctx context.Context, source Source, job Job) ([]byte, error) {
	if job.Template == nil {
		listed, err := source.Keys(ctx, client.KeysQuery{Key: job.Key})
		if err == nil && len(listed.Items) == 0 {
			err = noTemplate(job.Key)
		}
		if err == nil {
			job.Template, err = render.Parse(job.Key, listed.Items[0].Value.String())
		}
		if err != nil {
			return nil, err
		}
	}
	services, err := source.Services(ctx)
	if err != nil {
		return nil, err
	}
	keys := map[string]map[string]string{}
	for {
		r, err := job.Template.Fill(dataOf(catalog.Catalog{}.Told(services), keys, job))
		if err == nil {
			err = tooMany(len(r.Keys))
		}
		if err != nil || len(r.Missing) == 0 {
			return r.Text, err
		}
		for _, beginning := range r.Missing {
			listed, err := source.Keys(ctx, client.KeysQuery{Key: beginning, Prefix: true})
			if err != nil {
				return nil, err
			}
			keys[beginning] = valuesOf(listed)
		}
	}
}
