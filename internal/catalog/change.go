package catalog

import (
	"slices"

	"argosy/internal/cluster"
)

// Diff returns the services that are new or different, whole, and the names of those
// that are gone. Both lists are sorted, as Of returns them.
func Diff(before, after []cluster.Service) (changed []cluster.Service, gone []string) {
	i := 0
	for _, s := range after {
		for ; i < len(before) && before[i].Name < s.Name; i++ {
			gone = append(gone, before[i].Name)
		}
		if i < len(before) && before[i].Name == s.Name {
			if !slices.EqualFunc(before[i].Endpoints, s.Endpoints, cluster.Endpoint.Equal) {
				changed = append(changed, s)
			}
			i++
			continue
		}
		changed = append(changed, s)
	}
	for ; i < len(before); i++ {
		gone = append(gone, before[i].Name)
	}
	return changed, gone
}

// Apply returns a catalog after a change that Diff found.
func Apply(before, changed []cluster.Service, gone []string) []cluster.Service {
	after := make([]cluster.Service, 0, len(before)+len(changed))
	i := 0
	keep := func(until func(name string) bool) {
		for ; i < len(before) && until(before[i].Name); i++ {
			if _, found := slices.BinarySearch(gone, before[i].Name); !found {
				after = append(after, before[i])
			}
		}
	}
	for _, s := range changed {
		keep(func(name string) bool { return name < s.Name })
		if i < len(before) && before[i].Name == s.Name {
			i++
		}
		after = append(after, s)
	}
	keep(func(string) bool { return true })
	return after
}
