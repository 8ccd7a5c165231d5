package cli

import (
	"context"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/catalog"
	"argosy/internal/cluster"
)

const servicesLong = `List the services that units publish (Publish= in [X-Argosy]), where they
are, and whether they can be used there: as long as the unit is active and its
node is heard of. With names, only those services are listed.`

const servicesExample = `  argosy services
  argosy services web db -o wide
  argosy services -w
  argosy services web -o json`

func newServices(a *app) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "services [NAME...]",
		Aliases: []string{"list-services"},
		Short:   "List the services of the cluster, and where they are",
		Long:    servicesLong, Example: servicesExample,
		ValidArgsFunction: a.serviceNames,
		RunE: func(cmd *cobra.Command, names []string) error {
			return show(cmd.Context(), a, f, serviceListing(a, names))
		},
	}
	bindList(cmd, &f, serviceListing(a, nil))
	return cmd
}

// endpointRow is one endpoint of a listing; gone if it is not there any more.
type endpointRow struct {
	cluster.Endpoint
	gone bool
}

func (r endpointRow) health() string {
	switch {
	case r.gone:
		return "gone"
	case r.Healthy:
		return "healthy"
	}
	return "unhealthy"
}

// key tells endpoints apart.
func (r endpointRow) key() string {
	return r.Service + " " + string(r.Unit) + " " + string(r.Node) + " " + strconv.Itoa(int(r.Port)) + r.Protocol
}

func serviceListing(a *app, names []string) listing[endpointRow] {
	text := func(value func(endpointRow) string) func(endpointRow, bool) string {
		return func(r endpointRow, _ bool) string { return value(r) }
	}
	return listing[endpointRow]{
		columns: []column[endpointRow]{
			{"service", false, text(func(r endpointRow) string { return r.Service })},
			{"endpoint", false, text(endpointText)},
			{"address", false, text(func(r endpointRow) string { return r.Address.String() })},
			{"port", false, text(func(r endpointRow) string { return strconv.Itoa(int(r.Port)) })},
			{"protocol", false, text(func(r endpointRow) string { return r.Protocol })},
			{"unit", true, text(func(r endpointRow) string { return string(r.Unit) })},
			{"node", false, text(func(r endpointRow) string { return r.NodeName })},
			{"id", false, text(func(r endpointRow) string { return string(r.Node) })},
			{"health", false, text(endpointRow.health)},
			{"parameters", true, text(func(r endpointRow) string { return labelText(r.Parameters) })},
			{"problem", true, text(func(r endpointRow) string { return r.Reason })},
		},
		fields: "service,endpoint,unit,node,health,parameters",
		wide:   "service,endpoint,unit,node,id,health,parameters,problem",
		name:   func(r endpointRow) string { return r.Service },
		key:    endpointRow.key,
		fetch: func(ctx context.Context, b Backend) (any, []endpointRow, error) {
			all, err := b.Services(ctx)
			if err != nil {
				return nil, nil, err
			}
			a.noteStale(all.Stale, all.Age)
			if err := checkServices(all.Services, names); err != nil {
				return nil, nil, err
			}
			all = onlyServices(all, names)
			return all, rowsOf(all.Services), nil
		},
		follow: func(ctx context.Context, b Backend, each func(any, []endpointRow) error) error {
			return a.followServices(ctx, b, names, each)
		},
	}
}

// checkServices returns a NotFound error if there is no service of a name.
func checkServices(all []cluster.Service, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s cluster.Service) bool { return s.Name == name }) {
			return cluster.Errorf(cluster.NotFound, "there is no service %q", name).
				WithHint("argosy services lists those that units publish; a unit that was never placed publishes nothing")
		}
	}
	return nil
}

// onlyServices leaves out those that are not named; none named are all.
func onlyServices(m wire.Services, names []string) wire.Services {
	if len(names) == 0 {
		return m
	}
	other := func(name string) bool { return !slices.Contains(names, name) }
	m.Services = slices.DeleteFunc(slices.Clone(m.Services), func(s cluster.Service) bool { return other(s.Name) })
	m.Gone = slices.DeleteFunc(slices.Clone(m.Gone), other)
	m.Nodes, m.GoneNodes = nil, nil
	return m
}

func rowsOf(services []cluster.Service) (rows []endpointRow) {
	for _, s := range services {
		for _, e := range s.Endpoints {
			rows = append(rows, endpointRow{Endpoint: e})
		}
	}
	return rows
}

// followServices calls each with the whole, and then with what changes.
func (a *app) followServices(ctx context.Context, b Backend, names []string, each func(any, []endpointRow) error) error {
	var known []cluster.Service
	cursor, stale := "", false
	stream := func(ctx context.Context, each func(wire.Services) error) error {
		return b.FollowServices(ctx, client.ServicesQuery{After: cursor}, each)
	}
	return keepOn(ctx, a, stream, func(m wire.Services) error {
		if m.Stale && !stale {
			a.noteStale(m.Stale, m.Age)
		}
		cursor, stale = m.Cursor, m.Stale || stale && !m.Alive() // only signs of life say so
		m = onlyServices(m, names)
		before := known
		switch {
		case m.Full:
			known = m.Services
		case len(m.Services)+len(m.Gone) == 0:
			return nil // a sign of life, or the change of another
		default:
			known = catalog.Apply(known, m.Services, m.Gone)
		}
		return each(m, changedRows(before, known))
	})
}

// changedRows returns the endpoints that are new or different, and those that are
// gone.
func changedRows(before, after []cluster.Service) []endpointRow {
	then := map[string]endpointRow{}
	for _, r := range rowsOf(before) {
		then[r.key()] = r
	}
	var rows []endpointRow
	for _, r := range rowsOf(after) {
		if old, known := then[r.key()]; !known || !old.Equal(r.Endpoint) {
			rows = append(rows, r)
		}
		delete(then, r.key())
	}
	for _, r := range rowsOf(before) {
		if _, gone := then[r.key()]; gone {
			rows = append(rows, endpointRow{r.Endpoint, true})
		}
	}
	return rows
}

// endpointText is where an endpoint is reached.
func endpointText(r endpointRow) string {
	return netip.AddrPortFrom(r.Address, r.Port).String() + "/" + r.Protocol
}

// serviceNames proposes the services of the cluster.
func (a *app) serviceNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	names := ask(cmd.Context(), a, func(ctx context.Context, b Backend) ([]string, error) {
		all, err := b.Services(ctx)
		var names []string
		for _, s := range all.Services {
			names = append(names, s.Name)
		}
		return names, err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
