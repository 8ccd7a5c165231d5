package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"argosy/internal/cluster"
	"argosy/internal/converge"
	"argosy/internal/loop"
)

// The files that the agent keeps in its folder.
const (
	sliceFile   = "slice.json"
	memoryFile  = "memory.json"
	diskVersion = 1
	asideSuffix = ".corrupt" // of a file that could not be read
	newSuffix   = ".new"     // of a file that is being written
)

// disk keeps the slice and the converger's memory across restarts. Both are
// copies of something better (the cluster, systemd): a file that cannot be
// read is put aside and the agent goes on without it.
type disk struct {
	a    *Agent
	loop *loop.Loop
	pace loop.Pace
	last map[string]string // what each file holds
}

type savedSlice struct {
	Version int           `json:"version"`
	Slice   cluster.Slice `json:"slice"`
}

// savedMemory is what the converger remembers of one boot: of its doings, and of the runs
// of units that it found healthy.
type savedMemory struct {
	Version int                         `json:"version"`
	BootID  string                      `json:"bootID"`
	Units   converge.Memory             `json:"units"`
	Healthy map[cluster.UnitName]string `json:"healthy,omitempty"`
}

func newDisk(a *Agent) *disk {
	d := &disk{a: a, pace: loop.Pace{Every: 500 * time.Millisecond}, last: map[string]string{}}
	d.loop = loop.New("disk", a.log, func(ctx context.Context) (time.Duration, error) {
		if err := d.pace.Wait(ctx); err != nil {
			return 0, err
		}
		return loop.Never, d.save()
	})
	return d
}

// restore hands over what was saved. The memory of another boot is not true
// any more: every process of then is gone.
func (d *disk) restore() {
	var slice savedSlice
	if d.read(sliceFile, &slice) && d.usable(sliceFile, slice.Version, slice.Slice.Node) {
		d.a.slices.restore(slice.Slice)
	}
	var memory savedMemory
	if d.read(memoryFile, &memory) && memory.Version == diskVersion && memory.BootID == d.a.cfg.BootID {
		d.a.worker.recall(memory)
	}
	d.a.worker.assign(d.a.slices.current(), nil)
}

func (d *disk) usable(name string, version int, node cluster.NodeID) bool {
	if version == diskVersion && node == d.a.cfg.Node {
		return true
	}
	d.quarantine(name, cluster.Errorf(cluster.Invalid, "version %d of node %q", version, node))
	return false
}

func (d *disk) read(name string, into any) bool {
	text, err := os.ReadFile(filepath.Join(d.a.cfg.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		d.quarantine(name, err)
		return false
	}
	return true
}

func (d *disk) quarantine(name string, err error) {
	d.a.log.Warn("file put aside, going on without it", "file", name, "err", err)
	path := filepath.Join(d.a.cfg.Dir, name)
	_ = os.Rename(path, path+asideSuffix)
}

// save writes both files if they changed.
func (d *disk) save() error {
	return errors.Join(
		d.write(sliceFile, savedSlice{diskVersion, d.a.slices.current()}),
		d.write(memoryFile, d.a.worker.remembered()))
}

// write replaces a file as a whole: after a crash it is the old or the new one.
func (d *disk) write(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil || d.last[name] == string(text) {
		return err
	}
	path := filepath.Join(d.a.cfg.Dir, name)
	if err := os.MkdirAll(d.a.cfg.Dir, 0o700); err != nil {
		return err
	}
	// One name for all: what a power cut leaves is written over.
	f, err := os.OpenFile(path+newSuffix, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d.last[name] = string(text)
	return nil
}

// forget removes both files, what was put aside, and what a power cut left.
func (d *disk) forget() error {
	var errs []error
	for _, name := range []string{sliceFile, memoryFile} {
		for _, suffix := range []string{"", asideSuffix, newSuffix} {
			if err := os.Remove(filepath.Join(d.a.cfg.Dir, name+suffix)); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
