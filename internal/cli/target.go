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
// whether there is one. A flag wins over the environment, and a socket over a
// context, for it says more.
func (a *app) namedTarget() (target contexts.Context, named bool, err error) {
	if a.flags.socket != "" && a.flags.context != "" {
		return target, false, misuse("--socket and --context both say where to go; use one")
	}
	choices := []struct{ socket, context string }{
		{a.flags.socket, a.flags.context},
		{a.env.Getenv(envSocket), a.env.Getenv(envContext)},
	}
	for _, choice := range choices {
		if choice.socket != "" {
			return contexts.Context{Name: choice.socket, Socket: choice.socket}, true, nil
		}
		if choice.context != "" {
			file, err := a.loadContexts()
			if err != nil {
				return target, false, err
			}
			target, err = file.Get(choice.context)
			return target, err == nil, err
		}
	}
	return target, false, nil
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
