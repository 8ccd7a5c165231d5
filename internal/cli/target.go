package cli

import "argosy/internal/cli/contexts"

// The environment variables that choose a cluster.
const (
	envContext = "ARGOSY_CONTEXT"
	envSocket  = "ARGOSY_SOCKET"
)

// target returns the cluster that the user chose: by a flag, by the
// environment, in the contexts file, in this order; otherwise this machine's.
func (a *app) target() (contexts.Context, error) {
	target, named, err := a.namedTarget()
	if named || err != nil {
		return target, err
	}
	file, err := a.loadContexts()
	if err != nil {
		return contexts.Context{}, err
	}
	if file.Current == "" {
		return contexts.Context{Name: contexts.Local, Socket: contexts.LocalSocket}, nil
	}
	return file.Get(file.Current)
}

// namedTarget returns the cluster that a flag or the environment names, and
// whether there is one. A flag wins over the environment, a socket over a context,
// for it says more, and what fleetctl was told over ARGOSY_SOCKET.
func (a *app) namedTarget() (target contexts.Context, named bool, err error) {
	if a.flags.socket != "" && a.flags.context != "" {
		return target, false, misuse("--socket and --context both say where to go; use one")
	}
	for _, choice := range []func() (contexts.Context, bool, error){
		func() (contexts.Context, bool, error) { return a.named(a.flags.socket, a.flags.context) },
		a.fleetTarget,
		func() (contexts.Context, bool, error) {
			return a.named(a.env.Getenv(envSocket), a.env.Getenv(envContext))
		},
	} {
		if target, named, err := choice(); named || err != nil {
			return target, named, err
		}
	}
	return target, false, nil
}

// named returns the cluster at a socket or of a context, if one of them is set.
func (a *app) named(socket, context string) (contexts.Context, bool, error) {
	switch {
	case socket != "":
		return contexts.Context{Name: socket, Socket: socket}, true, nil
	case context == "":
		return contexts.Context{}, false, nil
	}
	file, err := a.loadContexts()
	if err != nil {
		return contexts.Context{}, false, err
	}
	target, err := file.Get(context)
	return target, err == nil, err
}

// loadContexts reads the caller's contexts file. A caller without a home (a
// service, say) has none.
func (a *app) loadContexts() (contexts.File, error) {
	path, err := contexts.Path(a.env.Getenv)
	if err != nil {
		return contexts.File{}, nil
	}
	return contexts.Load(path)
}
