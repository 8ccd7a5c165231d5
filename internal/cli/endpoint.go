package cli

import (
	"net"
	"net/url"
	"strings"

	"argosy/internal/cli/contexts"
	"argosy/internal/cli/tunnel"
)

// fleetTarget returns the cluster that --endpoint and --tunnel of fleetctl name,
// and whether they name one.
func (a *app) fleetTarget() (contexts.Context, bool, error) {
	f := &a.old
	endpointSaid := a.fleet() && f.said("endpoint") && !strings.EqualFold(f.driver, fleetNoDriver)
	if !endpointSaid && f.tunnel == "" {
		return contexts.Context{}, false, nil
	}
	text := fleetEndpoint
	if endpointSaid {
		text, _, _ = strings.Cut(f.endpoint, ",") // fleetctl used the first of a list, too
	}
	endpoint, err := url.Parse(text)
	if err != nil {
		return contexts.Context{}, false, misuse("--endpoint %s: %s", text, err)
	}
	target, err := f.at(endpoint)
	target.Name = text
	if f.tunnel != "" {
		target.Name = f.tunnel
	}
	return target, err == nil, err
}

// at returns the cluster at an endpoint, to which a tunnel may lead.
func (f *fleetFlags) at(endpoint *url.URL) (contexts.Context, error) {
	switch {
	case endpoint.Scheme == "unix" && endpoint.Host == "" && endpoint.Path != "":
		return f.atSocket(daemonSocket(endpoint.Path)), nil
	case endpoint.Hostname() == "":
	case endpoint.Scheme == "ssh":
		return f.atSSH(endpoint)
	case endpoint.Scheme == "http":
		return f.atForwarder(withPort(endpoint, "80")), nil
	case endpoint.Scheme == "https":
		return f.atServer(withPort(endpoint, "443"))
	}
	return contexts.Context{}, misuse("--endpoint %s: use unix:///PATH, ssh://[USER@]HOST, http://HOST:PORT or https://HOST:PORT", endpoint)
}

func (f *fleetFlags) atSocket(path string) contexts.Context {
	if f.tunnel != "" {
		return contexts.Context{Command: f.ssh(f.tunnel).Socket(path)}
	}
	return contexts.Context{Socket: path}
}

// atForwarder is for whoever has a plain port lead to a daemon's socket: no
// daemon has such a port itself.
func (f *fleetFlags) atForwarder(hostPort string) contexts.Context {
	if f.tunnel != "" {
		return contexts.Context{Command: f.ssh(f.tunnel).Address(hostPort)}
	}
	return contexts.Context{Plain: hostPort}
}

func (f *fleetFlags) atSSH(endpoint *url.URL) (contexts.Context, error) {
	if f.tunnel != "" {
		return contexts.Context{}, misuse("--tunnel and an ssh:// endpoint both say where to go; use one")
	}
	socket := contexts.LocalSocket
	if strings.Trim(endpoint.Path, "/") != "" {
		socket = daemonSocket(endpoint.Path)
	}
	host := endpoint.Host
	if endpoint.User != nil {
		host = endpoint.User.Username() + "@" + host
	}
	return contexts.Context{Command: f.ssh(host).Socket(socket)}, nil
}

func (f *fleetFlags) atServer(hostPort string) (contexts.Context, error) {
	switch {
	case f.tunnel != "":
		return contexts.Context{}, misuse("--tunnel leads to a unix:// or http:// endpoint, not to https://%s", hostPort)
	case f.ca == "" || f.certificate == "" || f.key == "":
		return contexts.Context{}, misuse("https://%s knows callers by their certificate: give --ca-file, --cert-file and --key-file", hostPort)
	}
	return contexts.Context{Addresses: []string{hostPort}, CA: f.ca, Certificate: f.certificate, Key: f.key}, nil
}

// ssh returns how a host is reached that was given as [USER@]HOST[:PORT].
func (f *fleetFlags) ssh(given string) tunnel.SSH {
	s := tunnel.SSH{User: f.user, Host: given, ConnectMax: inSeconds(f.connect), KnownHosts: f.knownHosts}
	if i := strings.LastIndex(given, "@"); i >= 0 {
		s.User, s.Host = given[:i], given[i+1:]
	}
	if host, port, err := net.SplitHostPort(s.Host); err == nil {
		s.Host, s.Port = host, port
	}
	s.Host = strings.Trim(s.Host, "[]")
	if f.said("strict-host-key-checking") {
		// As fleetctl did: whoever sits there is asked about an unknown key.
		s.HostKeys = map[bool]string{true: "ask", false: "no"}[f.strict]
	}
	return s
}

// withPort returns host:port of an endpoint.
func withPort(endpoint *url.URL, port string) string {
	if endpoint.Port() != "" {
		port = endpoint.Port()
	}
	return net.JoinHostPort(endpoint.Hostname(), port)
}
