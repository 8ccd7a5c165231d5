package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
	"argosy/internal/pki"
)

// TerminalHost starts processes on this node; terminal.Host does.
type TerminalHost interface {
	Start(want wire.Terminal) (channel.Process, error)
}

// terminalsMax is how many terminals may be open on a node.
const terminalsMax = 64

// openMax is how long a caller may take to say what is to run.
const openMax = 5 * time.Second

// Terminals are the terminals that are open on this node, whatever its role is.
type Terminals struct {
	node cluster.NodeID
	host TerminalHost
	log  *slog.Logger
	open atomic.Int64
}

// NewTerminals makes a node ready for terminals. Each is logged with who opened
// it, what ran, and how that ended.
func NewTerminals(node cluster.NodeID, host TerminalHost, log *slog.Logger) *Terminals {
	return &Terminals{node: node, host: host, log: log}
}

// serve opens a terminal on this node for a caller that has been authorized, and
// carries it until it ends or still returns an error: an identity may be taken
// away while it is in use.
func (t *Terminals) serve(w http.ResponseWriter, r *http.Request, by string, still func() error) {
	if t == nil {
		writeProblem(w, cluster.Errorf(cluster.Unavailable, "this node opens no terminals"))
		return
	}
	log := t.log.With("by", by)
	conn, control := channel.NewConn(r.Body, w, nil), http.NewResponseController(w)
	p, want, err := t.start(r, conn, control)
	if err != nil {
		log.Warn("terminal refused", "err", err)
		writeProblem(w, err)
		return
	}
	defer t.open.Add(-1)
	began := time.Now()
	log = log.With("command", want.Command, "tty", want.TTY)
	log.Info("terminal opened")
	w.Header().Set("Content-Type", mediaBytes)
	w.WriteHeader(http.StatusOK)
	conn = channel.NewConn(r.Body, w, control.Flush)
	_ = control.Flush() // the caller may be gone, which Serve sees
	code, err := channel.Serve(r.Context(), conn, p, still, func() { _ = control.SetWriteDeadline(time.Now().Add(time.Second)) })
	if err != nil {
		log.Info("terminal ended", "after", time.Since(began).Round(time.Millisecond), "err", err)
		return
	}
	log.Info("terminal ended", "after", time.Since(began).Round(time.Millisecond), "exit", code)
}

// start starts what a caller asks for. It takes a place among the open terminals
// unless it fails.
func (t *Terminals) start(r *http.Request, conn *channel.Conn, control *http.ResponseController) (p channel.Process, want wire.Terminal, err error) {
	if id := cluster.NodeID(r.PathValue("id")); id != t.node {
		return nil, want, cluster.Errorf(cluster.Conflict, "this is node %s, not %s", t.node, id).WithHint("does another machine have its address now?")
	}
	if r.ProtoMajor < 2 {
		return nil, want, cluster.Errorf(cluster.Invalid, "a terminal needs HTTP/2")
	}
	_ = control.SetReadDeadline(time.Now().Add(openMax)) // best effort: not every transport has one
	if err := conn.ReceiveOpen(&want); err != nil {
		return nil, want, err
	}
	_ = control.SetReadDeadline(time.Time{})
	if t.open.Add(1) > terminalsMax {
		t.open.Add(-1)
		return nil, want, cluster.Errorf(cluster.Unavailable, "%d terminals are open on this node, which is the limit", terminalsMax).
			WithHint("close one of them")
	}
	if p, err = t.host.Start(want); err != nil {
		t.open.Add(-1)
	}
	return p, want, err
}

// openTerminal opens a terminal on any node, for an operator.
func (s *Server) openTerminal(w http.ResponseWriter, r *http.Request) {
	if err := mayOpen(r.Context()); err != nil {
		writeProblem(w, err)
		return
	}
	id, by := cluster.NodeID(r.PathValue("id")), s.who(r.Context())
	if id == s.Self {
		s.Terminals.serve(w, r, by, func() error { return nil })
		return
	}
	state, err := s.state()
	if err != nil {
		writeProblem(w, err)
		return
	}
	n, ok := findNode(state, id)
	if !ok {
		writeProblem(w, noNode(id))
		return
	}
	peer := s.Peer(netip.AddrPortFrom(n.Report.Address, wire.PortAPI))
	defer peer.Close()
	if err := peer.Pass(w, r, wire.PathOwnTerminal, url.Values{"by": {by}}, string(id)); err != nil {
		writeProblem(w, cluster.Errorf(cluster.KindOf(err), "node %s: %w", n.Node.Name, err).WithHint(cluster.HintOf(err)))
	}
}

// mayOpen refuses whoever may use this node's socket without being root.
func mayOpen(ctx context.Context) error {
	if callerOf(ctx).Kind == pki.Local {
		return onlyRoot(ctx)
	}
	return nil
}

// who names the caller of this server to the node that logs it.
func (s *Server) who(ctx context.Context) string {
	caller := callerOf(ctx)
	if state := s.Mirror.State(); state != nil {
		return caller.String() + " through " + s.views(state).name(s.Self)
	}
	return caller.String() + " through " + s.Self.Short()
}

// byMax bounds what a server says of who calls through it.
const byMax = 200

// ownTerminal opens a terminal on this node, for a server.
func (s *Server) ownTerminal(w http.ResponseWriter, r *http.Request) {
	serveOwnTerminal(w, r, s.Terminals, s.roster)
}

// serveOwnTerminal serves a terminal for as long as the caller may have it.
func serveOwnTerminal(w http.ResponseWriter, r *http.Request, terminals *Terminals, known func() roster) {
	if err := mayOpen(r.Context()); err != nil {
		writeProblem(w, err)
		return
	}
	caller := callerOf(r.Context())
	by := caller.String()
	if through := r.URL.Query().Get("by"); through != "" {
		by = through[:min(len(through), byMax)] + ", says " + by
	}
	terminals.serve(w, r, by, func() error { return authorize(servers, caller, cluster.NodeID(r.PathValue("id")), known()) })
}
