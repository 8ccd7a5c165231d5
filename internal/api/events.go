package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/events"
)

// eventQuery reads the parameters of a request for events. since is a duration
// back from now, so that the clock of whoever asks does not matter.
func eventQuery(values url.Values, now time.Time) (f events.Filter, follow bool, err error) {
	f = events.Filter{Units: values["unit"], Nodes: values["node"], Names: values["name"]}
	if f.After, err = parseAfter(values.Get("after")); err != nil {
		return f, false, err
	}
	if text := values.Get("since"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return f, false, cluster.Errorf(cluster.Invalid, "since=%.40s: use a duration such as 90m", text)
		}
		f.Since = now.Add(-d)
	}
	follow, err = parseYes(values, "follow")
	return f, follow, err
}

// parseYes reads a parameter that is true or false; without it, it is false.
func parseYes(values url.Values, name string) (bool, error) {
	text := values.Get(name)
	if text == "" {
		return false, nil
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		return false, cluster.Errorf(cluster.Invalid, "%s=%.40s: use true or false", name, text)
	}
	return yes, nil
}

// events streams what this server saw: what it has kept, and then, if that is
// asked for, what happens. A reader that has messages up to a revision goes on
// after it.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	filter, follow, err := s.eventsWanted(r.URL.Query())
	if err != nil {
		writeProblem(w, err)
		return
	}
	out := newStreamWriter(w)
	sent := time.Now()
	for position := int64(0); ; {
		batch := s.Events.Read(position)
		position = batch.Next
		told, err := tell(out, filter, batch.Events)
		if err != nil {
			return
		}
		if told {
			sent = time.Now()
		}
		if len(batch.Events) > 0 {
			continue // only after the last of them is all of a revision told
		}
		over := !follow || batch.Closed
		if over || time.Since(sent) >= streamAlive {
			if out.send(wire.EventMessage{Revision: batch.Revision}) != nil {
				return
			}
			sent = time.Now()
		}
		if over || !await(r.Context(), batch.More) {
			return
		}
	}
}

// eventsWanted reads a request, and refuses one that can have no answer.
func (s *Server) eventsWanted(values url.Values) (filter events.Filter, follow bool, err error) {
	if filter, follow, err = eventQuery(values, time.Now()); err != nil {
		return filter, follow, err
	}
	if err := s.checkSubjects(filter); err != nil {
		return filter, follow, err
	}
	if follow && s.Events.Read(0).Closed {
		return filter, follow, cluster.Errorf(cluster.Unavailable, "this server is stopping, and sees nothing any more").WithHint("try again in a moment")
	}
	return filter, follow, nil
}

// tell sends those of some events that are wanted, and reports whether any was.
func tell(out streamWriter, filter events.Filter, all []cluster.Event) (told bool, err error) {
	for i := range all {
		if e := all[i]; filter.Wants(e) {
			if err := out.send(wire.EventMessage{Event: &e, Revision: e.Revision - 1}); err != nil {
				return told, err
			}
			told = true
		}
	}
	return told, nil
}

// await returns when there is more, or after streamAlive; false if the reader
// has gone.
func await(ctx context.Context, more <-chan struct{}) bool {
	quiet, cancel := context.WithTimeout(ctx, streamAlive)
	defer cancel()
	select {
	case <-more:
	case <-quiet.Done():
	}
	return ctx.Err() == nil
}

// checkSubjects refuses a name that means nothing in the cluster, nor in any
// event: whoever has misspelt it would wait for ever. What was destroyed or
// removed is known as long as an event tells of it.
// Who goes on with a stream has been told before, perhaps by a server that
// remembers more.
func (s *Server) checkSubjects(f events.Filter) error {
	if f.After > 0 {
		return nil
	}
	state, err := s.state()
	if err != nil {
		return err
	}
	for _, list := range []struct {
		names []string
		units bool
		nodes bool
		what  string
	}{{f.Units, true, false, "unit"}, {f.Nodes, false, true, "node"}, {f.Names, true, true, "unit and no node"}} {
		for _, name := range list.names {
			if list.units && hasUnit(state, name) || list.nodes && hasNode(state, name) {
				continue
			}
			one := events.Filter{}
			switch {
			case list.units && list.nodes:
				one.Names = []string{name}
			case list.units:
				one.Units = []string{name}
			default:
				one.Nodes = []string{name}
			}
			if !s.hasEvent(one) {
				return cluster.Errorf(cluster.NotFound, "there is no %s %.80q, and no event tells of one", list.what, name).
					WithHint("argosy list-units and argosy node ls show which there are; units may be globs, in quotes: 'web@*'")
			}
		}
	}
	return nil
}

func hasUnit(state *cluster.State, name string) bool {
	return slices.ContainsFunc(state.Units, func(u cluster.Unit) bool { return events.MeansUnit(name, u.Name) })
}

func hasNode(state *cluster.State, name string) bool {
	return slices.ContainsFunc(state.Nodes, func(n cluster.NodeState) bool { return events.MeansNode(name, n.Node.ID, n.Node.Name) })
}

func (s *Server) hasEvent(f events.Filter) bool {
	for position := int64(0); ; {
		batch := s.Events.Read(position)
		if len(batch.Events) == 0 {
			return false
		}
		if slices.ContainsFunc(batch.Events, f.Wants) {
			return true
		}
		position = batch.Next
	}
}
