package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// body is the input or output of an operation that has only a body.
type body[T any] struct{ Body T }

// route describes one route of the API.
type route struct {
	method, path string
	access       access
	summary      string
}

// routes builds the handler with every route of a server.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Argosy", "1")
	config.OpenAPIPath = strings.TrimSuffix(wire.PathOpenAPI, ".json")
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // answers carry no schema links
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	api := humago.New(mux, config)

	operation(s, api, route{"GET", wire.PathStatus, anyMember, "The cluster on one page"}, s.status)

	operation(s, api, route{"GET", wire.PathUnits, operators, "List units"}, s.listUnits)
	operation(s, api, route{"POST", wire.PathUnits, operators, "Submit units"}, s.submitUnits)
	operation(s, api, route{"GET", wire.PathUnit, operators, "Show a unit with its text"}, s.getUnit)
	operation(s, api, route{"GET", wire.PathExplain, operators, "Explain where a unit is placed, node by node"}, s.explainUnit)
	operation(s, api, route{"POST", wire.PathDesired, operators, "Set the desired state of units"}, s.setDesired)
	operation(s, api, route{"POST", wire.PathRestart, operators, "Restart units"}, s.restartUnits)
	operation(s, api, route{"POST", wire.PathScale, operators, "Make the instances of a template so many"}, s.scaleUnits)
	operation(s, api, route{"POST", wire.PathDestroy, operators, "Destroy units"}, s.destroyUnits)
	s.stream(api, mux, route{"GET", wire.PathJournal, operators, "Read a unit's journal, wherever it is"}, s.unitJournal)
	s.stream(api, mux, route{"GET", wire.PathWatch, operators, "Follow what changes"}, s.watch)
	s.stream(api, mux, route{"GET", wire.PathEvents, operators, "Read what happened, and follow it"}, s.events)

	operation(s, api, route{"GET", wire.PathNodes, operators, "List nodes"}, s.listNodes)
	operation(s, api, route{"GET", wire.PathNode, operators, "Show a node"}, s.getNode)
	operation(s, api, route{"PATCH", wire.PathNode, operators, "Change the labels of a node"}, s.patchNode)
	operation(s, api, route{"DELETE", wire.PathNode, operatorsOrOwn, "Remove a node for good"}, s.removeNode)
	s.stream(api, mux, route{"GET", wire.PathNodeLog, servers, "Read a unit's journal on this node"}, s.nodeJournal)
	s.stream(api, mux, route{"POST", wire.PathTerminal, operators, "Open a terminal on a node"}, s.openTerminal)
	s.stream(api, mux, route{"POST", wire.PathOwnTerminal, servers, "Open a terminal on this node"}, s.ownTerminal)

	operation(s, api, route{"GET", wire.PathTokens, operators, "List join tokens"}, s.listTokens)
	operation(s, api, route{"POST", wire.PathTokens, operators, "Make a join token"}, s.createToken)
	operation(s, api, route{"DELETE", wire.PathToken, operators, "Revoke a join token"}, s.removeToken)
	operation(s, api, route{"POST", wire.PathAdmit, anyone, "Ask to be admitted with a token"}, s.admitNode)

	s.stream(api, mux, route{"POST", wire.PathRenew, ownNode, "Renew a node's session"}, s.renewSession)
	s.stream(api, mux, route{"PUT", wire.PathReport, ownNode, "Report what a node is"}, s.putReport)
	s.stream(api, mux, route{"POST", wire.PathStatuses, ownNode, "Report what a node's systemd shows"}, s.putStatuses)
	s.stream(api, mux, route{"GET", wire.PathSlice, ownNode, "Follow what is placed on a node"}, s.slice)
	operation(s, api, route{"POST", wire.PathCert, anyone, "Renew a node's certificate"}, s.renewCertificate)
	operation(s, api, route{"POST", wire.PathServer, ownServer, "Get what makes a node a server"}, s.serverSecrets)

	s.part(api, mux, route{"POST", wire.PathLeave, onlyLocal, "Take this node out of its cluster"}, s.Leave)
	s.part(api, mux, route{"POST", wire.PathReset, onlyLocal, "Make this node forget its cluster"}, s.Reset)
	refuseForming(mux, func() cluster.ID { return s.Authority.ID() })
	return mux
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
func operation[I, O any](s *Server, api huma.API, r route, handler func(context.Context, *I) (*O, error)) {
	op := describe(r)
	op.MaxBodyBytes = bodyMax
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		err := authorize(r.access, callerOf(ctx.Context()), cluster.NodeID(ctx.Param("id")), s.roster())
		if err == nil {
			next(ctx)
			return
		}
		_, w := humago.Unwrap(ctx)
		writeProblem(w, err)
	}}
	huma.Register(api, op, handler)
}

// stream registers a route that the framework cannot serve, an endless answer
// or a hot path, and describes it.
func (s *Server) stream(api huma.API, mux *http.ServeMux, r route, handler http.HandlerFunc) {
	op := describe(r)
	op.Responses = map[string]*huma.Response{"200": {Description: r.summary + ". JSON, one message a line."}}
	api.OpenAPI().AddOperation(&op)
	mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
		if err := authorize(r.access, callerOf(req.Context()), cluster.NodeID(req.PathValue("id")), s.roster()); err != nil {
			writeProblem(w, err)
			return
		}
		handler(w, req)
	})
}

// part registers a way of parting this node from its cluster.
func (s *Server) part(api huma.API, mux *http.ServeMux, r route, do func(context.Context) error) {
	s.stream(api, mux, r, func(w http.ResponseWriter, req *http.Request) { servePart(w, req, do) })
}

func servePart(w http.ResponseWriter, r *http.Request, do func(context.Context) error) {
	if err := do(r.Context()); err != nil {
		writeProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func describe(r route) huma.Operation {
	id := strings.NewReplacer("/v1/", "", "/", "-", "{", "", "}", "", ":", "-").Replace(r.path)
	op := huma.Operation{
		OperationID: strings.ToLower(r.method) + "-" + id, Method: r.method, Path: r.path, Summary: r.summary,
	}
	return op
}
