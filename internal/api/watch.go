package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
	"argosy/internal/mirror"
)

// Pacing of streams: changes that come together go out together, and a stream
// without changes shows that it lives.
const (
	streamPace  = 30 * time.Millisecond
	streamAlive = 5 * time.Second
	// writeSlack is how long a reader may take for one message before it is
	// cut off: a slow one must not hold a server's memory.
	writeSlack = 20 * time.Second
)

// streamWriter sends newline-delimited JSON.
type streamWriter struct {
	out     io.Writer
	encoder *json.Encoder
	control *http.ResponseController
}

func newStreamWriter(w http.ResponseWriter) streamWriter {
	w.Header().Set("Content-Type", mediaLines)
	return streamWriter{w, json.NewEncoder(w), http.NewResponseController(w)}
}

func (s streamWriter) send(message any) error {
	return s.write(func() error { return s.encoder.Encode(message) })
}

// pass sends a message that is encoded, line end included.
func (s streamWriter) pass(line []byte) error {
	return s.write(func() error {
		_, err := s.out.Write(line)
		return err
	})
}

func (s streamWriter) write(message func() error) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeSlack)) // best effort: not every transport has one
	if err := message(); err != nil {
		return err
	}
	return s.control.Flush()
}

// next waits for a snapshot later than after, gathering what comes together.
// Without one for streamAlive it returns nil. It is an error once this server
// is none any more: its streams must end, or their readers would never see
// another change.
func (s *Server) next(ctx context.Context, after cluster.Revision, pace *loop.Pace) (*cluster.State, error) {
	quiet, cancel := context.WithTimeout(ctx, streamAlive)
	defer cancel()
	if err := s.Mirror.Past(quiet, after); errors.Is(err, mirror.ErrEnded) {
		return nil, err
	} else if err != nil {
		return nil, ctx.Err()
	}
	if err := pace.Wait(ctx); err != nil {
		return nil, err
	}
	return s.Mirror.State(), nil
}

// watch streams the whole state and then what changes, as users see it. A watch
// cannot be resumed: the whole is one message, and there is no history here to
// tell what is gone.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	if _, err := s.state(); err != nil {
		writeProblem(w, err)
		return
	}
	out := newStreamWriter(w)
	shown := s.picture(nil)
	rev := shown.views.state.Revision
	if err := out.send(wire.Change{Revision: rev, Full: true, Units: shown.units, Nodes: shown.nodes}); err != nil {
		return
	}
	pace := &loop.Pace{Every: streamPace}
	sent := time.Now()
	for {
		state, err := s.next(r.Context(), rev, pace)
		if err != nil {
			return
		}
		change := wire.Change{Revision: rev}
		if state != nil {
			rev = state.Revision
			change.Revision = rev
		}
		// Without a new snapshot the health of nodes may still have changed.
		before := shown
		shown = s.picture(before)
		change.Units, change.GoneUnits = diff(before.units, shown.units, func(u *wire.UnitView) cluster.UnitName { return u.Name }, sameView)
		change.Nodes, change.GoneNodes = diff(before.nodes, shown.nodes, func(n *wire.NodeView) cluster.NodeID { return n.ID }, sameNode)
		if len(change.Units)+len(change.GoneUnits)+len(change.Nodes)+len(change.GoneNodes) == 0 && time.Since(sent) < streamAlive {
			continue // a renewal of a session, for example: they never cease, so it is no silence either
		}
		if err := out.send(change); err != nil {
			return
		}
		sent = time.Now()
	}
}

// diff returns what is new or different in a sorted list, and what is gone.
func diff[T any, K interface{ ~string }](before, after []T, key func(*T) K, same func(a, b *T) bool) (changed []T, gone []K) {
	if shared(before, after) {
		return nil, nil
	}
	i := 0
	for at := range after {
		item := &after[at]
		for i < len(before) && key(&before[i]) < key(item) {
			gone = append(gone, key(&before[i]))
			i++
		}
		if i < len(before) && key(&before[i]) == key(item) {
			if !same(&before[i], item) {
				changed = append(changed, *item)
			}
			i++
			continue
		}
		changed = append(changed, *item)
	}
	for ; i < len(before); i++ {
		gone = append(gone, key(&before[i]))
	}
	return changed, gone
}

// sameView reports whether two views of a unit say the same. Those that a picture
// kept from the one before do: they share all that is behind a pointer.
func sameView(a, b *wire.UnitView) bool {
	if a.Equal(b.Unit) && a.Placement == b.Placement && shared(a.Statuses, b.Statuses) {
		return a.Global == b.Global && a.State == b.State && a.Problem == b.Problem
	}
	return reflect.DeepEqual(a, b)
}

func sameNode(a, b *wire.NodeView) bool { return reflect.DeepEqual(a, b) }
