package api

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"

	"argosy/internal/api/client"
	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/systemd"
)

// journalLinesMax bounds how much of the past one request gets.
const journalLinesMax = 10_000

// journalQuery reads the parameters of a journal request.
func journalQuery(r *http.Request) (client.JournalQuery, error) {
	q := client.JournalQuery{
		Unit: cluster.UnitName(r.PathValue("name")), Node: cluster.NodeID(r.URL.Query().Get("node")), Lines: cluster.LogLinesMax,
	}
	if text := r.URL.Query().Get("lines"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > journalLinesMax {
			return q, cluster.Errorf(cluster.Invalid, "lines=%.40s: use 0 to %d", text, journalLinesMax)
		}
		q.Lines = n
	}
	var err error
	if q.Follow, err = parseYes(r.URL.Query(), "follow"); err != nil {
		return q, err
	}
	q.Form = r.URL.Query().Get("output")
	if err := systemd.CheckJournalForm(q.Form); err != nil {
		return q, err
	}
	return q, cluster.CheckUnitName(q.Unit)
}

// unitJournal streams a unit's log from the node that it is on.
func (s *Server) unitJournal(w http.ResponseWriter, r *http.Request) {
	q, err := journalQuery(r)
	if err == nil {
		q.Node, err = s.journalNode(q)
	}
	if err != nil {
		writeProblem(w, err)
		return
	}
	if q.Node == s.Self {
		streamJournal(w, r, s.Journal, q)
		return
	}
	state, err := s.state()
	if err != nil {
		writeProblem(w, err)
		return
	}
	n, ok := findNode(state, q.Node)
	if !ok {
		writeProblem(w, noNode(q.Node))
		return
	}
	peer := s.Peer(netip.AddrPortFrom(n.Report.Address, wire.PortAPI))
	defer peer.Close()
	out := newStreamWriter(w)
	endJournal(out, peer.NodeJournal(r.Context(), q, func(m wire.LogLine) error { return out.send(m) }))
}

// journalNode finds the node whose journal is meant: the one asked for, or the
// one that the unit is on or was last seen on.
func (s *Server) journalNode(q client.JournalQuery) (cluster.NodeID, error) {
	if q.Node != "" {
		return q.Node, nil
	}
	state, err := s.state()
	if err != nil {
		return "", err
	}
	if _, ok := findUnit(state, q.Unit); !ok {
		return "", noUnit(q.Unit)
	}
	if p, ok := findPlacement(state, q.Unit); ok && len(p.Nodes) > 1 {
		return "", cluster.Errorf(cluster.Invalid, "%s runs on %d nodes", q.Unit, len(p.Nodes)).WithHint("name one with --node")
	} else if ok && len(p.Nodes) == 1 {
		return p.Nodes[0], nil
	}
	if seen := statusesOf(state, q.Unit); len(seen) > 0 {
		return seen[0].Node, nil
	}
	return "", cluster.Errorf(cluster.NotFound, "%s is on no node, so it has no journal", q.Unit).WithHint("argosy status " + string(q.Unit))
}

// nodeJournal streams a unit's log from this node's own journal.
func (s *Server) nodeJournal(w http.ResponseWriter, r *http.Request) {
	serveOwnJournal(w, r, s.Journal)
}

func serveOwnJournal(w http.ResponseWriter, r *http.Request, journal systemd.Journal) {
	q, err := journalQuery(r)
	if err != nil {
		writeProblem(w, err)
		return
	}
	streamJournal(w, r, journal, q)
}

func streamJournal(w http.ResponseWriter, r *http.Request, journal systemd.Journal, q client.JournalQuery) {
	out := newStreamWriter(w)
	// The journal is read by a goroutine of its own; this one sends, lines and
	// signs of life.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- journal.Follow(ctx, q.Unit, systemd.JournalView{Lines: q.Lines, Follow: q.Follow, Form: q.Form}, func(line string) error {
			select {
			case lines <- line:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		close(lines)
	}()
	alive := make(chan struct{}, 1)
	quiet := loop.NewDeadline(streamAlive, func() { alive <- struct{}{} })
	defer quiet.Stop()
	for {
		message := wire.LogLine{Alive: true}
		select {
		case line, ok := <-lines:
			if !ok {
				endJournal(out, <-done)
				return
			}
			message = wire.LogLine{Line: line}
			if q.Form == systemd.JournalExport {
				message = wire.LogLine{Bytes: []byte(line)}
			}
		case <-alive:
		}
		quiet.Extend()
		if out.send(message) != nil {
			return
		}
	}
}

// endJournal says in the stream why it ended, if not by itself.
func endJournal(out streamWriter, err error) {
	if err == nil {
		return
	}
	p := newProblem(err).Problem
	_ = out.send(wire.LogLine{Error: &p}) // the reader may be gone
}
