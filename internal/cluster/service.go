package cluster

import (
	"cmp"
	"maps"
	"net/netip"
)

// Offer is one service that a unit offers on one node, as the unit's file says it
// and the node finds it.
type Offer struct {
	Service  string `json:"service"` // a label of DNS, in lower case
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"` // one of Protocols
	// Parameters are what else the unit says of it, nil if nothing.
	Parameters map[string]string `json:"parameters,omitempty"`
	// Healthy reports whether it may be used; Reason says why not.
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
}

// Protocols are what a service can be reached by.
func Protocols() []string { return []string{"tcp", "udp"} }

// Compare orders offers by service, port and protocol: no unit makes two on one node
// that are equal in these.
func (o Offer) Compare(p Offer) int {
	return cmp.Or(cmp.Compare(o.Service, p.Service), cmp.Compare(o.Port, p.Port), cmp.Compare(o.Protocol, p.Protocol))
}

// Equal reports whether both say the same.
func (o Offer) Equal(p Offer) bool {
	return o.Compare(p) == 0 && o.Healthy == p.Healthy && o.Reason == p.Reason && maps.Equal(o.Parameters, p.Parameters)
}

// Endpoint is an offer with where it is, and as the cluster sees it: what a node that
// is lost has last said of an offer does not count.
type Endpoint struct {
	Offer
	Unit     UnitName   `json:"unit"`
	Node     NodeID     `json:"node"`
	NodeName string     `json:"nodeName"`
	Address  netip.Addr `json:"address"`
}

// Compare orders the endpoints of all services.
func (e Endpoint) Compare(f Endpoint) int {
	return cmp.Or(cmp.Compare(e.Service, f.Service), cmp.Compare(e.Unit, f.Unit), cmp.Compare(e.Node, f.Node), e.Offer.Compare(f.Offer))
}

// Equal reports whether both say the same.
func (e Endpoint) Equal(f Endpoint) bool {
	return e.Unit == f.Unit && e.Node == f.Node && e.NodeName == f.NodeName && e.Address == f.Address && e.Offer.Equal(f.Offer)
}

// Service is a name, and everything that is found under it.
type Service struct {
	Name string `json:"name"`
	// Endpoints are in their order, those that are not healthy included.
	Endpoints []Endpoint `json:"endpoints"`
}

// Whereabouts is where a node is, as every node knows it of every other.
type Whereabouts struct {
	ID      NodeID     `json:"id"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Away reports whether nothing is known of what the node does now.
	Away bool `json:"away,omitempty"`
}
