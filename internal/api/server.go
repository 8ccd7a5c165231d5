package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"argosy/internal/api/client"
	"argosy/internal/api/fleetv1"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/events/ring"
	"argosy/internal/metrics"
	"argosy/internal/mirror"
	"argosy/internal/pki"
	"argosy/internal/specs"
	"argosy/internal/store"
	"argosy/internal/systemd"
	"argosy/internal/unitfile"
)

// Sessions renews sessions; engine.Sessions does.
type Sessions interface {
	Renew(ctx context.Context, session cluster.Session) (cluster.Session, error)
}

// Statuses takes in what nodes observe; engine.Statuses does.
type Statuses interface {
	Update(ctx context.Context, node cluster.NodeID, update wire.StatusUpdate) error
}

// Deps are what a server's API works with.
type Deps struct {
	Store    store.Store
	Mirror   *mirror.Mirror
	Health   func(cluster.NodeID) cluster.Health
	Sessions Sessions
	Statuses Statuses

	// Authority signs nodes; EtcdAuthority is handed to new servers.
	Authority, EtcdAuthority *pki.Authority
	CertLife                 time.Duration
	// Metrics counts what this server does; nil: nobody does. Leading returns
	// when it began to lead, zero while it does not.
	Metrics *metrics.Registry
	Leading func() time.Time
	// Voters reports etcd's own view of its members, and the size of its
	// database in bytes.
	Voters func(ctx context.Context) ([]wire.Voter, int64, error)
	// InitialCluster is what a new etcd member needs to know of the others.
	InitialCluster func(ctx context.Context) (string, error)

	// Self is this node; Journal reads its units' logs; Peer calls another's.
	Self    cluster.NodeID
	Journal systemd.Journal
	Peer    func(address netip.AddrPort) *client.Client
	// Names says how names are answered on this node; nil, or returning nil: not known.
	Names func() *metrics.Names
	// Events are those that this server saw.
	Events *ring.Ring
	// Terminals are those of this node; nil: it opens none.
	Terminals *Terminals
	// Keys is the key space of applications; nil: there is none.
	Keys KeySpace
	// Leave and Reset part this node from the cluster.
	Leave, Reset func(ctx context.Context) error

	Log *slog.Logger
}

// Server is the API of a server.
type Server struct {
	Deps
	quorum  quorumProbe
	specs   specs.Cache
	dealer  dealer
	painter painter
	// announcer knows the services.
	announcer *announcer
}

// NewServer makes the API of a server. Handler and Local serve it.
func NewServer(deps Deps) *Server {
	s := &Server{Deps: deps, quorum: quorumProbe{store: deps.Store}, dealer: dealer{mirror: deps.Mirror}}
	s.announcer = &announcer{server: s, feed: newFeed(feedID(deps.Self))}
	return s
}

// Handler serves callers from the network, who are who their certificate says.
func (s *Server) Handler() http.Handler { return identify(s.routes()) }

// Local serves the unix socket: whoever may open it is root on a server.
func (s *Server) Local() http.Handler {
	return withFleet(local(s.routes()), fleetv1.New(fleetOps{s}, statusOf))
}

// identify establishes the caller from the TLS session.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := pki.Caller{Kind: pki.Anonymous}
		if r.TLS != nil {
			var err error
			if caller, err = pki.CallerOf(*r.TLS); err != nil {
				writeProblem(w, err)
				return
			}
			r = r.WithContext(withTLS(r.Context(), r.TLS))
		}
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), caller)))
	})
}

// local establishes the caller as root on this node, or whom root lets open the
// socket; onlyRoot tells them apart.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), pki.Caller{Kind: pki.Local})))
	})
}

// Limits of a connection: what is slow or large on purpose is cut off.
const (
	headerMaxTime = 5 * time.Second
	headerMaxSize = 16 << 10
	idleMax       = time.Minute
	// Bodies of requests: 2,000 units of ordinary size, or 180 of the largest;
	// 2,000 names; and what somebody may send of whom nothing is known yet.
	bodyMax        = 48 << 20
	smallBodyMax   = 1 << 20
	unknownBodyMax = 32 << 10
	// A caller that lost power says nothing, and if nothing is sent to it either,
	// nobody would miss it: the command that it runs and that reads no input, for
	// example, ends with the connection only. It is asked, and left after 20 s in
	// all, as at the end of a channel that is silent.
	pingAfter = 10 * time.Second
	pingMax   = 10 * time.Second
)

// NewHTTPServer returns an HTTP server with the limits that every listener of
// ours has, speaking HTTP/2, in the clear too (for unix sockets).
func NewHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: handler, Protocols: protocols, ConnContext: notePeer,
		ReadHeaderTimeout: headerMaxTime, MaxHeaderBytes: headerMaxSize, IdleTimeout: idleMax,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingMax},
		// Refused handshakes name the caller's cluster and ours.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelInfo),
	}
}

// state returns the mirror's snapshot, or Unavailable before there is one.
func (s *Server) state() (*cluster.State, error) {
	state := s.Mirror.State()
	if state == nil {
		return nil, cluster.Errorf(cluster.Unavailable, "this server has not read the store yet").WithHint("try again in a moment")
	}
	s.specs.Prune(len(state.Units)) // a submission looks at all units, too
	return state, nil
}

// roster answers from the newest snapshot; before there is one, nobody is a
// member and nobody is known to be removed.
func (s *Server) roster() roster {
	state := s.Mirror.State()
	if state == nil {
		return roster{}
	}
	return roster{
		member:  func(id cluster.NodeID) bool { _, ok := findMember(state, id); return ok },
		removed: func(id cluster.NodeID) bool { _, ok := findNode(state, id); return !ok },
	}
}

// readMax is how long a request waits for the mirror to show its own write.
const readMax = 2 * time.Second

// settle waits until the mirror shows what was committed, so that whoever
// wrote reads it back. It gives up silently: the write is done either way.
func (s *Server) settle(ctx context.Context, rev cluster.Revision) {
	ctx, cancel := context.WithTimeout(ctx, readMax)
	defer cancel()
	_, _ = s.Mirror.WaitFor(ctx, rev)
}

// commit writes a transaction, unless it is known that nothing can be written.
func (s *Server) commit(ctx context.Context, txn store.Txn) (cluster.Revision, bool, error) {
	if err := s.quorum.check(ctx); err != nil {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeMax)
	defer cancel()
	return s.Store.Commit(ctx, txn)
}

// writeMax is how long a write may take.
const writeMax = 5 * time.Second

// staleAfter is the age of the mirror from which listings say that they may
// not be current: three missed signs of life.
const staleAfter = 16 * time.Second

// freshness returns what a listing says about its age.
func (s *Server) freshness(ctx context.Context) (stale bool, age float64) {
	d := s.Mirror.Age()
	if s.quorum.check(ctx) != nil || d > staleAfter {
		return true, d.Seconds()
	}
	return false, 0
}

// parseAfter reads a revision from a query parameter; "" is 0.
func parseAfter(text string) (cluster.Revision, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, cluster.Errorf(cluster.Invalid, "after=%.40s is no revision", text)
	}
	return cluster.Revision(n), nil
}

// checkUnit returns every reason why a unit is refused, in one error.
func checkUnit(name cluster.UnitName, text string) error {
	if err := cluster.CheckUnitName(name); err != nil {
		return err
	}
	return unitfile.Refusal(name, unitfile.Check(name, text))
}
