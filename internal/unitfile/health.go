package unitfile

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// Health is how a unit's health is found out.
type Health struct {
	Probe Probe
	// Interval is between two questions, Timeout how long an answer may take.
	Interval, Timeout time.Duration
	// Grace is how long the first good answer may take before failures count.
	Grace time.Duration
	// Retries is how many failures in a row make a unit sick.
	Retries int
	// Restart: what is sick is started again.
	Restart bool
}

// Probe is the question that a unit is asked. The zero Probe asks nothing: what systemd
// says of the unit counts alone.
type Probe struct {
	Kind string // one of probeKinds, or "exec"; "": none
	Host string // an IP address; "": the node's own
	// Port is what is asked; 0: the port of the unit's service of that name.
	Port    uint16
	Service string
	// Path is that of HTTP, with what comes after it, or the name that gRPC is asked for.
	Path    string
	Command []string // of exec
}

// The kinds of probe that go over the network.
const (
	ProbeHTTP  = "http"
	ProbeHTTPS = "https"
	ProbeTCP   = "tcp"
	ProbeGRPC  = "grpc"
	ProbeExec  = "exec"
)

const healthHint = "write for instance http://:8080/healthz, tcp://:5432, grpc://:9000, exec:/usr/bin/check or systemd"

// Limits on how a unit is asked.
const (
	healthIntervalMin = 100 * time.Millisecond
	healthTimeMax     = time.Hour
	healthTimeoutMax  = time.Minute
	healthRetriesMax  = 100
)

// healthDefaults are what counts where the file says nothing.
func healthDefaults() Health {
	return Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, Grace: time.Minute, Retries: 3}
}

// health reads Health= and what belongs to it. The offers are those of the unit.
func (o *options) health(offers []cluster.Offer) Health {
	h := healthDefaults()
	for _, span := range []struct {
		key         string
		least, most time.Duration
		value       *time.Duration
	}{
		{keyHealthInterval, healthIntervalMin, healthTimeMax, &h.Interval},
		{keyHealthTimeout, 10 * time.Millisecond, healthTimeoutMax, &h.Timeout},
		{keyHealthGrace, 0, healthTimeMax, &h.Grace},
	} {
		if value, set := o.span(span.key, span.least, span.most); set {
			*span.value = value
		}
	}
	if n := o.number(keyHealthRetries, 1, healthRetriesMax); n > 0 {
		h.Retries = n
	}
	h.Restart = o.onFailure()
	h.Probe = o.probe(offers)
	if h.Probe.Kind == "" {
		o.pointless()
		return Health{}
	}
	return h
}

// onFailure reads HealthOnFailure=.
func (o *options) onFailure() (restart bool) {
	w, set := o.last(keyHealthOnFailure)
	if set && !w.vague && w.text != "restart" && w.text != "none" {
		o.report.errorf(w.line, "write restart or none", "%s=%s is not known", keyHealthOnFailure, clip(w.text, quoteMax))
	}
	return w.text == "restart"
}

// pointless refuses what says how to ask, if nothing is asked.
func (o *options) pointless() {
	w, set := o.last(keyHealth)
	if set && w.text != "systemd" {
		return // it is vague, or was refused
	}
	for _, key := range []string{keyHealthInterval, keyHealthTimeout, keyHealthGrace, keyHealthRetries, keyHealthOnFailure} {
		if line := o.lines[key]; line > 0 {
			o.report.errorf(line, healthHint, "%s= is for units that are asked for their health, and %s= is not given", key, keyHealth)
		}
	}
}

// probe reads Health=; the zero Probe is the answer to what is wrong, too.
func (o *options) probe(offers []cluster.Offer) Probe {
	w, set := o.last(keyHealth)
	if !set || w.vague || w.text == "systemd" {
		return Probe{}
	}
	if o.name.Type() != "service" {
		o.report.errorf(w.line, "put it into the service", "%s= belongs in a service", keyHealth)
		return Probe{}
	}
	if text, exec := strings.CutPrefix(w.text, "exec:"); exec {
		return o.command(w, text)
	}
	kind, rest, more := strings.Cut(w.text, "://")
	if !slices.Contains([]string{ProbeHTTP, ProbeHTTPS, ProbeTCP, ProbeGRPC}, kind) {
		o.report.errorf(w.line, healthHint, "%s=%s is not known", keyHealth, clip(w.text, quoteMax))
		return Probe{}
	}
	p := Probe{Kind: kind}
	if !more {
		p.Service = o.onlyService(w, offers)
	} else if !o.target(w, rest, offers, &p) {
		return Probe{}
	}
	if kind == ProbeHTTP || kind == ProbeHTTPS {
		p.Path = "/" + strings.TrimPrefix(p.Path, "/")
	}
	if p.Port == 0 && p.Service == "" {
		return Probe{}
	}
	return p
}

// pathOf returns what is asked for at a port; ok is false if there can be none of that.
func pathOf(kind string, u *url.URL) (path string, ok bool) {
	switch kind {
	case ProbeTCP:
		return "", u.RequestURI() == "/"
	case ProbeGRPC:
		return strings.TrimPrefix(u.Path, "/"), u.RawQuery == ""
	}
	return u.RequestURI(), true
}

// command reads the command of exec:.
func (o *options) command(w word, text string) Probe {
	words, err := SplitWords(text, Unescape)
	switch {
	case err != nil:
		o.report.errorf(w.line, "", "%s=%s: %v", keyHealth, clip(w.text, quoteMax), err)
	case len(words) == 0 || !strings.HasPrefix(words[0], "/"):
		o.report.errorf(w.line, "write for instance exec:/usr/bin/check", "%s=%s: a command begins with the path of its program", keyHealth, clip(w.text, quoteMax))
	default:
		return Probe{Kind: ProbeExec, Command: words}
	}
	return Probe{}
}

// onlyService returns the service that is meant where none is named.
func (o *options) onlyService(w word, offers []cluster.Offer) string {
	var names []string
	for _, offer := range offers {
		if offer.Protocol == "tcp" {
			names = append(names, offer.Service)
		}
	}
	switch {
	case len(names) == 1:
		return names[0]
	case o.name.IsTemplate():
		return "" // what it publishes may depend on the instance
	}
	o.report.errorf(w.line, "write "+clip(w.text, quoteMax)+"://:PORT or "+clip(w.text, quoteMax)+"://SERVICE",
		"%s=%s says no port, and the unit publishes %d services over TCP, not one", keyHealth, clip(w.text, quoteMax), len(names))
	return ""
}

// target reads what comes after "://": a port, a host and a port, or the name of a
// published service, and then the path.
func (o *options) target(w word, rest string, offers []cluster.Offer, p *Probe) (ok bool) {
	u, err := url.Parse("any://" + rest)
	if err != nil || u.User != nil || u.Fragment != "" || !isPlain(rest) {
		o.report.errorf(w.line, healthHint, "%s=%s: what comes after :// is no host and port", keyHealth, clip(w.text, quoteMax))
		return false
	}
	if p.Path, ok = pathOf(p.Kind, u); !ok {
		o.report.errorf(w.line, "leave it out", "%s=%s: there is no such path to ask for", keyHealth, clip(w.text, quoteMax))
		return false
	}
	if u.Port() == "" {
		p.Service = u.Hostname()
		return o.publishedOverTCP(w, offers, p.Service)
	}
	return o.hostAndPort(w, u, p)
}

// publishedOverTCP reports whether the unit publishes a service that can be asked.
func (o *options) publishedOverTCP(w word, offers []cluster.Offer, service string) bool {
	if slices.ContainsFunc(offers, func(offer cluster.Offer) bool { return offer.Service == service && offer.Protocol == "tcp" }) {
		return true
	}
	if !o.name.IsTemplate() { // of which it may depend on the instance
		o.report.errorf(w.line, healthHint, "%s=%s: no port, and %s is no service that the unit publishes over TCP", keyHealth, clip(w.text, quoteMax), quote(service))
	}
	return false
}

func (o *options) hostAndPort(w word, u *url.URL, p *Probe) (ok bool) {
	if p.Host = u.Hostname(); p.Host == "localhost" {
		p.Host = "127.0.0.1"
	}
	if _, err := netip.ParseAddr(p.Host); err != nil && p.Host != "" {
		o.report.errorf(w.line, "leave the host out to ask where others reach the unit", "%s=%s: the host is an IP address, or localhost", keyHealth, clip(w.text, quoteMax))
		return false
	}
	if p.Port, ok = parsePort(u.Port()); !ok {
		o.report.errorf(w.line, healthHint, "%s=%s: %s is no port", keyHealth, clip(w.text, quoteMax), quote(u.Port()))
	}
	return ok
}
