package cluster

import (
	"slices"
	"strings"
)

// Distinct types for every kind of name, so that the compiler checks arguments.
type (
	// ID names a cluster. It is derived from the public key of the cluster's
	// certificate authority, so it cannot be claimed by another cluster.
	ID string
	// NodeID names a node: 32 lower-case hexadecimal digits, made from the
	// machine ID of the host.
	NodeID string
	// UnitName is the full name of a unit, suffix included ("web@1.service").
	UnitName string
	// UID tells two units of the same name apart: destroying a unit and
	// submitting it again gives another UID.
	UID string
	// Hash is the hex SHA-256 of a unit's text, byte for byte.
	Hash string
	// Revision is a revision of the store. Revisions only grow.
	Revision int64
	// Epoch numbers the placements of one unit. It only grows, and it is the
	// fencing token that the unit is told.
	Epoch int64
)

// UnitTypes are the unit suffixes that the cluster accepts, without the dot.
func UnitTypes() []string {
	return []string{"service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"}
}

// templateTypes are the types whose units may be templates and instances; of
// the others, systemd loads neither.
func templateTypes() []string {
	return []string{"service", "socket", "timer", "path", "target"}
}

// filelessTypes are the suffixes of units that cannot be made from a file, each
// with where such units come from.
func filelessTypes() map[string]string {
	return map[string]string{
		"device":   "the kernel has them",
		"scope":    "programs make them while they run",
		"snapshot": "systemd has them no more",
		"busname":  "systemd has them no more",
	}
}

// NameMax is the longest legal unit name in bytes (systemd's UNIT_NAME_MAX).
const NameMax = 255

// CheckUnitName returns an Invalid error that says what is wrong with a name,
// or nil. The rules are systemd's: a known suffix, letters, digits and
// ":-_.\@", at most NameMax bytes, at most one '@', which does not come first,
// and none in the name of a mount, an automount, a swap or a slice.
func CheckUnitName(name UnitName) error {
	s := string(name)
	if s == "" {
		return Errorf(Invalid, "a unit needs a name")
	}
	if len(s) > NameMax {
		return Errorf(Invalid, "unit name %.40q… is %d bytes long; the limit is %d", s, len(s), NameMax)
	}
	for _, r := range s {
		if !nameRune(r) {
			return Errorf(Invalid, "unit name %q: %q is not allowed; use letters, digits and :-_.\\@", s, r)
		}
	}
	if name.Type() == "" {
		return noUnitType(name)
	}
	stem := strings.TrimSuffix(s, "."+name.Type())
	if stem == "" || stem[0] == '@' || stem[0] == '.' {
		return Errorf(Invalid, "unit name %q has no name before %q", s, "."+name.Type())
	}
	if strings.Count(stem, "@") > 1 {
		return Errorf(Invalid, "unit name %q has more than one '@'", s)
	}
	if strings.Contains(stem, "@") && !slices.Contains(templateTypes(), name.Type()) {
		return Errorf(Invalid, "unit name %q: systemd loads neither templates nor instances of .%s units", s, name.Type()).
			WithHint("templates are of the types ." + strings.Join(templateTypes(), " ."))
	}
	return nil
}

// noUnitType says why a name is none of a unit that the cluster accepts.
func noUnitType(name UnitName) error {
	if origin := filelessTypes()[name.suffix()]; origin != "" {
		return Errorf(Invalid, "unit name %q: no file makes a %s unit; %s", string(name), name.suffix(), origin).
			WithHint("for a service of this name, write " + string(name) + ".service")
	}
	return Errorf(Invalid, "unit name %q does not end in a unit type", string(name)).
		WithHint("one of ." + strings.Join(UnitTypes(), " ."))
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`:-_.\@`, r)
}

// WithDefaultType appends ".service" to a name that has no unit type, as
// systemctl does. A type of which no file makes a unit (device, scope) is one.
func (n UnitName) WithDefaultType() UnitName {
	if n.Type() == "" && filelessTypes()[n.suffix()] == "" {
		return n + ".service"
	}
	return n
}

// suffix returns what stands after the last dot, "" without a dot.
func (n UnitName) suffix() string {
	if dot := strings.LastIndexByte(string(n), '.'); dot >= 0 {
		return string(n)[dot+1:]
	}
	return ""
}

// Type returns the unit type ("service"), or "" if the suffix is not one that
// the cluster accepts.
func (n UnitName) Type() string {
	if suffix := n.suffix(); slices.Contains(UnitTypes(), suffix) {
		return suffix
	}
	return ""
}

// Stem returns the name without its type: "web@1" for "web@1.service" (%N).
func (n UnitName) Stem() string {
	if kind := n.Type(); kind != "" {
		return string(n[:len(n)-len(".")-len(kind)])
	}
	return strings.TrimSuffix(string(n), ".")
}

// Prefix returns the part before '@', or the stem: "web" for "web@1.service" (%p).
func (n UnitName) Prefix() string {
	prefix, _, _ := strings.Cut(n.Stem(), "@")
	return prefix
}

// Instance returns the part after '@', without the type: "1" for
// "web@1.service" (%i). It is "" for templates and plain units.
func (n UnitName) Instance() string {
	_, instance, _ := strings.Cut(n.Stem(), "@")
	return instance
}

// IsTemplate reports whether the name is that of a template ("web@.service").
func (n UnitName) IsTemplate() bool { return strings.HasSuffix(n.Stem(), "@") }

// Instantiate returns the name of an instance of a template: "web@2.service" of
// "web@.service" and "2".
func (n UnitName) Instantiate(instance string) UnitName {
	return UnitName(n.Stem() + instance + "." + n.Type())
}

// Template returns the template that an instance is made from
// ("web@.service" for "web@1.service"), or "" if the name is no instance.
func (n UnitName) Template() UnitName {
	if n.Instance() == "" {
		return ""
	}
	return UnitName(n.Prefix() + "@." + n.Type())
}

// Sibling reports whether two names are those of instances of one template. It
// makes no name of the template, and is for those who ask of thousands.
func (n UnitName) Sibling(other UnitName) bool {
	at := strings.IndexByte(string(n), '@') + 1
	suffix := n.suffix()
	shortest := at + len("1.") + len(suffix)
	return at > 0 && len(n) >= shortest && len(other) >= shortest && n[:at] == other[:at] && other.suffix() == suffix
}

// Short returns the first eight digits of a node ID, as fleetctl printed them.
func (id NodeID) Short() string {
	if len(id) > 8 {
		return string(id[:8])
	}
	return string(id)
}

// nodeIDLen is how many digits a node ID has (machine-id(5)).
const nodeIDLen = 32

// CheckNodeID returns an Invalid error unless id is 32 lower-case hexadecimal
// digits.
func CheckNodeID(id NodeID) error {
	if len(id) != nodeIDLen || strings.Trim(string(id), "0123456789abcdef") != "" {
		return Errorf(Invalid, "node ID %.40q is not 32 hexadecimal digits", string(id))
	}
	return nil
}

// NodeNameMax is the longest legal name of a node in bytes.
const NodeNameMax = 63

// CheckNodeName returns an Invalid error unless name is a legal host name (RFC
// 1123): labels of letters, digits and '-', with no '-' at either end, separated
// by dots.
func CheckNodeName(name string) error {
	legal := len(name) <= NodeNameMax
	for label := range strings.SplitSeq(name, ".") {
		legal = legal && label != "" && label[0] != '-' && label[len(label)-1] != '-'
	}
	for _, r := range name {
		legal = legal && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	}
	if !legal {
		return Errorf(Invalid, "%.80q is no host name", name).
			WithHint("1 to 63 letters, digits, '-' and '.': set Name= in /etc/argosy/argosy.conf, or another host name")
	}
	return nil
}
