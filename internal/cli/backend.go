package cli

import (
	"context"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
	"argosy/internal/place"
)

// Backend is the cluster as the verbs use it: the client of the API, or a fake
// in tests. Errors carry a cluster.Kind and, where there is one, a hint.
type Backend interface {
	Units
	Nodes
	Membership
	Streams
	Keys
}

// Units is what the verbs ask of the units of a cluster.
type Units interface {
	Units(ctx context.Context) (wire.List[wire.UnitView], error)
	Unit(ctx context.Context, name cluster.UnitName) (wire.UnitView, error)
	Explain(ctx context.Context, name cluster.UnitName) (place.Explanation, error)
	Submit(ctx context.Context, request wire.SubmitRequest) (wire.SubmitAnswer, error)
	SetDesired(ctx context.Context, request wire.DesiredRequest) (wire.DesiredAnswer, error)
	Scale(ctx context.Context, request wire.ScaleRequest) (wire.DesiredAnswer, error)
	PatchParameters(ctx context.Context, name cluster.UnitName, patch wire.ParametersPatch) (wire.DesiredAnswer, error)
	Destroy(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error)
	Restart(ctx context.Context, names []cluster.UnitName) (wire.DesiredAnswer, error)
}

// Nodes is what the verbs ask of the nodes of a cluster, and of what is found there.
type Nodes interface {
	Status(ctx context.Context) (wire.Status, error)
	Nodes(ctx context.Context) (wire.List[wire.NodeView], error)
	PatchNode(ctx context.Context, id cluster.NodeID, patch wire.NodePatch) (wire.NodeView, error)
	RemoveNode(ctx context.Context, id cluster.NodeID) error
	Services(ctx context.Context) (wire.Services, error)
}

// Membership is how a machine comes into a cluster and out of it.
type Membership interface {
	Init(ctx context.Context, request wire.InitRequest) (wire.Identity, error)
	Join(ctx context.Context, request wire.JoinRequest) (wire.Identity, error)
	Leave(ctx context.Context) error
	Reset(ctx context.Context) error
	Tokens(ctx context.Context) ([]cluster.Token, error)
	CreateToken(ctx context.Context, request wire.TokenRequest) (wire.TokenAnswer, error)
	RemoveToken(ctx context.Context, id string) error
}

// Streams are answers without an end.
type Streams interface {
	// Watch calls each for every message until the stream ends: with nil if
	// the server ended it, or with the error of each or of the connection.
	Watch(ctx context.Context, each func(wire.Change) error) error
	// FollowServices calls each for every message until the stream ends, as Watch
	// does.
	FollowServices(ctx context.Context, query client.ServicesQuery, each func(wire.Services) error) error
	// Events calls each for every event and sign of life. It returns nil at the
	// end of a stream that is not followed, and if the server ended it.
	Events(ctx context.Context, query client.EventQuery, each func(wire.EventMessage) error) error
	// Journal calls each for every line. It returns nil at the end of a
	// journal that is not followed.
	Journal(ctx context.Context, query client.JournalQuery, each func(line string) error) error
	// Terminal runs a shell or a command on a node and returns its exit code.
	Terminal(ctx context.Context, node cluster.NodeID, want wire.Terminal, streams channel.Streams) (int, error)
}

// Keys is the key space of applications.
type Keys interface {
	Keys(ctx context.Context, query client.KeysQuery) (wire.Keys, error)
	WriteKey(ctx context.Context, write wire.KeyWrite) (wire.KeyAnswer, error)
	// WatchKeys calls each for what changes, and for signs of life, until the stream
	// ends, as Watch does.
	WatchKeys(ctx context.Context, query client.KeysQuery, each func(wire.KeyEvents) error) error
}
