package agent

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/converge"
)

// Where ports are chosen for those who leave it to the node (auto): above those that
// programs have by custom, and below those that Linux gives to whoever asks for any
// (32768 to 60999).
const (
	portFirst = 20_000
	portLast  = 29_999
)

// ports are the ports that were chosen for one unit, by service.
type ports map[string]uint16

// choosePorts returns ports for services, each in the order given: the one that is
// remembered if it still is free, else the first free one from a place in the range
// that is the service's own, so that it mostly is the same again on any node. free
// reports whether a port can be had. It is pure but for that.
func choosePorts(unit cluster.UnitName, services []string, remembered ports, free func(port uint16) bool) (ports, error) {
	chosen := ports{}
	taken := func(port uint16) bool {
		for _, other := range chosen {
			if other == port {
				return true
			}
		}
		return !free(port)
	}
	for _, service := range services {
		if port, known := remembered[service]; known && !taken(port) {
			chosen[service] = port
			continue
		}
		const many = portLast - portFirst + 1
		h := fnv.New32a()
		_, _ = fmt.Fprintf(h, "%s %s", unit, service)
		begin := h.Sum32() % many
		for i := uint32(0); ; i++ {
			if i == many {
				return nil, cluster.Errorf(cluster.Unavailable, "no port from %d to %d is free for %s", portFirst, portLast, service)
			}
			if port := uint16(portFirst + (begin+i)%many); !taken(port) {
				chosen[service] = port
				break
			}
		}
	}
	return chosen, nil
}

// autoServices are the services of a unit whose ports the node chooses, each once.
func autoServices(offers []cluster.Offer) []string {
	var names []string
	for _, o := range offers {
		if o.Port == 0 {
			names = append(names, o.Service)
		}
	}
	return slices.Compact(names) // offers are sorted by it
}

// withPorts returns offers with the ports that were chosen, without those for which none
// was yet.
func withPorts(offers []cluster.Offer, chosen ports) []cluster.Offer {
	if len(autoServices(offers)) == 0 {
		return offers
	}
	var all []cluster.Offer
	for _, o := range offers {
		if o.Port == 0 {
			o.Port = chosen[o.Service]
		}
		if o.Port != 0 {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, cluster.Offer.Compare)
	return slices.CompactFunc(all, func(a, b cluster.Offer) bool { return a.Compare(b) == 0 })
}

// portOf returns the port of a unit's service, 0 if it is not known.
func portOf(offers []cluster.Offer, service string) uint16 {
	for _, o := range offers {
		if o.Service == service && o.Protocol == "tcp" {
			return o.Port
		}
	}
	return 0
}

// variable is how a unit is told the port of a service: $PORT_WEB of the service web.
func variable(service string) string {
	return "PORT_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_"))
}

// variables are all that a unit is told.
func (p ports) variables() []string {
	var all []string
	for service, port := range p {
		all = append(all, fmt.Sprintf("%s=%d", variable(service), port))
	}
	slices.Sort(all)
	return all
}

// portsIn returns what a unit was told of some services.
func portsIn(variables, services []string) ports {
	told := ports{}
	for _, service := range services {
		for _, v := range variables {
			if text, is := strings.CutPrefix(v, variable(service)+"="); is {
				if port, err := strconv.ParseUint(text, 10, 16); err == nil {
					told[service] = uint16(port)
				}
			}
		}
	}
	return told
}

// prepare gives a unit its ports before its file is written, and before it starts. It does
// not expect the mutex.
func (w *workers) prepare(ctx context.Context, step converge.Step, want cluster.Assignment) error {
	services := autoServices(publishedBy(step.Unit, want.Text).Offers)
	manager := w.c.a.deps.Manager
	switch {
	case len(services) == 0 && step.Kind == converge.Write:
		return manager.SetEnvironment(ctx, step.Unit, nil) // what a text before may have left
	case len(services) == 0:
		return nil
	}
	keep, err := w.holdsPorts(ctx, step)
	if err != nil {
		return err
	}
	chosen, err := w.c.choosePorts(step.Unit, services, keep)
	if err != nil {
		return err
	}
	return manager.SetEnvironment(ctx, step.Unit, chosen.variables())
}

// holdsPorts reports whether a unit may be listening at its ports: only one that is down
// gets another if somebody else has taken it. systemd may have started it since it was
// last looked at.
func (w *workers) holdsPorts(ctx context.Context, step converge.Step) (bool, error) {
	if step.Kind == converge.Restart {
		return true, nil
	}
	units, err := w.c.a.deps.Manager.Observe(ctx, step.Unit)
	if err != nil {
		return false, err
	}
	return units[0].Active != "inactive" && units[0].Active != "failed", nil
}

// choosePorts chooses ports for a unit's services and notes them. Those that it has are
// kept, if they may be in use by itself. It does not expect the mutex.
func (c *converger) choosePorts(unit cluster.UnitName, services []string, keep bool) (ports, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.ports[unit]; known != nil && keep {
		return known, nil
	}
	chosen, err := choosePorts(unit, services, c.ports[unit], c.free(unit))
	if err == nil {
		c.ports[unit] = chosen
	}
	return chosen, err
}

// free returns what tells whether a unit can have a port: no other unit here has it, or
// says that it will, and nobody on the node listens there.
func (c *converger) free(unit cluster.UnitName) func(port uint16) bool {
	taken := map[uint16]bool{}
	for name, chosen := range c.ports {
		for _, port := range chosen {
			taken[port] = taken[port] || name != unit
		}
	}
	for name, want := range c.want {
		for _, o := range c.published(name, want.Hash).Offers {
			taken[o.Port] = true
		}
	}
	return func(port uint16) bool {
		return !taken[port] && (c.a.deps.PortFree == nil || c.a.deps.PortFree(port))
	}
}
