package bus

import (
	"context"
	"encoding/hex"
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

// readers is how many property reads are on their way at once; PID 1 answers
// one after the other, so that this only hides the way to it.
const readers = 8

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
	return sortUnits(units), nil
}

// sortUnits sorts by name and drops the second of two rows for one name.
func sortUnits(units []systemd.Unit) []systemd.Unit {
	slices.SortFunc(units, func(x, y systemd.Unit) int { return strings.Compare(string(x.Name), string(y.Name)) })
	return slices.CompactFunc(units, func(x, y systemd.Unit) bool { return x.Name == y.Name })
}

// details reads the properties of one unit. A unit that went away between the
// listing and the reading is not-found.
func (b *Bus) details(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, u *systemd.Unit) error {
	object := conn.Object(busName, path)
	props := properties{}
	if err := object.CallWithContext(ctx, propsIface+".GetAll", 0, unitIface).Store((*map[string]dbus.Variant)(&props)); err != nil {
		if isNoSuchUnit(err) || isUnknownObject(err) {
			u.Load, u.Active, u.Sub = "not-found", "inactive", "dead"
			return nil
		}
		return err
	}
	// All of one reading, so that the words agree with each other.
	u.Load, u.Active, u.Sub = props.text("LoadState"), props.text("ActiveState"), props.text("SubState")
	u.Ours = b.files.owns(props.text("FragmentPath"))
	u.Stale, _ = props["NeedDaemonReload"].Value().(bool)
	u.Since = time.UnixMicro(int64(props.number("StateChangeTimestamp")))
	if id, ok := props["InvocationID"].Value().([]byte); ok {
		u.Invocation = hex.EncodeToString(id)
	}
	if !u.Ours {
		return nil
	}
	if !u.Stale && u.FileHash == "" {
		u.Stale = true // systemd holds what no file says any more
	}
	iface := typeIface(u.Name)
	if iface == "" {
		return nil
	}
	own := properties{}
	if err := object.CallWithContext(ctx, propsIface+".GetAll", 0, iface).Store((*map[string]dbus.Variant)(&own)); err != nil {
		if isNoSuchUnit(err) || isUnknownObject(err) {
			return nil
		}
		return err
	}
	u.Result = own.text("Result")
	u.ExitCode = int(own.number("ExecMainStatus"))
	u.MainPID = int(own.number("MainPID"))
	return nil
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

func isUnknownObject(err error) bool {
	e, ok := err.(dbus.Error) //nolint:errorlint // godbus returns it bare
	return ok && (e.Name == "org.freedesktop.DBus.Error.UnknownObject" || e.Name == "org.freedesktop.DBus.Error.UnknownInterface")
}

// properties are those of one object.
type properties map[string]dbus.Variant

func (p properties) text(name string) string {
	s, _ := p[name].Value().(string)
	return s
}

func (p properties) number(name string) uint64 {
	switch n := p[name].Value().(type) {
	case uint64:
		return n
	case uint32:
		return uint64(n)
	case int32:
		return uint64(max(n, 0))
	}
	return 0
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
