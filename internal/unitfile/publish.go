package unitfile

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"argosy/internal/cluster"
)

// Limits on what a unit publishes. All of it is in the unit's status, and a
// parameter becomes one text of a TXT record (RFC 1035, 3.3.14).
const (
	ServicesMax   = 32  // of one unit
	ParametersMax = 16  // of one service
	ParameterMax  = 255 // bytes of "key=value"
	// ServiceNameMax leaves room for the underscore of "_web._tcp": a label has 63
	// bytes at most.
	ServiceNameMax = 62
)

// Published is what a unit's file says of the services that it offers, and of what
// they are used by.
type Published struct {
	// Offers are in their order. No health is known of them, and a port of 0 is one that
	// the node chooses (auto).
	Offers []cluster.Offer
	Health Health
	// Drain is how long a unit goes on working after its endpoints were withdrawn and
	// before it is stopped.
	Drain time.Duration
}

// DrainDefault is for whoever heard of an endpoint in the very moment in which it was
// withdrawn. What resolves names may remember them for longer: that is what DrainTime=
// is for.
const DrainDefault = 250 * time.Millisecond

const drainMax = time.Hour

// PublishedBy returns what a unit publishes, and says what is wrong with it. As with
// PlacingOf, what depends on the instance is not judged in a template.
func PublishedBy(name cluster.UnitName, f *File) (Published, []Finding) {
	o := options{name: name, file: f, lines: map[string]int{}}
	p := Published{Drain: DrainDefault}
	p.Offers = o.offers()
	p.Health = o.health(p.Offers)
	if span, set := o.span(keyDrainTime, 0, drainMax); set {
		p.Drain = span
	}
	if line := o.lines[keyDrainTime]; line > 0 && o.lines[keyPublish] == 0 {
		o.report.errorf(line, "add "+publishExample, "%s= is for units that publish something", keyDrainTime)
	}
	return p, o.report.sorted()
}

// offers reads Publish=.
func (o *options) offers() []cluster.Offer {
	var all []cluster.Offer
	for i, a := range o.file.Lookup(SectionArgosy, keyPublish) {
		switch {
		case i == 0 && !canPublish(o.name.Type()):
			o.report.errorf(a.Line, "put it into the service", "%s= belongs in a service or a socket: a %s listens on nothing", keyPublish, o.name.Type())
			return nil
		case i == ServicesMax:
			o.report.errorf(a.Line, "", "%s= is given more than %d times", keyPublish, ServicesMax)
			return all
		case i == 0:
			o.lines[keyPublish] = a.Line
		}
		offer, ok := o.offer(a)
		if !ok {
			continue
		}
		if at, found := slices.BinarySearchFunc(all, offer, cluster.Offer.Compare); found {
			o.report.errorf(a.Line, "take one of them out", "%s=%s %s/%s is given twice", keyPublish, offer.Service, portText(offer.Port), offer.Protocol)
		} else {
			all = slices.Insert(all, at, offer)
		}
	}
	return all
}

// portText is a port as a file says it.
func portText(port uint16) string {
	if port == 0 {
		return portAuto
	}
	return strconv.Itoa(int(port))
}

// canPublish reports whether units of a type may publish; a type that is not known
// is refused for itself.
func canPublish(unitType string) bool {
	return slices.Contains([]string{"service", "socket", ""}, unitType)
}

// offer reads one line of Publish=; ok is false if it cannot be read, or not before
// the instance is known.
func (o *options) offer(a Assignment) (offer cluster.Offer, ok bool) {
	words := o.split(keyPublish, a)
	if len(words) < 2 {
		if len(words) == 1 {
			o.report.errorf(a.Line, publishHint, "%s=%s says no port", keyPublish, clip(a.Value, quoteMax))
		}
		return offer, false
	}
	nameOK := o.serviceName(words[0])
	port, protocol, portOK := o.port(words[1])
	parameters, parametersOK := o.parameters(words[2:])
	vague := slices.ContainsFunc(words, func(w word) bool { return w.vague })
	offer = cluster.Offer{Service: words[0].text, Port: port, Protocol: protocol, Parameters: parameters}
	return offer, nameOK && portOK && parametersOK && !vague
}

const (
	publishExample = "Publish=web 8080/tcp"
	publishHint    = "write a name, a port and what else is to be known: " + publishExample + " version=2"
	// portAuto is the port of who leaves it to the node, which gives it to the unit as
	// $PORT_ and the name of the service.
	portAuto = "auto"
)

// serviceName judges the name of a service. It is a label of DNS (RFC 1035, 2.3.1),
// so that it can be asked for.
func (o *options) serviceName(w word) bool {
	if w.vague {
		return false
	}
	hint := "a letter first, then letters, digits and dashes, all in lower case, no dash at the end, up to " + strconv.Itoa(ServiceNameMax) + " of them"
	switch lower := strings.ToLower(w.text); {
	case isServiceName(w.text) && w.text != reservedName:
		return true
	case w.text == reservedName:
		o.report.errorf(w.line, "choose another name", "%s=%s: names of nodes are found under it", keyPublish, w.text)
	case isServiceName(lower):
		o.report.errorf(w.line, "write "+lower, "%s=%s: names of services are in lower case", keyPublish, clip(w.text, quoteMax))
	default:
		o.report.errorf(w.line, hint, "%s=%s can be no name of a service", keyPublish, clip(w.text, quoteMax))
	}
	return false
}

// reservedName is the label under which nodes are found: NODE.node.DOMAIN.
const reservedName = "node"

func isServiceName(s string) bool {
	const letters, others = "abcdefghijklmnopqrstuvwxyz", "0123456789-"
	return s != "" && len(s) <= ServiceNameMax && strings.Trim(s, letters+others) == "" &&
		strings.IndexByte(letters, s[0]) >= 0 && s[len(s)-1] != '-'
}

// port reads "8080/tcp" or "auto/tcp"; tcp need not be said.
func (o *options) port(w word) (port uint16, protocol string, ok bool) {
	number, protocol, given := strings.Cut(w.text, "/")
	if !given {
		protocol = cluster.Protocols()[0]
	}
	port, ok = parsePort(number)
	switch {
	case number == portAuto && o.name.Type() == "socket":
		o.report.errorf(w.line, "write the port of its ListenStream=", "%s=: a socket listens where its file says, so no port can be chosen for it", keyPublish)
		return 0, "", false
	case ok || number == portAuto:
		if slices.Contains(cluster.Protocols(), protocol) {
			return port, protocol, true
		}
	}
	if !w.vague {
		o.report.errorf(w.line, publishHint, "%s=: %s is no port: a number from 1 to 65535 or %s, then /%s", keyPublish, quote(w.text), portAuto, strings.Join(cluster.Protocols(), " or /"))
	}
	return 0, "", false
}

func parsePort(text string) (port uint16, ok bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0 && text[0] != '+'
}

// span reads a length of time within limits; set is false if it is not given, or wrong.
func (o *options) span(name string, least, most time.Duration) (span time.Duration, set bool) {
	w, set := o.last(name)
	if !set || w.vague {
		return 0, false
	}
	span, err := ParseDuration(w.text)
	switch {
	case err != nil:
		o.report.errorf(w.line, cluster.HintOf(err), "%s=: %v", name, err)
	case span < least || span > most:
		o.report.errorf(w.line, "", "%s=%s: from %s to %s", name, clip(w.text, quoteMax), least, most)
	default:
		return span, true
	}
	return 0, false
}

// parameters reads "key=value" words.
func (o *options) parameters(words []word) (parameters map[string]string, ok bool) {
	ok = true
	refuse := func(w word, hint, format string, args ...any) {
		o.report.errorf(w.line, hint, format, args...)
		ok = false
	}
	if len(words) > ParametersMax {
		refuse(words[ParametersMax], "", "%s= has %d parameters; the limit is %d", keyPublish, len(words), ParametersMax)
		words = words[:ParametersMax]
	}
	for _, w := range words {
		if w.vague {
			continue
		}
		key, value, found := strings.Cut(w.text, "=")
		_, twice := parameters[key]
		switch {
		case !found || !IsLabelKey(key) || !isPlain(value):
			refuse(w, `write key=value; with blanks in it, quote the whole pair: "name=two words"`, "%s=: %s is no parameter", keyPublish, quote(w.text))
		case len(w.text) > ParameterMax:
			refuse(w, "", "%s=: parameter %s has %d bytes; the limit is %d", keyPublish, clip(key, quoteMax), len(w.text), ParameterMax)
		case twice:
			refuse(w, "take one of them out", "%s=: parameter %s is given twice", keyPublish, clip(key, quoteMax))
		case parameters == nil:
			parameters = map[string]string{key: value}
		default:
			parameters[key] = value
		}
	}
	return parameters, ok
}

// isPlain reports whether a text can be shown as it is.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// CheckOffers returns an Invalid error unless a unit's file could make such offers.
// What a node tells of a unit is passed on to all others, so it is not believed without.
func CheckOffers(offers []cluster.Offer) error {
	if len(offers) > ServicesMax {
		return cluster.Errorf(cluster.Invalid, "%d offers of one unit; the limit is %d", len(offers), ServicesMax)
	}
	for i, o := range offers {
		switch {
		case !isServiceName(o.Service), o.Service == reservedName:
			return cluster.Errorf(cluster.Invalid, "%s is no name of a service", quote(o.Service))
		case o.Port == 0, !slices.Contains(cluster.Protocols(), o.Protocol):
			return cluster.Errorf(cluster.Invalid, "%d/%s is no port", o.Port, quote(o.Protocol))
		case i > 0 && offers[i-1].Compare(o) >= 0:
			return cluster.Errorf(cluster.Invalid, "offers are not sorted, or one is made twice: %s", o.Service)
		case len(o.Reason) > messageMax, !isPlain(o.Reason):
			return cluster.Errorf(cluster.Invalid, "the reason of %s is no text of %d bytes", o.Service, messageMax)
		case len(o.Parameters) > ParametersMax:
			return cluster.Errorf(cluster.Invalid, "%d parameters of %s; the limit is %d", len(o.Parameters), o.Service, ParametersMax)
		}
		for key, value := range o.Parameters {
			if !IsLabelKey(key) || !isPlain(value) || len(key)+1+len(value) > ParameterMax {
				return cluster.Errorf(cluster.Invalid, "%s is no parameter", quote(key+"="+value))
			}
		}
	}
	return nil
}
