// Package wire holds what the API says beyond the nouns of package cluster:
// requests, answers and stream messages, and the paths they are found at. The
// server, the Go client, the CLI and the nodes share it.
//
// Everything is JSON over HTTP/2. Streams are newline-delimited JSON. Errors
// are RFC 9457 problems (Problem).
package wire

import (
	"net/netip"
	"time"

	"argosy/internal/cluster"
)

// Port numbers of a node. There are no others.
const (
	PortAPI        = 7500 // every node: the API on servers, the journal of its units on workers; mutual TLS
	PortEtcdClient = 7501 // every server: etcd for the daemons of servers, mutual TLS
	PortEtcdPeer   = 7502 // every server: etcd between servers, mutual TLS
)

// Paths of the API. {id} is a node ID, {name} a unit name.
const (
	PathOpenAPI    = "/v1/openapi.json"
	PathStatus     = "/v1/status"                    // GET Status
	PathInit       = "/v1/init"                      // POST InitRequest -> Identity; unix socket of an unformed node only
	PathJoin       = "/v1/join"                      // POST JoinRequest -> Identity; the same, on the joining node
	PathLeave      = "/v1/leave"                     // POST -> leave the cluster; unix socket only
	PathReset      = "/v1/reset"                     // POST -> forget the cluster without asking it; unix socket only
	PathAdmit      = "/v1/admit"                     // POST AdmitRequest -> AdmitAnswer; TCP, without a client certificate
	PathTokens     = "/v1/tokens"                    // GET []cluster.Token, POST TokenRequest -> TokenAnswer
	PathToken      = "/v1/tokens/{id}"               // DELETE
	PathNodes      = "/v1/nodes"                     // GET List[NodeView]
	PathNode       = "/v1/nodes/{id}"                // GET NodeView, PATCH NodePatch, DELETE (remove for good)
	PathUnits      = "/v1/units"                     // GET List[UnitView], POST SubmitRequest -> SubmitAnswer
	PathUnit       = "/v1/units/{name}"              // GET UnitView (with text)
	PathDesired    = "/v1/units:desired"             // POST DesiredRequest -> DesiredAnswer (many units at once)
	PathDestroy    = "/v1/units:destroy"             // POST NamesRequest -> DesiredAnswer
	PathRestart    = "/v1/units:restart"             // POST NamesRequest -> DesiredAnswer
	PathExplain    = "/v1/units/{name}/explain"      // GET place.Explanation
	PathScale      = "/v1/units:scale"               // POST ScaleRequest -> DesiredAnswer
	PathParameters = "/v1/units/{name}/parameters"   // PATCH ParametersPatch -> DesiredAnswer
	PathJournal    = "/v1/units/{name}/journal"      // GET stream of LogLine; ?lines= &follow= &node= &output=
	PathWatch      = "/v1/watch"                     // GET stream of Change
	PathServices   = "/v1/services"                  // GET stream of Services; ?after= &follow= &fresh=
	PathEvents     = "/v1/events"                    // GET stream of EventMessage; ?since= &after= &follow= &unit= &node= &name=
	PathRenew      = "/v1/nodes/{id}/session"        // POST cluster.Session -> cluster.Session
	PathReport     = "/v1/nodes/{id}/report"         // PUT cluster.Report
	PathStatuses   = "/v1/nodes/{id}/statuses"       // POST StatusUpdate
	PathSlice      = "/v1/nodes/{id}/slice"          // GET stream of SliceUpdate; ?after=
	PathCert       = "/v1/nodes/{id}/certificate"    // POST CertRequest -> CertAnswer (renewal)
	PathServer     = "/v1/nodes/{id}/server"         // POST -> ServerSecrets; only for a node with a Member record
	PathNodeLog    = "/v1/nodes/{id}/journal/{name}" // GET stream of LogLine from that node's own journal
	PathMetrics    = "/metrics"                      // GET, as Prometheus reads it; servers only
)

// Problem is an error answer (RFC 9457), content type application/problem+json.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"` // cluster.Kind
	Hint   string `json:"hint,omitempty"`
}

// List is a listing: the items and what they are true of.
type List[T any] struct {
	Revision cluster.Revision `json:"revision"`
	// Stale is set when the server has no quorum or its copy does not advance;
	// Age is how old the copy is then, in seconds.
	Stale bool    `json:"stale,omitempty"`
	Age   float64 `json:"age,omitempty"`
	Items []T     `json:"items"`
}

// UnitView is a unit with where it is placed and what the nodes say of it. A
// unit that was destroyed while nodes still have it is shown without a desired
// state, until the last of them has let it go.
type UnitView struct {
	cluster.Unit                    // Text is left out of listings
	Global       bool               `json:"global,omitempty"` // asks to be on every node, placed or not
	Placement    *cluster.Placement `json:"placement,omitempty"`
	Statuses     []cluster.Status   `json:"statuses,omitempty"` // by node
	// State is the cluster's summary: inactive, loaded, launched (fleet's
	// words, derived from what the nodes observed).
	State cluster.Desired `json:"state"`
	// Problem is the one thing to know if the unit is not as desired: why it
	// is pending, or why it failed.
	Problem string `json:"problem,omitempty"`
}

// NodeView is a node with what it says of itself and how the cluster sees it.
type NodeView struct {
	cluster.Node
	Role    cluster.Role      `json:"role"`
	Leader  bool              `json:"leader,omitempty"`
	Health  cluster.Health    `json:"health"`
	Address netip.Addr        `json:"address"`
	Labels  map[string]string `json:"labels,omitempty"` // merged; masks cluster.Node.Labels
	Version string            `json:"version,omitempty"`
	CPUs    int               `json:"cpus,omitempty"`
	Memory  int64             `json:"memory,omitempty"`
	Units   int               `json:"units"` // placed here
	// Promised is what units were promised that are placed here, Used what the
	// machine uses, whoever does. A watch goes without them.
	Promised cluster.Usage `json:"promised,omitzero"`
	Used     cluster.Usage `json:"used,omitzero"`
	Problems []string      `json:"problems,omitempty"`
}

// Status is the cluster on one page, as one node sees it.
type Status struct {
	// Formed is false on a node that is in no cluster; all else is empty then.
	Formed     bool            `json:"formed"`
	Node       cluster.NodeID  `json:"node"`
	Role       cluster.Role    `json:"role,omitempty"`
	Cluster    cluster.Cluster `json:"cluster"`
	Leader     *cluster.Leader `json:"leader,omitempty"`
	LeaderName string          `json:"leaderName,omitempty"`
	// Quorum is false when writes cannot be acknowledged.
	Quorum       bool             `json:"quorum"`
	Revision     cluster.Revision `json:"revision"`
	Stale        bool             `json:"stale,omitempty"`
	Age          float64          `json:"age,omitempty"`
	Voters       []Voter          `json:"voters"`
	Nodes        int              `json:"nodes"`
	NodesReady   int              `json:"nodesReady"`
	Units        int              `json:"units"`
	UnitsActive  int              `json:"unitsActive"`
	UnitsPending int              `json:"unitsPending"`
	UnitsFailed  int              `json:"unitsFailed"`
	DBSize       int64            `json:"dbSize"` // bytes
	// Problems is what is wrong, in plain words; empty if nothing is.
	Problems []string `json:"problems,omitempty"`
}

// Voter is one server's part in the voting set.
type Voter struct {
	Node    cluster.NodeID      `json:"node"`
	Name    string              `json:"name"`
	State   cluster.MemberState `json:"state"`
	Healthy bool                `json:"healthy"`
	Leader  bool                `json:"leader,omitempty"` // etcd's leader
	Error   string              `json:"error,omitempty"`
}

// InitRequest forms a cluster of one.
type InitRequest struct {
	Name string `json:"name,omitempty"`
	// Address is what other nodes reach this one at; zero: found by itself.
	Address netip.Addr `json:"address,omitzero"`
}

// JoinRequest tells an unformed node to join with a token.
type JoinRequest struct {
	Token   string     `json:"token"`
	Address netip.Addr `json:"address,omitzero"`
}

// Identity is who a node is, after init or join.
type Identity struct {
	Cluster cluster.ID     `json:"cluster"`
	Node    cluster.NodeID `json:"node"`
	Name    string         `json:"name"`
}

// AdmitRequest asks a server to admit a node. The token's secret never crosses
// the wire: Proof is HMAC-SHA256(secret, TLS exporter || CSR), base64.
type AdmitRequest struct {
	TokenID string         `json:"tokenID"`
	Proof   []byte         `json:"proof"`
	CSR     []byte         `json:"csr"` // DER; only its public key is taken
	Node    cluster.NodeID `json:"node"`
	Name    string         `json:"name"`
	Address netip.Addr     `json:"address"`
}

// AdmitAnswer makes a node a member.
type AdmitAnswer struct {
	Cluster     cluster.Cluster `json:"cluster"`
	Certificate []byte          `json:"certificate"` // PEM
	CA          []byte          `json:"ca"`          // PEM
	Servers     []string        `json:"servers"`     // host:port
}

// CertRequest asks for a new certificate for the node's own name.
type CertRequest struct {
	CSR []byte `json:"csr"` // DER
	// Current is the certificate that the node has (PEM). It speaks for the
	// node if it has expired and the call therefore comes without one.
	Current []byte `json:"current,omitempty"`
}

// CertAnswer carries it.
type CertAnswer struct {
	Certificate []byte `json:"certificate"` // PEM
}

// ServerSecrets make a worker a server. With the authorities' keys it makes the
// certificates of its etcd member itself.
type ServerSecrets struct {
	CA             []byte `json:"ca"`             // PEM, certificate and key of the cluster's CA
	EtcdCA         []byte `json:"etcdCA"`         // PEM, certificate and key of etcd's own CA
	InitialCluster string `json:"initialCluster"` // etcd's name=url,…
}

// TokenRequest makes a join token.
type TokenRequest struct {
	TTL  time.Duration `json:"ttl,omitempty"`  // nanoseconds; 0: 15 minutes
	Uses int           `json:"uses,omitempty"` // 0: one
}

// TokenAnswer holds the only copy of the token's secret.
type TokenAnswer struct {
	Token  string        `json:"token"`
	Record cluster.Token `json:"record"`
}

// NodePatch changes labels; an empty value removes one.
type NodePatch struct {
	Labels map[string]string `json:"labels"`
}

// SubmitRequest hands units to the cluster. None is stored unless all are legal;
// those that fit into one transaction of the store are stored all or none.
type SubmitRequest struct {
	Units []SubmitUnit `json:"units"`
	// Replace allows a text that differs from the stored one.
	Replace bool `json:"replace,omitempty"`
}

// SubmitUnit is one unit of a submission.
type SubmitUnit struct {
	Name    cluster.UnitName `json:"name"`
	Text    string           `json:"text"`
	Desired cluster.Desired  `json:"desired,omitempty"` // empty: as it is, or inactive
}

// SubmitAnswer tells what became of each, in the order of the request.
type SubmitAnswer struct {
	Revision cluster.Revision `json:"revision"`
	Units    []Outcome        `json:"units"`
}

// Outcome is what a request did to one unit.
type Outcome struct {
	Name cluster.UnitName `json:"name"`
	// Done is created, replaced, changed, unchanged, destroyed.
	Done string `json:"done"`
	// Warning is for a person: the stored text differs, for example.
	Warning string `json:"warning,omitempty"`
}

// NamesRequest names units.
type NamesRequest struct {
	Names []cluster.UnitName `json:"names"`
}

// DesiredRequest sets the desired state of units that exist: nothing is changed
// if one does not. As SubmitRequest, all or none within one transaction.
type DesiredRequest struct {
	Names   []cluster.UnitName `json:"names"`
	Desired cluster.Desired    `json:"desired"`
}

// ScaleRequest asks for the instances 1 to Replicas of a template to be
// launched, and for those of a greater number to be destroyed. Instances whose
// names are no numbers stay as they are.
type ScaleRequest struct {
	Template cluster.UnitName `json:"template"`
	Replicas int              `json:"replicas"`
}

// ParametersPatch changes what is to be known of a service that a unit publishes, until
// the unit is given another text.
type ParametersPatch struct {
	Service string `json:"service,omitempty"` // "" if the unit publishes only one
	// Parameters are the values to be set; null gives a parameter back to the unit's file.
	Parameters map[string]*string `json:"parameters"`
}

// DesiredAnswer tells what became of each, in the order of the request.
type DesiredAnswer struct {
	Revision cluster.Revision `json:"revision"`
	Units    []Outcome        `json:"units"`
}

// LogLine is one line of a journal. The last message of a stream that ends in
// an error carries only Error.
type LogLine struct {
	Line string `json:"line"`
	// Bytes is a piece of a journal in the form export, which has no lines.
	Bytes []byte `json:"bytes,omitempty"`
	// Alive is a sign of life of a quiet journal; there is no line.
	Alive bool     `json:"alive,omitempty"`
	Error *Problem `json:"error,omitempty"`
}

// Change is one message of the watch: units and nodes that changed, whole, or
// are gone, all as of Revision. The first message is the state itself (Full).
type Change struct {
	Revision  cluster.Revision   `json:"revision"`
	Full      bool               `json:"full,omitempty"`
	Units     []UnitView         `json:"units,omitempty"`
	GoneUnits []cluster.UnitName `json:"goneUnits,omitempty"`
	Nodes     []NodeView         `json:"nodes,omitempty"`
	GoneNodes []cluster.NodeID   `json:"goneNodes,omitempty"`
}

// EventMessage is one message of the stream of events: an event, or, without
// one, a sign of life. All events up to Revision have been told: go on with
// ?after= it, on any server. An event that comes twice has the same ID.
type EventMessage struct {
	Event    *cluster.Event   `json:"event,omitempty"`
	Revision cluster.Revision `json:"revision"`
}

// Services is one message of the catalog: all of it (Full), or what changed since the
// message before. One that is neither is a sign of life.
type Services struct {
	Revision cluster.Revision `json:"revision"`
	// Cursor is where the stream is: ?after= it goes on there, if the server can, and
	// begins with the whole otherwise.
	Cursor string `json:"cursor"`
	// Stale and Age are those of a List.
	Stale bool    `json:"stale,omitempty"`
	Age   float64 `json:"age,omitempty"`
	Full  bool    `json:"full,omitempty"`
	// Services are those that are new or different, whole, by name; Gone are the
	// names of those that are not there any more.
	Services []cluster.Service `json:"services,omitempty"`
	Gone     []string          `json:"gone,omitempty"`
	// Nodes are where nodes are that are new or different, by ID; GoneNodes are those
	// of the cluster no more.
	Nodes     []cluster.Whereabouts `json:"nodes,omitempty"`
	GoneNodes []cluster.NodeID      `json:"goneNodes,omitempty"`
}

// Alive reports whether a message is a sign of life: it changes nothing.
func (s Services) Alive() bool {
	return !s.Full && len(s.Services)+len(s.Gone)+len(s.Nodes)+len(s.GoneNodes) == 0
}

// SliceUpdate is one message of a node's slice stream: the whole slice (Full),
// or what changed since the message before. An empty one is a sign of life.
type SliceUpdate struct {
	Generation cluster.Revision     `json:"generation"`
	Full       bool                 `json:"full,omitempty"`
	Put        []cluster.Assignment `json:"put,omitempty"`
	Remove     []cluster.UnitName   `json:"remove,omitempty"`
	Member     *cluster.Member      `json:"member,omitempty"`
	Servers    []string             `json:"servers,omitempty"`
	// ServerIDs are the nodes that may read this node's journals.
	ServerIDs []cluster.NodeID `json:"serverIDs,omitempty"`
}

// StatusUpdate is what a node observed: statuses that changed, and units that
// are gone from it. Full means that there are no others on the node.
type StatusUpdate struct {
	Full bool               `json:"full,omitempty"`
	Put  []cluster.Status   `json:"put,omitempty"`
	Gone []cluster.UnitName `json:"gone,omitempty"`
}
