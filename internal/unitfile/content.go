package unitfile

import (
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// checkContent looks for what systemd refuses to load.
func checkContent(r *report, name cluster.UnitName, f *File) {
	if f.String() == "" {
		r.errorf(1, "", "the file is empty, and systemd takes a unit with an empty file for masked")
		return
	}
	checkRefusals(r, f)
	switch name.Type() {
	case "service":
		checkService(r, f)
	case "socket":
		requireOne(r, f, "Socket", "ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO",
			"ListenSpecial", "ListenNetlink", "ListenMessageQueue", "ListenUSBFunction")
	case "timer":
		requireOne(r, f, "Timer", "OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec",
			"OnUnitInactiveSec", "OnClockChange", "OnTimezoneChange")
	case "path":
		requireOne(r, f, "Path", "PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty")
	case "mount":
		requireOne(r, f, "Mount", "What")
		checkWhere(r, name, f, "Mount")
	case "automount":
		checkWhere(r, name, f, "Automount")
	}
}

// checkRefusals warns of a unit that systemd will not let the cluster stop: it
// can be neither destroyed nor moved, and runs twice after its node was lost.
// systemd itself takes such files, so they are not refused.
func checkRefusals(r *report, f *File) {
	if on, _ := ParseBool(f.Value("Unit", "RefuseManualStop")); on {
		r.warnf(f.Line("Unit", "RefuseManualStop"), "take it out", "with RefuseManualStop=, the cluster can never stop, move or destroy the unit")
	}
	if on, _ := ParseBool(f.Value("Unit", "RefuseManualStart")); on {
		r.warnf(f.Line("Unit", "RefuseManualStart"), "it can be loaded, for other units to start", "with RefuseManualStart=, the cluster cannot start the unit")
	}
}

// requireOne refuses a unit that has none of some keys.
func requireOne(r *report, f *File, section string, keys ...string) {
	for _, key := range keys {
		if f.Value(section, key) != "" {
			return
		}
	}
	hint := ""
	if len(keys) > 1 {
		hint = "or another of " + strings.Join(keys[1:], "= ") + "="
	}
	r.errorf(max(f.SectionLine(section), 1), hint, "[%s] has no %s=", section, keys[0])
}

// checkWhere refuses a mount whose name is not that of its path.
func checkWhere(r *report, name cluster.UnitName, f *File, section string) {
	where := f.Value(section, "Where")
	if where == "" || strings.Contains(where, "%") || name.IsTemplate() {
		return
	}
	line := f.Line(section, "Where")
	if !strings.HasPrefix(where, "/") {
		r.errorf(line, "", "Where=%s is not an absolute path", clip(where, quoteMax))
		return
	}
	if want := EscapePath(where); want != name.Stem() {
		r.errorf(line, "systemd wants the name "+clip(want, quoteMax)+"."+name.Type(), "Where=%s does not fit the name of the unit", clip(where, quoteMax))
	}
}

// serviceType returns the type of a service, as systemd settles it when there
// is no Type=.
func serviceType(f *File) string {
	switch {
	case f.Value("Service", "Type") != "":
		return f.Value("Service", "Type")
	case f.Value("Service", "BusName") != "":
		return "dbus"
	case f.Value("Service", "ExecStart") != "":
		return "simple"
	}
	return "oneshot"
}

// checkService follows the rules by which systemd refuses a service
// (systemd.service(5)).
func checkService(r *report, f *File) {
	line := max(f.SectionLine("Service"), 1)
	kind := serviceType(f)
	checkServiceType(r, f, kind)
	checkCommands(r, f)
	starts := f.Lookup("Service", "ExecStart")
	if len(starts) == 0 {
		checkNoStart(r, f, kind, line)
		return
	}
	if kind != "oneshot" && len(starts) > 1 {
		r.errorf(starts[1].Line, "use ExecStartPre=, or Type=oneshot", "more than one ExecStart=, which only Type=oneshot may have")
	}
	restart := f.Value("Service", "Restart")
	if kind == "oneshot" && (restart == "always" || restart == "on-success") {
		r.errorf(f.Line("Service", "Restart"), "Restart=on-failure can be combined with it", "Restart=%s cannot be combined with Type=oneshot", restart)
	}
}

func checkServiceType(r *report, f *File, kind string) {
	types := []string{"simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"}
	line := f.Line("Service", "Type")
	if !slices.Contains(types, kind) {
		hint := "one of " + strings.Join(types, " ")
		if near := nearest(kind, types); near != "" {
			hint = "did you mean Type=" + near + "?"
		}
		r.warnf(line, hint, "Type=%s is not known to systemd, which will ignore it", clip(kind, quoteMax))
	}
	if kind == "dbus" && f.Value("Service", "BusName") == "" {
		r.errorf(line, "", "Type=dbus needs a BusName=")
	}
}

// checkNoStart judges a service without ExecStart=. Only a oneshot may lack it,
// and only if it has an ExecStop= and remains, or a SuccessAction=.
func checkNoStart(r *report, f *File, kind string, line int) {
	action := f.Value("Unit", "SuccessAction")
	acts := action != "" && action != "none"
	stops := f.Value("Service", "ExecStop") != ""
	remains, _ := ParseBool(f.Value("Service", "RemainAfterExit"))
	switch {
	case f.SectionLine("Service") == 0 && !acts:
		r.errorf(line, "a service needs a [Service] section with an ExecStart=", "no [Service] section")
	case !stops && !acts:
		at, hint := mistypedStart(f)
		r.errorf(max(at, line), hint, "[Service] has no ExecStart=")
	case kind != "oneshot":
		r.errorf(line, "", "[Service] has no ExecStart=, which only Type=oneshot may lack")
	case !acts && !remains:
		r.errorf(line, "add RemainAfterExit=yes", "[Service] has only an ExecStop=, and would be stopped as soon as it is started")
	}
}

// mistypedStart returns where something like ExecStart= stands, with a hint.
func mistypedStart(f *File) (line int, hint string) {
	for _, a := range f.Assignments("Service") {
		if slices.Contains(commandKeys(), a.Key) || nearest(a.Key, []string{"ExecStart"}) == "" {
			continue
		}
		return a.Line, "did you mean ExecStart= where " + clip(a.Key, quoteMax) + "= stands?"
	}
	return 0, ""
}

// commandKeys are the keys of [Service] that hold a command line.
func commandKeys() []string {
	return []string{"ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop", "ExecStopPost"}
}

// checkCommands refuses commands that systemd would not be able to read, and
// would leave out.
func checkCommands(r *report, f *File) {
	for _, a := range f.Assignments("Service") {
		if !slices.Contains(commandKeys(), a.Key) || a.Value == "" || r.full(SeverityError) {
			continue
		}
		words, err := SplitWords(a.Value, Unescape)
		if err != nil {
			r.errorf(a.Line, "", "%s=: %v", a.Key, err)
			continue
		}
		command := strings.TrimLeft(words[0], "@-:+!|")
		prefixes := words[0][:len(words[0])-len(command)]
		hint := "systemd wants an absolute path, or a name without '/'"
		switch {
		case command == "":
			r.errorf(a.Line, hint, "%s= names no program", a.Key)
		case command[0] == '/' || !strings.Contains(command, "/") || strings.Contains(command, "%"):
			// An absolute path, a name to search for, or not known before the node is.
		case strings.Contains(prefixes, "-"):
			r.warnf(a.Line, hint, "%s=%s is not an absolute path, and systemd will leave the command out", a.Key, clip(words[0], quoteMax))
		default:
			r.errorf(a.Line, hint, "%s=%s is not an absolute path", a.Key, clip(command, quoteMax))
		}
	}
}
