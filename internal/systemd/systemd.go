// Package systemd is the port to a node's systemd: see what runs, write unit
// files, and have jobs done. It makes no decision and retries nothing.
//
// Two implementations pass the conformance suite in systemdtest: Bus, which
// talks to the real systemd over D-Bus, and systemdtest.Fake.
//
// Unit files live in a folder of ours (by default /run/argosy/units) and are
// linked into systemd's runtime path, so that a power cut leaves nothing
// behind. A unit is ours if its file lies in that folder.
package systemd

import (
	"context"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// Unit is what systemd says of one unit, in systemd's words.
type Unit struct {
	Name   cluster.UnitName
	Load   string // loaded, not-found, bad-setting, error, masked
	Active string // active, reloading, inactive, failed, activating, deactivating
	Sub    string
	// Ours tells whether the unit's file lies in our folder. A name that
	// exists but is not ours belongs to the host and is never touched; an alias
	// of a unit is such a name.
	Ours bool
	// Stale: systemd says that what it read may not be what is on the disk now;
	// a Reload is due. That may be the unit's file, a drop-in of the host, or
	// anything at all that was enabled or disabled on the host.
	Stale    bool
	Result   string // "success", "exit-code", "signal", "timeout", …
	ExitCode int
	MainPID  int
	// AutoRestarts is how often systemd has started a service again by itself
	// since it was last started; told only while it is activating.
	AutoRestarts int
	// RestartDelay is how long systemd waits before it starts a service again
	// by itself; told only while it is activating.
	RestartDelay time.Duration
	// StartLimit is how many starts in a row are too many (StartLimitBurst=);
	// told only while it is activating.
	StartLimit int
	// Since is when Active last changed; zero if it never did since systemd
	// loaded the unit.
	Since time.Time
	// Invocation is systemd's ID of this run of the unit: it changes with each
	// start.
	Invocation string
	// FileHash is the hash of the unit file in our folder; "" if there is none.
	FileHash cluster.Hash
}

// Verb is what a job does to a unit.
type Verb string

// The verbs of Run.
const (
	Start       Verb = "start"
	Stop        Verb = "stop"
	Restart     Verb = "restart"
	ResetFailed Verb = "reset-failed" // done at once, no job; an unknown unit is no error
)

// Manager is the port. All methods may be called concurrently.
type Manager interface {
	// Observe returns the named units, or, without names, every unit that has
	// a file in our folder or was made from one and is still loaded. Unknown
	// names come back as "not-found". The result is sorted by name.
	Observe(ctx context.Context, names ...cluster.UnitName) ([]Unit, error)
	// Write makes a unit file and its link, whole or not at all. Writing the
	// same text again changes nothing.
	Write(ctx context.Context, name cluster.UnitName, text string) error
	// SetEnvironment gives a service variables ("NAME=value") from its next start on, in
	// place of those that it was given before. Without any it is as if it never had been
	// given one. The first time comes before Write, or a Reload is due: what systemd reads
	// then says where the variables are found.
	SetEnvironment(ctx context.Context, name cluster.UnitName, variables []string) error
	// Environment returns the variables that a service was given, nil if none.
	Environment(ctx context.Context, name cluster.UnitName) ([]string, error)
	// Text returns the text of a unit file in our folder, "" if there is none.
	Text(ctx context.Context, name cluster.UnitName) (string, error)
	// Remove removes a unit file, its link and its variables; it is no error if there is
	// none.
	Remove(ctx context.Context, name cluster.UnitName) error
	// Reload makes systemd read changed files again (daemon-reload). PID 1 is
	// deaf meanwhile, for up to a second: never call it per unit.
	Reload(ctx context.Context) error
	// Run carries out a job and waits for its end. The result is systemd's:
	// "done", "failed", "canceled", "timeout", "dependency", "skipped".
	Run(ctx context.Context, verb Verb, name cluster.UnitName) (result string, err error)
	// Changes is signalled (never blocked on) when any unit may have changed.
	// The names are those of the units concerned; an empty slice means that
	// anything may have changed (after a reconnect, for example).
	Changes() <-chan []cluster.UnitName
}

// Journal is the port to the log of a node's units.
type Journal interface {
	// Sync waits until the journal holds what was written before it was called: the
	// last words of a unit that has just failed may still be on their way.
	Sync(ctx context.Context) error
	// Tail returns the last n lines of a unit, oldest first.
	Tail(ctx context.Context, name cluster.UnitName, n int) ([]string, error)
	// Follow calls line for the last lines of a unit, and then for each new one
	// until ctx ends, if that is wanted. In the form JournalExport, which has no
	// lines, it is called with pieces of what journalctl writes, as they come.
	Follow(ctx context.Context, name cluster.UnitName, view JournalView, line func(string) error) error
}

// ToldAll reports whether the last lines of a unit that failed, as Tail returns
// them after a Sync, end with systemd's verdict on it ("web.service: Failed with result
// 'exit-code'.", and perhaps that its start failed): what the unit itself wrote is there
// too then.
func ToldAll(name cluster.UnitName, lines []string) bool {
	return slices.ContainsFunc(lines[max(0, len(lines)-2):], func(line string) bool {
		return strings.HasPrefix(line, string(name)+": Failed with result '")
	})
}

// JournalView says what of a unit's journal is wanted.
type JournalView struct {
	Lines  int    // of the past
	Follow bool   // and what comes
	Form   string // one of JournalForms; "": JournalShortISO
}

// Forms of a journal that mean something here; the others are only passed on.
const (
	JournalShortISO = "short-iso" // each line begins with its time and its program
	JournalExport   = "export"    // bytes, no lines
)

// JournalForms are the words for the forms of a journal, journalctl's own.
func JournalForms() []string {
	return []string{
		"short", "short-full", JournalShortISO, "short-iso-precise", "short-precise", "short-monotonic", "short-unix", "short-delta",
		"with-unit", "cat", "verbose", "json", "json-pretty", "json-sse", "json-seq", JournalExport,
	}
}

// CheckJournalForm returns an Invalid error that names the forms there are, unless
// it is one of them or "".
func CheckJournalForm(form string) error {
	if form == "" || slices.Contains(JournalForms(), form) {
		return nil
	}
	return cluster.Errorf(cluster.Invalid, "%.40q is no form of a journal: use %s", form, strings.Join(JournalForms(), ", "))
}
