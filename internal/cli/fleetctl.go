package cli

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/internal/cli/contexts"
)

// fleetctl's flags are kept for the lines that people and scripts still have.
// What they say is obeyed where it means something, and else told in one line.

// fleetFlags are the flags of fleetctl that every verb has.
type fleetFlags struct {
	set *pflag.FlagSet // these flags; nil if the program is not called fleetctl

	driver, endpoint, tunnel string
	request, connect         float64 // seconds
	user, knownHosts         string
	strict                   bool
	key, certificate, ca     string
	debug                    bool
}

// said reports whether a flag was given, on the command line or by the environment.
func (f *fleetFlags) said(name string) bool { return f.set.Changed(name) }

// envFleet is what the names of fleetctl's environment variables begin with:
// FLEETCTL_REQUEST_TIMEOUT is --request-timeout.
const envFleet = "FLEETCTL_"

// The values that fleetctl had when nobody said another.
const (
	fleetDriver   = "API"
	fleetNoDriver = "etcd" // the other driver that there was
	fleetEndpoint = "unix:///var/run/fleet.sock"
	fleetConnect  = 10.0
	fleetUser     = "core"
)

// fleetVerbs returns the verbs that fleetctl had. Called so, the help shows only
// these, and only these may be shortened: "fleetctl j" still is "journal".
func fleetVerbs() []string {
	return []string{
		"cat", "destroy", "fd-forward", "help", "journal", "list-machines", "list-unit-files", "list-units", "load",
		"restart", "ssh", "start", "status", "stop", "submit", "unload", "verify", "version",
	}
}

// retiredFlag is a flag of fleetctl that means nothing any more.
type retiredFlag struct {
	verbs  []string // none: it was every verb's
	name   string
	short  string // one letter; none: ""
	isBool bool
	reason string
}

func retiredFlags() []retiredFlag {
	const etcd, signed, channel = "units are not kept in fleet's etcd", "units are not signed", "no ssh is needed: it goes through the cluster"
	return []retiredFlag{
		{name: "etcd-key-prefix", reason: etcd},
		{name: "etcd-keyfile", reason: etcd},
		{name: "etcd-certfile", reason: etcd},
		{name: "etcd-cafile", reason: etcd},
		{name: "experimental-api", isBool: true, reason: "there is only one API"},
		{verbs: []string{"submit", "load", "start"}, name: "sign", isBool: true, reason: signed},
		{verbs: []string{"journal", "status", "ssh", "restart"}, name: "ssh-port", reason: channel},
		{verbs: []string{"ssh"}, name: "forward-agent", short: "A", isBool: true, reason: "no ssh is needed, so there is no agent to forward"},
		{verbs: []string{"journal"}, name: "sudo", isBool: true, reason: "the daemon reads the journal"},
	}
}

// retiredBecause is the annotation of a retired flag.
const retiredBecause = "retired"

// asFleetctl makes a command tree look like fleetctl's.
func (a *app) asFleetctl(root *cobra.Command) {
	f, flags := &a.old, pflag.NewFlagSet(a.name, pflag.ContinueOnError)
	f.set = flags
	flags.StringVar(&f.driver, "driver", fleetDriver, "`API`; there is no other driver any more")
	flags.StringVar(&f.endpoint, "endpoint", fleetEndpoint, "go to this `URL`: unix://, ssh://, http:// or https://")
	flags.StringVar(&f.tunnel, "tunnel", "", "go through ssh to this `host[:port]`")
	flags.Float64Var(&f.request, "request-timeout", requestTimeout.Seconds(), "give up on a request after so many `seconds`")
	flags.Float64Var(&f.connect, "ssh-timeout", fleetConnect, "give up on ssh after so many `seconds`")
	flags.StringVar(&f.user, "ssh-username", fleetUser, "who to be at the host of a tunnel")
	flags.BoolVar(&f.strict, "strict-host-key-checking", true, "ask before an unknown host is trusted")
	flags.StringVar(&f.knownHosts, "known-hosts-file", "", "the `file` of known hosts, instead of ssh's own")
	flags.StringVar(&f.key, "key-file", "", "the key for an https:// endpoint")
	flags.StringVar(&f.certificate, "cert-file", "", "the certificate for an https:// endpoint")
	flags.StringVar(&f.ca, "ca-file", "", "the authority of an https:// endpoint")
	flags.BoolVar(&f.debug, "debug", false, "say more on standard error")
	for _, verb := range root.Commands() {
		verb.Hidden = verb.Hidden || !slices.Contains(fleetVerbs(), verb.Name())
		for _, flag := range retiredFlags() {
			if slices.Contains(flag.verbs, verb.Name()) && verb.Flags().Lookup(flag.name) == nil {
				flag.bind(verb.Flags())
			}
		}
	}
	for _, flag := range retiredFlags() {
		if len(flag.verbs) == 0 {
			flag.bind(flags)
		}
	}
	root.PersistentFlags().AddFlagSet(flags)
	check := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := a.heedFleet(cmd.Flags()); err != nil {
			return &verbError{cmd.CommandPath(), err}
		}
		return check(cmd, args)
	}
}

// bind makes a flag that is taken and said to mean nothing.
func (r retiredFlag) bind(flags *pflag.FlagSet) {
	if r.isBool {
		flags.BoolP(r.name, r.short, false, r.reason)
	} else {
		flags.StringP(r.name, r.short, "", r.reason)
	}
	flag := flags.Lookup(r.name)
	flag.Hidden = true
	flag.Annotations = map[string][]string{retiredBecause: {r.reason}}
}

// heedFleet takes up what fleetctl's flags and variables say.
func (a *app) heedFleet(flags *pflag.FlagSet) error {
	if err := a.fromFleetEnv(flags); err != nil {
		return err
	}
	flags.Visit(func(flag *pflag.Flag) {
		if reason := flag.Annotations[retiredBecause]; len(reason) > 0 {
			a.notef("warning: --%s means nothing any more: %s", flag.Name, reason[0])
		}
	})
	f := &a.old
	a.flags.verbose = a.flags.verbose || f.debug
	switch {
	case strings.EqualFold(f.driver, fleetNoDriver):
		a.notef("warning: --driver=%s means nothing any more: the API is asked, and --endpoint passed over", f.driver)
	case !strings.EqualFold(f.driver, fleetDriver):
		return misuse("--driver %s: there is only %s", f.driver, fleetDriver)
	case !isWait(f.request):
		return misuse("--request-timeout %v: that is no number of seconds to wait", f.request)
	case !isWait(f.connect):
		return misuse("--ssh-timeout %v: that is no number of seconds to wait", f.connect)
	}
	if f.said("request-timeout") && !flags.Changed("timeout") {
		return flags.Set("timeout", inSeconds(f.request).String())
	}
	return nil
}

// fromFleetEnv sets the flags of every verb that the command line leaves out and
// the environment has.
func (a *app) fromFleetEnv(flags *pflag.FlagSet) (err error) {
	a.old.set.VisitAll(func(flag *pflag.Flag) {
		name := envFleet + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value := a.env.Getenv(name)
		if value == "" || flag.Changed {
			return
		}
		if wrong := flags.Set(flag.Name, value); wrong != nil {
			err = cmp.Or(err, misuse("%s=%s: %s", name, value, wrong))
		}
	})
	return err
}

// isWait reports whether so many seconds are a time to wait.
func isWait(seconds float64) bool { return seconds > 0 && seconds <= math.MaxInt32 } // no NaN is

func inSeconds(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

// daemonSocket returns the path of a daemon's socket, for which fleet's own
// stands too: scripts that name it mean this machine's daemon.
func daemonSocket(given string) string {
	switch path.Clean(given) {
	case "/var/run/fleet.sock", "/run/fleet.sock":
		return contexts.LocalSocket
	}
	return given
}
