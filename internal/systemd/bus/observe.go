package bus

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sync/errgroup"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// readers is of how many units the properties are asked for at once. PID 1
// answers everything that has come between two of its rounds of starts, and a
// round takes it seconds when many units start again and again: whoever waits
// for each answer before the next question is then told about one property per
// round.
const readers = 256

// listed is one unit of systemd's listings.
type listed struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// Observe implements systemd.Manager: one listing, and the properties of those
// units that systemd knows.
func (b *Bus) Observe(ctx context.Context, names ...cluster.UnitName) ([]systemd.Unit, error) {
	manager, conn, err := b.manager(ctx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		if names, err = b.ours(ctx, manager, conn); err != nil || len(names) == 0 {
			return nil, err
		}
	}
	var rows []listed
	if err := manager.CallWithContext(ctx, managerIface+".ListUnitsByNames", 0, names).Store(&rows); err != nil {
		return nil, plain(err)
	}
	units := make([]systemd.Unit, len(rows))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, row := range rows {
		units[i] = systemd.Unit{
			Name: cluster.UnitName(row.Name), Load: row.Load, Active: row.Active, Sub: row.Sub,
			FileHash: b.files.hash(cluster.UnitName(row.Name)),
		}
		if row.Load == "not-found" && row.Active == "inactive" {
			continue
		}
		group.Go(func() error { return b.details(ctx, conn, row.Path, &units[i]) })
	}
	if err := group.Wait(); err != nil {
		return nil, plain(err)
	}
	return asAsked(names, units), nil
}

// asAsked returns a unit for each name that was asked for, sorted by name.
// systemd tells of an alias under the name of the unit that it stands for: a
// name that it does not tell of is such an alias, and so the host's.
func asAsked(names []cluster.UnitName, units []systemd.Unit) []systemd.Unit {
	told := make(map[cluster.UnitName]systemd.Unit, len(units))
	for _, u := range units {
		told[u.Name] = u
	}
	asked := make([]systemd.Unit, 0, len(names))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		u, ok := told[name]
		if !ok {
			u = systemd.Unit{Name: name, Load: "loaded", Active: "inactive", Sub: "dead"}
		}
		asked = append(asked, u)
	}
	return asked
}

// details reads what the listing does not say. Single properties: all of a
// service would be some 300, which keeps PID 1 busy for milliseconds. A unit
// that went away between the listing and the reading is not-found.
func (b *Bus) details(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, u *systemd.Unit) error {
	r := ask(ctx, conn.Object(busName, path), questions(*u))
	fragment := r.text("FragmentPath")
	u.Ours = b.files.owns(fragment)
	if !u.Ours {
		// systemd makes a slice of any name that it is asked for.
		if fragment == "" && u.Name.Type() == "slice" && u.Active == "inactive" {
			u.Load = "not-found"
		}
		return r.result(u)
	}
	u.Stale = r.flag("NeedDaemonReload") || u.FileHash == ""
	u.Since = moment(r.number("StateChangeTimestamp"))
	u.Invocation = hex.EncodeToString(r.bytes("InvocationID"))
	u.MainPID = int(r.number("MainPID"))
	u.ExitCode = int(r.number("ExecMainStatus"))
	u.AutoRestarts = int(r.number("NRestarts"))
	u.StartLimit = int(r.number("StartLimitBurst"))
	u.RestartDelay = time.Duration(r.number("RestartUSec")) * time.Microsecond
	if typeIface(u.Name) != "" {
		u.Result = cmp.Or(r.text("Result"), "success") // which is what systemd says of all that is active
	}
	return r.result(u)
}

// moment reads a time of systemd's; 0 stands for none.
func moment(usec uint64) time.Time {
	if usec == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(usec))
}

// questions returns the properties to read of a unit, each with its interface:
// no more than its state gives a meaning to.
func questions(u systemd.Unit) map[string]string {
	asked := map[string]string{}
	for _, name := range []string{"FragmentPath", "NeedDaemonReload", "StateChangeTimestamp", "InvocationID"} {
		asked[name] = unitIface
	}
	iface := typeIface(u.Name)
	if iface == "" {
		return asked
	}
	if u.Active != "active" {
		asked["Result"] = iface
	}
	if u.Name.Type() != "service" {
		return asked
	}
	if u.Active != "inactive" && u.Active != "failed" {
		asked["MainPID"] = iface
	}
	if u.Active != "active" {
		asked["ExecMainStatus"] = iface
	}
	if u.Active == "activating" {
		asked["NRestarts"], asked["RestartUSec"], asked["StartLimitBurst"] = iface, iface, unitIface
	}
	return asked
}

// typeIface returns the interface that holds the result of a unit of its type.
func typeIface(name cluster.UnitName) string {
	kind := name.Type()
	switch kind {
	case "", "target", "slice":
		return ""
	}
	return busName + "." + strings.ToUpper(kind[:1]) + kind[1:]
}

// reader reads the answers to questions about one object, up to the first
// error. What was not asked is zero.
type reader struct {
	calls map[string]*dbus.Call // by property
	err   error
}

// ask sends all questions and waits for none.
func ask(ctx context.Context, object dbus.BusObject, questions map[string]string) *reader {
	r := &reader{calls: make(map[string]*dbus.Call, len(questions))}
	for name, iface := range questions {
		r.calls[name] = object.GoWithContext(ctx, propsIface+".Get", 0, nil, iface, name)
	}
	return r
}

func (r *reader) get(name string) any {
	call := r.calls[name]
	if r.err != nil || call == nil {
		return nil
	}
	var value dbus.Variant
	r.err = (<-call.Done).Store(&value)
	return value.Value()
}

func (r *reader) text(name string) string {
	s, _ := r.get(name).(string)
	return s
}

func (r *reader) flag(name string) bool {
	b, _ := r.get(name).(bool)
	return b
}

func (r *reader) bytes(name string) []byte {
	b, _ := r.get(name).([]byte)
	return b
}

func (r *reader) number(name string) uint64 {
	switch n := r.get(name).(type) {
	case uint64:
		return n
	case uint32:
		return uint64(n)
	case int32:
		return uint64(max(n, 0))
	}
	return 0
}

// result returns the first error, unless it says that the unit is gone.
func (r *reader) result(u *systemd.Unit) error {
	var e dbus.Error
	switch {
	case r.err == nil:
		return nil
	case isNoSuchUnit(r.err), errors.As(r.err, &e) && strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Unknown"):
		*u = systemd.Unit{Name: u.Name, Load: "not-found", Active: "inactive", Sub: "dead", FileHash: u.FileHash}
		return nil
	}
	return r.err
}

// ours returns the units that have a file in our folder, and those that
// systemd still holds although their file is gone: few, since all others are
// told by their file on disk.
func (b *Bus) ours(ctx context.Context, manager dbus.BusObject, conn *dbus.Conn) ([]cluster.UnitName, error) {
	names, err := b.files.names()
	if err != nil {
		return nil, err
	}
	var rows []listed
	if err := manager.CallWithContext(ctx, managerIface+".ListUnits", 0).Store(&rows); err != nil {
		return nil, plain(err)
	}
	for _, row := range rows {
		name := cluster.UnitName(row.Name)
		if name.Type() == "" || row.Load == "not-found" || b.files.onDisk(name) {
			continue
		}
		value, err := conn.Object(busName, row.Path).GetProperty(unitIface + ".FragmentPath")
		if fragment, ok := value.Value().(string); err == nil && ok && b.files.owns(fragment) {
			names = append(names, name)
		}
	}
	return names, nil
}

// onDisk reports whether the unit, or its template, has a file in one of the
// usual places of the host or in our folder: then its owner is known.
func (f *files) onDisk(name cluster.UnitName) bool {
	for _, file := range []cluster.UnitName{name, name.Template()} {
		for _, dir := range []string{f.links, "/etc/systemd/system", "/usr/lib/systemd/system", "/run/systemd/transient", "/run/systemd/generator", "/run/systemd/generator.late"} {
			if file == "" {
				continue
			}
			if _, err := os.Lstat(filepath.Join(dir, string(file))); err == nil {
				return true
			}
		}
	}
	return false
}
