package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// patchParameters changes what is known of a service of a unit. The unit itself, which
// runs, is not touched.
func (s *Server) patchParameters(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body wire.ParametersPatch
},
) (*body[wire.DesiredAnswer], error) {
	return s.changeUnits(ctx, []cluster.UnitName{cluster.UnitName(in.Name)}, func(u cluster.Unit) (change, error) {
		patched, err := withParameters(u, in.Body)
		switch {
		case err != nil:
			return change{}, err
		case maps.EqualFunc(patched, u.Parameters, maps.Equal):
			return unchanged(u.Name, ""), nil
		}
		old := u.Revision
		u.Parameters = patched
		return set(u, old, "changed"), nil
	})
}

// withParameters returns the parameters of a unit after a change.
func withParameters(u cluster.Unit, patch wire.ParametersPatch) (map[string]map[string]string, error) {
	file, err := unitfile.Parse(string(u.Name), []byte(u.Text))
	if err != nil {
		return nil, err
	}
	published, _ := unitfile.PublishedBy(u.Name, file)
	service, err := serviceOf(u.Name, published.Offers, patch.Service)
	if err != nil {
		return nil, err
	}
	given := maps.Clone(u.Parameters[service])
	if given == nil {
		given = map[string]string{}
	}
	for key, value := range patch.Parameters {
		if value == nil {
			delete(given, key)
			continue
		}
		given[key] = *value
	}
	if err := checkParameters(published.Offers, service, given); err != nil {
		return nil, err
	}
	all := maps.Clone(u.Parameters)
	if all == nil {
		all = map[string]map[string]string{}
	}
	if all[service] = given; len(given) == 0 {
		delete(all, service)
	}
	return all, nil
}

// serviceOf returns the service of a unit that is meant.
func serviceOf(unit cluster.UnitName, offers []cluster.Offer, name string) (string, error) {
	var names []string
	for _, o := range offers {
		names = append(names, o.Service)
	}
	names = slices.Compact(names) // they are sorted
	switch {
	case len(names) == 0:
		return "", cluster.Errorf(cluster.Invalid, "%s publishes nothing", unit).WithHint("Publish= in its [X-Argosy] does")
	case name == "" && len(names) == 1:
		return names[0], nil
	case name == "":
		return "", cluster.Errorf(cluster.Invalid, "%s publishes several services: %s", unit, strings.Join(names, ", ")).WithHint("say which is meant")
	case !slices.Contains(names, name):
		return "", cluster.Errorf(cluster.Invalid, "%s publishes no service %.64q, only %s", unit, name, strings.Join(names, ", "))
	}
	return name, nil
}

// checkParameters refuses what no file could say of a service.
func checkParameters(offers []cluster.Offer, service string, given map[string]string) error {
	for _, o := range offers {
		if o.Service != service {
			continue
		}
		o.Port = max(o.Port, 1) // one that a node chooses is not known here
		o.Parameters = catalog.Parameters(o.Parameters, given)
		if err := unitfile.CheckOffers([]cluster.Offer{o}); err != nil {
			return fmt.Errorf("parameters of %s: %w", service, err)
		}
	}
	return nil
}
