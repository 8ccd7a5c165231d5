package unitfile

import (
	"slices"
	"strings"
)

// The sections that the cluster reads; systemd ignores them, as it does every
// section whose name begins with "X-".
const (
	SectionFleet  = "X-Fleet"
	SectionArgosy = "X-Argosy"
)

// Key is one option of a section that the cluster reads. The reference manual
// is generated from these.
type Key struct {
	Section string
	Name    string
	// Legacy are older spellings that still count.
	Legacy []string
	// Form shows what a value looks like.
	Form string
	// Meaning is what the option does, in a sentence or two.
	Meaning string
}

// Names of the options of [X-Fleet].
const (
	keyConflicts       = "Conflicts"
	keyGlobal          = "Global"
	keyMachineID       = "MachineID"
	keyMachineMetadata = "MachineMetadata"
	keyMachineOf       = "MachineOf"
	keyReplaces        = "Replaces"
)

// Names of the options of [X-Argosy].
const (
	keyAway            = "Away"
	keyCPU             = "CPU"
	keyDrainTime       = "DrainTime"
	keyHealth          = "Health"
	keyHealthGrace     = "HealthGrace"
	keyHealthInterval  = "HealthInterval"
	keyHealthOnFailure = "HealthOnFailure"
	keyHealthRetries   = "HealthRetries"
	keyHealthTimeout   = "HealthTimeout"
	keyMemory          = "Memory"
	keyNear            = "Near"
	keyPrefer          = "Prefer"
	keyPriority        = "Priority"
	keyPublish         = "Publish"
	keyReplicas        = "Replicas"
	keyRequire         = "Require"
	keySpread          = "Spread"
)

// legacy returns the older spellings of an option of [X-Fleet] that still count.
func legacy(name string) []string {
	switch name {
	case keyConflicts:
		return []string{"X-Conflicts"}
	case keyMachineID:
		return []string{"X-ConditionMachineID", "X-ConditionMachineBootID"}
	case keyMachineMetadata:
		return []string{"X-ConditionMachineMetadata"}
	case keyMachineOf:
		return []string{"X-ConditionMachineOf"}
	}
	return nil
}

// Keys returns the options that the cluster reads, by section and name. Only
// what this version obeys is listed; what is not listed is refused in
// [X-Argosy].
func Keys() []Key { return append(fleetKeys(), argosyKeys()...) }

func fleetKeys() []Key {
	return []Key{
		{
			Section: SectionFleet, Name: keyConflicts, Legacy: legacy(keyConflicts), Form: "web@*.service db.service",
			Meaning: "Globs of unit names that must not be on the same node. It holds both ways, whichever of the two says it; " +
				"a unit's own name does not count, so that a template can spread its instances.",
		},
		{
			Section: SectionFleet, Name: keyGlobal, Form: "yes",
			Meaning: "Run a copy on every node that MachineMetadata= and Conflicts= allow, nodes that join later included.",
		},
		{
			Section: SectionFleet, Name: keyMachineID, Legacy: legacy(keyMachineID), Form: "2ed91b85",
			Meaning: "The one node that may run the unit: the 32 digits of its ID, or the first 8. Only the first value counts.",
		},
		{
			Section: SectionFleet, Name: keyMachineMetadata, Legacy: legacy(keyMachineMetadata), Form: `"region=eu" "disk=ssd"`,
			Meaning: "Labels that the node must have. Several values of one key: any of them; several keys: all of them.",
		},
		{
			Section: SectionFleet, Name: keyMachineOf, Legacy: legacy(keyMachineOf), Form: "db.service",
			Meaning: "Units that must be placed on the same node, all of them. The unit follows when they move.",
		},
		{
			Section: SectionFleet, Name: keyReplaces, Form: "old@*.service",
			Meaning: "Globs of units that leave the node when this one comes. They go where their own constraints allow; " +
				"units that replace each other, directly or in a circle, let each other be.",
		},
	}
}

// argosyKeys are sorted by name, as the manual and the error messages list them.
func argosyKeys() []Key {
	keys := append(placingKeys(), publishKeys()...)
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

func publishKeys() []Key {
	return []Key{
		{
			Section: SectionArgosy, Name: keyDrainTime, Form: "10s",
			Meaning: "How long the unit goes on working after its endpoints were withdrawn on all nodes, before it is stopped or started " +
				"again; 250ms if not given. For those who remember an endpoint, and for what is under way.",
		},
		{
			Section: SectionArgosy, Name: keyHealth, Form: "http://:8080/healthz",
			Meaning: "How the unit is asked whether it works: http://, https://, tcp:// or grpc://, then [HOST]:PORT or the name of a service that it " +
				"publishes, and a path (of gRPC: the name it is asked for); without anything after http, tcp or grpc, the one service that it " +
				"publishes. exec:COMMAND is run on the node, as root. Without a host it is asked where others reach it. systemd, the default, asks nothing: " +
				"active is healthy. What is not healthy is not announced.",
		},
		{
			Section: SectionArgosy, Name: keyHealthGrace, Form: "2min",
			Meaning: "How long after its start the unit may take to its first good answer before failures count; 1min if not given.",
		},
		{
			Section: SectionArgosy, Name: keyHealthInterval, Form: "10s",
			Meaning: "The time between two questions; 5s if not given. Until the first good answer they are closer together.",
		},
		{
			Section: SectionArgosy, Name: keyHealthOnFailure, Form: "restart",
			Meaning: "What becomes of a unit that is not healthy any more: with restart it is started again; with none, the default, it runs on and is " +
				"not announced.",
		},
		{
			Section: SectionArgosy, Name: keyHealthRetries, Form: "2",
			Meaning: "How many failures in a row make a unit not healthy; 3 if not given. One good answer makes it healthy again.",
		},
		{
			Section: SectionArgosy, Name: keyHealthTimeout, Form: "500ms",
			Meaning: "How long the unit may take for an answer, a minute at most; 2s if not given.",
		},
		{
			Section: SectionArgosy, Name: keyPublish, Form: "web 8080/tcp version=2 role=front",
			Meaning: "A service that the unit offers: its name, its port, tcp or udp, and what else others are to know of it. While the " +
				"unit is active and healthy (Health=), every node finds it there; several lines are several services. With auto for a port, the node " +
				"chooses one that is free, and the unit is told: $PORT_WEB for the service web. Only in services and sockets.",
		},
	}
}

func placingKeys() []Key {
	return []Key{
		{
			Section: SectionArgosy, Name: keyAway, Form: "batch@*.service -cache.service",
			Meaning: "Globs of units that must not be on the same node; with a leading - they should not. Like Conflicts=, it holds " +
				"both ways, except for wishes.",
		},
		{
			Section: SectionArgosy, Name: keyCPU, Form: "0.5",
			Meaning: "CPU that the node promises to the unit: cores, or thousandths of one (500m). Taken from CPUQuota= if it is not " +
				"given. No node is promised more than it has.",
		},
		{
			Section: SectionArgosy, Name: keyMemory, Form: "512M",
			Meaning: "Memory that the node promises to the unit. Taken from MemoryMax=, or else MemoryHigh=, if it is not given. No node " +
				"is promised more than it has.",
		},
		{
			Section: SectionArgosy, Name: keyNear, Form: "db.service -cache@*.service",
			Meaning: "Globs of units, of each of which at least one must be on the same node; with a leading - it should be.",
		},
		{
			Section: SectionArgosy, Name: keyPrefer, Form: "10 disk=ssd",
			Meaning: "Label expressions (see Require=) that the node should meet, each with a weight from 1 to 100 before it, or 1. " +
				"Wishes for labels come before all others.",
		},
		{
			Section: SectionArgosy, Name: keyPriority, Form: "100",
			Meaning: "From -1000 to 1000, 0 if not given. Units of a higher priority are placed first, and push units of a lower one " +
				"off a node when nothing else gives them the CPU and memory that they ask for.",
		},
		{
			Section: SectionArgosy, Name: keyReplicas, Form: "3",
			Meaning: "In a template: how many instances, numbered from 1, starting the template makes. argosy scale changes it.",
		},
		{
			Section: SectionArgosy, Name: keyRequire, Form: "zone in (a, b), !gpu, mem>=32G",
			Meaning: "Label expressions that must hold on the node, all of them: key=value, key!=value, key in (a, b), " +
				"key not in (a, b), key (it is set), !key (it is not), and >= <= > < for numbers. Besides the labels of operators each " +
				"node has: name, id, arch, cpus, mem (in GiB, rounded up, as 32G) and version.",
		},
		{
			Section: SectionArgosy, Name: keySpread, Form: "zone -rack",
			Meaning: "Labels over whose values the instances of a template are spread evenly; with a leading - as well as can be. " +
				"Without it, an instance waits rather than make one domain two fuller than another that could take it.",
		},
	}
}

// findKey returns the option that a section calls by a name or by one of its
// legacy spellings.
func findKey(section, name string) (Key, bool) {
	for _, k := range Keys() {
		if k.Section != section {
			continue
		}
		for _, spelling := range append([]string{k.Name}, k.Legacy...) {
			if spelling == name {
				return k, true
			}
		}
	}
	return Key{}, false
}

// keyNames returns the names of a section's options.
func keyNames(section string) []string {
	var names []string
	for _, k := range Keys() {
		if k.Section == section {
			names = append(names, k.Name)
		}
	}
	return names
}

// checkKeys looks at the keys of the sections that the cluster reads. One that
// it does not know is refused in [X-Argosy]. In [X-Fleet] it is taken with a
// warning, because fleet took it too and old files have to run as they are.
func checkKeys(r *report, f *File) {
	for _, a := range f.Assignments(SectionFleet) {
		key, known := findKey(SectionFleet, a.Key)
		switch {
		case !known && r.full(SeverityWarning):
			// Not worth looking for what was meant.
		case !known:
			hint := "it does nothing"
			if near := nearest(a.Key, keyNames(SectionFleet)); near != "" {
				hint = "it does nothing; did you mean " + near + "=?"
			}
			r.warnf(a.Line, hint, "unknown key %s= in [%s]", clip(a.Key, quoteMax), SectionFleet)
		case key.Name != a.Key:
			r.warnf(a.Line, "write "+key.Name+"=", "%s= is an old spelling", a.Key)
		}
	}
	for _, a := range f.Assignments(SectionArgosy) {
		if r.full(SeverityError) {
			return
		}
		if _, known := findKey(SectionArgosy, a.Key); !known {
			r.errorf(a.Line, argosyHint(a.Key), "unknown key %s= in [%s]", clip(a.Key, quoteMax), SectionArgosy)
		}
	}
}

// argosyHint says what may have been meant by an unknown key of [X-Argosy].
func argosyHint(name string) string {
	if near := nearest(name, keyNames(SectionArgosy)); near != "" {
		return "did you mean " + near + "=?"
	}
	if near := nearest(name, keyNames(SectionFleet)); near != "" {
		return "did you mean " + near + "= of [" + SectionFleet + "]?"
	}
	return "known there: " + strings.Join(keyNames(SectionArgosy), "= ") + "="
}
