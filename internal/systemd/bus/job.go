package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"argosy/internal/cluster"
	"argosy/internal/systemd"
)

// Run implements systemd.Manager. If ctx ends, the job goes on without us.
func (b *Bus) Run(ctx context.Context, verb systemd.Verb, name cluster.UnitName) (string, error) {
	manager, _, err := b.manager(ctx)
	if err != nil {
		return "", err
	}
	if verb == systemd.ResetFailed {
		err := manager.CallWithContext(ctx, managerIface+".ResetFailedUnit", 0, string(name)).Err
		if err != nil && !isNoSuchUnit(err) {
			return "", plain(err)
		}
		return "done", nil
	}
	method := map[systemd.Verb]string{systemd.Start: "StartUnit", systemd.Stop: "StopUnit", systemd.Restart: "RestartUnit"}[verb]
	if method == "" {
		return "", cluster.Errorf(cluster.Internal, "unknown verb %q", verb)
	}
	b.mu.Lock()
	b.calling++
	b.mu.Unlock()
	var job dbus.ObjectPath
	err = manager.CallWithContext(ctx, managerIface+"."+method, 0, string(name), "replace").Store(&job)
	end := b.await(job, err == nil)
	switch {
	case err != nil && verb == systemd.Stop && isNoSuchUnit(err):
		return "done", nil // systemd forgot it: nothing runs
	case err != nil:
		return "", plain(err)
	}
	result, err := b.result(ctx, job, end)
	if err != nil {
		b.forget(job, end)
		return "", fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return result, nil
}

// jobCheck is how often a job that is waited for is asked whether it still
// exists, in case its end was not told: systemd drops a job that it cannot
// bring over a reload, without a word.
const jobCheck = 2 * time.Second

// result waits for the end of a job.
func (b *Bus) result(ctx context.Context, job dbus.ObjectPath, end <-chan string) (string, error) {
	gone := false
	for {
		quiet, cancel := context.WithTimeout(ctx, jobCheck)
		select {
		case result, ok := <-end:
			cancel()
			if !ok {
				return "", cluster.Errorf(cluster.Unknown, "the connection to systemd broke before the job ended")
			}
			return result, nil
		case <-quiet.Done():
			cancel()
		}
		// The news of its end may have been under way at the first look.
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case gone:
			return "", cluster.Errorf(cluster.Unknown, "the job is gone, and systemd did not say how it ended")
		}
		gone = !b.exists(ctx, job)
	}
}

// exists reports whether systemd has a job; when in doubt, it has.
func (b *Bus) exists(ctx context.Context, job dbus.ObjectPath) bool {
	_, conn, err := b.manager(ctx)
	if err != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, jobCheck)
	defer cancel()
	var state dbus.Variant
	err = conn.Object(busName, job).CallWithContext(ctx, propsIface+".Get", 0, busName+".Job", "State").Store(&state)
	var e dbus.Error
	return !errors.As(err, &e) || e.Name != "org.freedesktop.DBus.Error.UnknownObject"
}

// Reload implements systemd.Manager.
func (b *Bus) Reload(ctx context.Context) error {
	manager, _, err := b.manager(ctx)
	if err != nil {
		return err
	}
	b.count(+1)
	defer b.count(-1)
	if err := manager.CallWithContext(ctx, managerIface+".Reload", 0).Err; err != nil {
		return fmt.Errorf("reload systemd: %w", plain(err))
	}
	return nil
}

func (b *Bus) count(delta int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reloads += delta
}

// await ends a call that returned a job's name, and returns where the job's
// result comes. The job may have ended before its name was known here: while
// such calls are under way, the results of unknown jobs are kept.
func (b *Bus) await(job dbus.ObjectPath, ok bool) chan string {
	b.mu.Lock()
	defer b.mu.Unlock()
	end := make(chan string, 1)
	b.calling--
	result, early := b.ended[job]
	switch {
	case !ok:
	case early:
		end <- result
	case b.conn == nil:
		close(end)
	default:
		b.jobs[job] = append(b.jobs[job], end)
	}
	if b.calling == 0 {
		clear(b.ended)
	}
	return end
}

func (b *Bus) jobEnded(job dbus.ObjectPath, result string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, end := range b.jobs[job] {
		end <- result
	}
	delete(b.jobs, job)
	if b.calling > 0 {
		b.ended[job] = result
	}
}

// forget drops a waiter that gave up.
func (b *Bus) forget(job dbus.ObjectPath, end chan string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.jobs[job][:0]
	for _, waiter := range b.jobs[job] {
		if waiter != end {
			rest = append(rest, waiter)
		}
	}
	if b.jobs[job] = rest; len(rest) == 0 {
		delete(b.jobs, job)
	}
}

func isNoSuchUnit(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == busName+".NoSuchUnit"
}

// plain turns an error of the bus into one of ours, with systemd's own text.
func plain(err error) error {
	var e dbus.Error
	if !errors.As(err, &e) {
		return err
	}
	kind := cluster.Internal
	switch e.Name {
	case busName + ".NoSuchUnit":
		kind = cluster.NotFound
	case busName + ".BadUnitSetting", busName + ".LoadFailed", busName + ".UnitMasked", busName + ".OnlyByDependency":
		kind = cluster.Invalid
	}
	return cluster.Errorf(kind, "%s", e.Error())
}
