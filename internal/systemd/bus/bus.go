// Package bus drives the real systemd over D-Bus, with unit files in a folder
// of ours and links to them in systemd's runtime path.
//
// It speaks to systemd's private socket, as systemctl does, and falls back to
// the system bus: one process less in the way, and no dbus-daemon that can be
// restarted. A lost connection is made anew; then anything may have changed.
package bus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

// Names on the bus.
const (
	busName      = "org.freedesktop.systemd1"
	managerPath  = "/org/freedesktop/systemd1"
	managerIface = busName + ".Manager"
	unitIface    = busName + ".Unit"
	unitPrefix   = managerPath + "/unit/"
	propsIface   = "org.freedesktop.DBus.Properties"
)

// Config holds the driver's values; the zero value of each means its default.
type Config struct {
	// Dir holds our unit files. Default: /run/argosy/units.
	Dir string
	// EnvironmentDir holds the variables that services are given. Default:
	// /run/argosy/environment.
	EnvironmentDir string
	// LinkDir is the folder of systemd's unit path that links go to.
	// Default: /run/systemd/system.
	LinkDir string
	Log     *slog.Logger
}

// Bus is a systemd.Manager on the real systemd. Make it with New; Keep keeps it
// connected. All methods may be called concurrently.
type Bus struct {
	files        files
	environments environments
	log          *slog.Logger
	loop         *loop.Loop
	changes      chan []cluster.UnitName

	// heard is what was last said of each unit, by interface; only the loop
	// that reads signals uses it.
	heard map[string]map[string]string

	mu       sync.Mutex
	conn     *dbus.Conn
	ready    chan struct{} // closed while there is a connection
	jobs     map[dbus.ObjectPath][]chan string
	ended    map[dbus.ObjectPath]string // jobs that ended before their caller knew their name
	calling  int                        // calls that will return a job's name
	changed  map[cluster.UnitName]bool
	all      bool
	reloads  int // reloads of ours under way
	signaled chan struct{}
}

var _ systemd.Manager = (*Bus)(nil)

// New makes a driver. Its methods wait for the connection that Keep makes.
func New(cfg Config) *Bus {
	if cfg.Dir == "" {
		cfg.Dir = "/run/argosy/units"
	}
	if cfg.EnvironmentDir == "" {
		cfg.EnvironmentDir = "/run/argosy/environment"
	}
	if cfg.LinkDir == "" {
		cfg.LinkDir = "/run/systemd/system"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bus{
		files:        files{dir: cfg.Dir, links: cfg.LinkDir, hashes: map[cluster.UnitName]hashed{}},
		environments: environments{cfg.EnvironmentDir, cfg.LinkDir},
		log:          cfg.Log, changes: make(chan []cluster.UnitName), ready: make(chan struct{}),
		jobs: map[dbus.ObjectPath][]chan string{}, ended: map[dbus.ObjectPath]string{},
		changed: map[cluster.UnitName]bool{}, signaled: make(chan struct{}, 1),
	}
	b.loop = loop.New("systemd", b.log, b.step)
	return b
}

// Keep makes the connection, and makes it anew when it breaks, until ctx ends.
// It returns ctx's error.
func (b *Bus) Keep(ctx context.Context) error {
	done := make(chan struct{})
	go func() { defer close(done); b.tell(ctx) }()
	err := b.loop.Run(ctx)
	<-done
	return err
}

// Changes implements systemd.Manager.
func (b *Bus) Changes() <-chan []cluster.UnitName { return b.changes }

// step holds one connection until it breaks.
func (b *Bus) step(ctx context.Context) (time.Duration, error) {
	conn, err := dial(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	signals := make(chan *dbus.Signal, 1024)
	conn.Signal(signals)
	if err := conn.Object(busName, managerPath).CallWithContext(ctx, managerIface+".Subscribe", 0).Err; err != nil {
		return 0, fmt.Errorf("subscribe to systemd's signals: %w", err)
	}
	b.heard = map[string]map[string]string{}
	b.connected(conn)
	defer b.disconnected()
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case signal, ok := <-signals:
			if !ok {
				return 0, cluster.Errorf(cluster.Unavailable, "the connection to systemd broke")
			}
			b.hear(signal)
		case <-conn.Context().Done():
			return 0, cluster.Errorf(cluster.Unavailable, "the connection to systemd broke")
		}
	}
}

func (b *Bus) connected(conn *dbus.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn = conn
	close(b.ready)
	b.all = true
	b.nudge()
}

// disconnected fails every job that is waited for: their end will not be heard.
func (b *Bus) disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn = nil
	b.ready = make(chan struct{})
	for _, waiters := range b.jobs {
		for _, w := range waiters {
			close(w)
		}
	}
	clear(b.jobs)
	clear(b.ended)
}

// manager returns systemd's manager object once there is a connection.
func (b *Bus) manager(ctx context.Context) (dbus.BusObject, *dbus.Conn, error) {
	for {
		b.mu.Lock()
		conn, ready := b.conn, b.ready
		b.mu.Unlock()
		if conn != nil {
			return conn.Object(busName, managerPath), conn, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, nil, cluster.Errorf(cluster.Unavailable, "no connection to systemd: %w", ctx.Err())
		}
	}
}

// hear takes one signal. That systemd loads or forgets a unit is no change: it
// loads one that is down only to answer a question about it, so that to ask
// again then would never end. What a unit does is told by its properties.
func (b *Bus) hear(s *dbus.Signal) {
	switch s.Name {
	case managerIface + ".JobRemoved":
		var id uint32
		var job dbus.ObjectPath
		var unit, result string
		if dbus.Store(s.Body, &id, &job, &unit, &result) == nil {
			b.jobEnded(job, result)
		}
	case managerIface + ".UnitRemoved":
		var unit string
		var path dbus.ObjectPath
		if dbus.Store(s.Body, &unit, &path) == nil {
			delete(b.heard, unit)
		}
	case managerIface + ".Reloading":
		var active bool
		if dbus.Store(s.Body, &active) == nil && !active {
			b.reloaded()
		}
	case propsIface + ".PropertiesChanged":
		if unit, ok := unitOfPath(s.Path); ok && b.isNews(unit, s.Body) {
			b.change(unit)
		}
	}
}

// isNews reports whether a signal of changed properties says something of
// interest that the one before it did not: systemd repeats all of them at
// every occasion, a job's end for example.
func (b *Bus) isNews(unit string, body []any) bool {
	var iface string
	var values map[string]dbus.Variant
	if len(body) < 2 || dbus.Store(body[:2], &iface, &values) != nil {
		return true
	}
	var said strings.Builder
	for _, name := range []string{"ActiveState", "SubState", "StateChangeTimestamp", "InvocationID", "MainPID", "Result", "ExecMainStatus"} {
		fmt.Fprintf(&said, "%v ", values[name].Value())
	}
	if b.heard[unit] == nil {
		b.heard[unit] = map[string]string{}
	}
	news := b.heard[unit][iface] != said.String()
	b.heard[unit][iface] = said.String()
	return news
}

// reloaded notes the end of a reload. After one that is not ours anything may
// have changed.
func (b *Bus) reloaded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reloads == 0 {
		b.all = true
		b.nudge()
	}
}

func (b *Bus) change(unit string) {
	name := cluster.UnitName(unit)
	if name.Type() == "" {
		return // devices, scopes: never ours
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed[name] = true
	b.nudge()
}

func (b *Bus) nudge() {
	select {
	case b.signaled <- struct{}{}:
	default:
	}
}

// tell hands what changed to whoever reads Changes; what comes while nobody
// reads is gathered.
func (b *Bus) tell(ctx context.Context) {
	pending, everything := map[cluster.UnitName]bool{}, false
	for {
		b.mu.Lock()
		maps.Copy(pending, b.changed)
		everything = everything || b.all
		clear(b.changed)
		b.all = false
		b.mu.Unlock()
		var out chan<- []cluster.UnitName
		var names []cluster.UnitName
		if everything || len(pending) > 0 {
			out = b.changes
		}
		if !everything {
			names = slices.Sorted(maps.Keys(pending))
		}
		select {
		case out <- names:
			clear(pending)
			everything = false
		case <-b.signaled:
		case <-ctx.Done():
			return
		}
	}
}

// unitOfPath undoes the escaping of unit names in object paths.
func unitOfPath(path dbus.ObjectPath) (string, bool) {
	escaped, ok := strings.CutPrefix(string(path), unitPrefix)
	if !ok {
		return "", false
	}
	var name strings.Builder
	for i := 0; i < len(escaped); i++ {
		var c byte
		if escaped[i] == '_' && i+2 < len(escaped) {
			if _, err := fmt.Sscanf(escaped[i+1:i+3], "%02x", &c); err == nil {
				name.WriteByte(c)
				i += 2
				continue
			}
		}
		name.WriteByte(escaped[i])
	}
	return name.String(), true
}
