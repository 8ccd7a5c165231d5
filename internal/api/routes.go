package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"argosy/internal/api/etcdv2"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// body is the input or output of an operation that has only a body.
type body[T any] struct{ Body T }

// route describes one route of the API.
type route struct {
	method, path string
	access       access
	summary      string
}

// pattern is what the multiplexer knows a route by. A key of the key space is all that
// is left of the path.
func (r route) pattern() string {
	if strings.HasPrefix(r.path, etcdv2.PathKeys+"/") {
		return r.method + " " + strings.TrimSuffix(r.path, "}") + "...}"
	}
	return r.method + " " + r.path
}

// bodyLimit returns how many bytes a request may have. All of it is read and
// checked before a handler sees it.
func (r route) bodyLimit() int64 {
	switch {
	case r.access == anyone:
		return unknownBodyMax
	case r.method == http.MethodPost && r.path == wire.PathUnits:
		return bodyMax
	case r.method == http.MethodPost && r.path == wire.PathKeys:
		return 2 * keyspace.RequestBytesMax // in base64, and with what frames it
	}
	return smallBodyMax
}

// router is the one way to a route of a server, so that none is left
// undescribed.
type router struct {
	server *Server
	mux    *http.ServeMux
	api    huma.API
	listed []route
}

// routes builds the handler with every route of a server.
func (s *Server) routes() http.Handler { return s.router().mux }

func newRouter(s *Server) *router {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Argosy", "1")
	config.OpenAPIPath = strings.TrimSuffix(wire.PathOpenAPI, ".json")
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // answers carry no schema links
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	r := &router{server: s, mux: mux, api: humago.New(mux, config)}
	mux.HandleFunc("/", noSuchCall)
	return r
}

func (s *Server) router() *router {
	r := newRouter(s)
	operation(r, route{"GET", wire.PathStatus, anyMember, "The cluster on one page"}, s.status)
	r.stream(route{"GET", wire.PathMetrics, anyMember, "Read what Prometheus reads"},
		shape{out: reflect.TypeFor[string](), text: true, note: "Prometheus' own form."}, s.metrics)
	s.unitRoutes(r)
	s.nodeRoutes(r)
	s.keyRoutes(r)

	operation(r, route{"GET", wire.PathTokens, operators, "List join tokens"}, s.listTokens)
	operation(r, route{"POST", wire.PathTokens, operators, "Make a join token"}, s.createToken)
	operation(r, route{"DELETE", wire.PathToken, operators, "Revoke a join token"}, s.removeToken)
	operation(r, route{"POST", wire.PathAdmit, anyone, "Ask to be admitted with a token"}, s.admitNode)

	const forming = "Only on the unix socket of a node that is in no cluster; others refuse, and name their cluster."
	own := func() cluster.ID { return s.Authority.ID() }
	r.stream(route{"POST", wire.PathInit, onlyLocal, "Form a cluster of this node"},
		exchange[wire.InitRequest, wire.Identity]().noted(forming), refuseInit(own))
	r.stream(route{"POST", wire.PathJoin, onlyLocal, "Make this node join a cluster with a token"},
		exchange[wire.JoinRequest, wire.Identity]().noted(forming), refuseJoin(own))
	r.part(route{"POST", wire.PathLeave, onlyLocal, "Take this node out of its cluster"}, s.Leave)
	r.part(route{"POST", wire.PathReset, onlyLocal, "Make this node forget its cluster"}, s.Reset)
	return r
}

// unitRoutes are those of units, and of what happens to them.
func (s *Server) unitRoutes(r *router) {
	operation(r, route{"GET", wire.PathUnits, operators, "List units"}, s.listUnits)
	operation(r, route{"POST", wire.PathUnits, operators, "Submit units"}, s.submitUnits)
	operation(r, route{"GET", wire.PathUnit, operators, "Show a unit with its text"}, s.getUnit)
	operation(r, route{"GET", wire.PathExplain, operators, "Explain where a unit is placed, node by node"}, s.explainUnit)
	operation(r, route{"POST", wire.PathDesired, operators, "Set the desired state of units"}, s.setDesired)
	operation(r, route{"POST", wire.PathRestart, operators, "Restart units"}, s.restartUnits)
	operation(r, route{"POST", wire.PathScale, operators, "Make the instances of a template so many"}, s.scaleUnits)
	operation(r, route{"PATCH", wire.PathParameters, operators, "Change the parameters of a service that a unit publishes"}, s.patchParameters)
	operation(r, route{"POST", wire.PathDestroy, operators, "Destroy units"}, s.destroyUnits)
	r.stream(route{"GET", wire.PathJournal, operators, "Read a unit's journal, wherever it is"},
		linesOf[wire.LogLine](linesParam(), followParam(), outputParam(), param("node", huma.TypeString, "the ID of the node whose journal is meant")), s.unitJournal)
	r.stream(route{"GET", wire.PathWatch, operators, "Follow what changes"}, linesOf[wire.Change](), s.watch)
	r.stream(route{"GET", wire.PathServices, anyMember, "Say which services there are, and where, and follow that"}, linesOf[wire.Services](
		param("after", huma.TypeString, "the cursor of the last message that was read"), followParam(),
		param("fresh", huma.TypeBoolean, "an error rather than what a server knows that is cut off from the store")), s.services)
	r.stream(route{"GET", wire.PathEvents, operators, "Read what happened, and follow it"}, linesOf[wire.EventMessage](
		param("since", huma.TypeString, "a duration back from now, as 90m"), afterParam(), followParam(),
		params("unit", "names of units, or globs"), params("node", "names or IDs of nodes"), params("name", "names of either")), s.events)
}

// nodeRoutes are those of nodes: for operators, for other servers, and for the
// nodes themselves.
func (s *Server) nodeRoutes(r *router) {
	operation(r, route{"GET", wire.PathNodes, operators, "List nodes"}, s.listNodes)
	operation(r, route{"GET", wire.PathNode, operators, "Show a node"}, s.getNode)
	operation(r, route{"PATCH", wire.PathNode, operators, "Change the labels of a node"}, s.patchNode)
	operation(r, route{"DELETE", wire.PathNode, operatorsOrOwn, "Remove a node for good"}, s.removeNode)
	r.stream(route{"GET", wire.PathNodeLog, servers, "Read a unit's journal on this node"},
		linesOf[wire.LogLine](linesParam(), followParam(), outputParam()), s.nodeJournal)

	terminal := shape{raw: true, note: "Frames of package channel, both ways at once, over HTTP/2 only."}
	r.stream(route{"POST", wire.PathTerminal, operators, "Open a terminal on a node"}, terminal, s.openTerminal)
	terminal.query = []*huma.Param{param("by", huma.TypeString, "whom the server opens it for, for the log")}
	r.stream(route{"POST", wire.PathOwnTerminal, servers, "Open a terminal on this node"}, terminal, s.ownTerminal)

	r.stream(route{"POST", wire.PathRenew, ownNode, "Renew a node's session"}, exchange[cluster.Session, cluster.Session](), s.renewSession)
	r.stream(route{"PUT", wire.PathReport, ownNode, "Report what a node is"}, taking[cluster.Report](), s.putReport)
	r.stream(route{"POST", wire.PathStatuses, ownNode, "Report what a node's systemd shows"}, taking[wire.StatusUpdate](), s.putStatuses)
	r.stream(route{"GET", wire.PathSlice, ownNode, "Follow what is placed on a node"}, linesOf[wire.SliceUpdate](afterParam()), s.slice)
	operation(r, route{"POST", wire.PathCert, anyone, "Renew a node's certificate"}, s.renewCertificate)
	operation(r, route{"POST", wire.PathServer, ownServer, "Get what makes a node a server"}, s.serverSecrets)
}

// noSuchCall answers what no route does. Its code is not that of a record that
// does not exist: a node must not take it for its own removal.
func noSuchCall(w http.ResponseWriter, r *http.Request) {
	p := newProblem(cluster.Errorf(cluster.Invalid, "there is no call %s %.200s", r.Method, r.URL.Path).WithHint("see " + wire.PathOpenAPI))
	p.Status, p.Title = http.StatusNotFound, http.StatusText(http.StatusNotFound)
	p.write(w)
}

// schemaName names a type in the description of the API; two of our nouns have
// the same Go name.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[wire.Status]() {
		return "StatusPage"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// operation registers a route whose input and output the framework checks and
// describes.
func operation[I, O any](to *router, r route, handler func(context.Context, *I) (*O, error)) {
	s := to.server
	op := describe(r)
	op.MaxBodyBytes = r.bodyLimit()
	op.Responses = map[string]*huma.Response{"default": problemResponse(to.types())}
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		err := authorize(r.access, callerOf(ctx.Context()), cluster.NodeID(ctx.Param("id")), s.roster())
		if err == nil {
			next(ctx)
			return
		}
		_, w := humago.Unwrap(ctx)
		writeProblem(w, err)
	}}
	to.listed = append(to.listed, r)
	huma.Register(to.api, op, handler)
}

func (to *router) types() huma.Registry { return to.api.OpenAPI().Components.Schemas }

// stream registers a route that the framework cannot serve, an endless answer
// or a hot path, and describes it.
func (to *router) stream(r route, s shape, handler http.HandlerFunc) {
	op := describeShape(to.types(), r, s)
	to.api.OpenAPI().AddOperation(&op)
	to.listed = append(to.listed, r)
	to.mux.HandleFunc(r.pattern(), func(w http.ResponseWriter, req *http.Request) {
		if err := authorize(r.access, callerOf(req.Context()), cluster.NodeID(req.PathValue("id")), to.server.roster()); err != nil {
			writeProblem(w, err)
			return
		}
		handler(w, req)
	})
}

// part registers a way of parting this node from its cluster.
func (to *router) part(r route, do func(context.Context) error) {
	to.stream(r, shape{}.noted("Only on the unix socket."), func(w http.ResponseWriter, req *http.Request) { servePart(w, req, do) })
}

func servePart(w http.ResponseWriter, r *http.Request, do func(context.Context) error) {
	if err := do(r.Context()); err != nil {
		writeProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
