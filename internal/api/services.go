package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// cursorMax is the longest cursor that a reader may go on after, in bytes.
const cursorMax = 100

// servicesQuery is what a request for the catalog asks for.
type servicesQuery struct {
	after  string
	follow bool
	fresh  bool // rather an error than what is old
}

func parseServicesQuery(values url.Values) (q servicesQuery, err error) {
	if q.after = values.Get("after"); len(q.after) > cursorMax {
		return q, cluster.Errorf(cluster.Invalid, "after=%.40s… is no cursor", q.after)
	}
	if q.follow, err = parseYes(values, "follow"); err != nil {
		return q, err
	}
	q.fresh, err = parseYes(values, "fresh")
	return q, err
}

// teller is who knows the catalog: a server, or a node that was told of it.
type teller interface {
	// look brings the feed up to what is known now; for who follows, if nobody looked
	// just before.
	look(follows bool) error
	// wait returns when there may be news for who has read up to an edition, or after
	// streamAlive.
	wait(ctx context.Context, number int64, pace *loop.Pace) error
	// age is how long ago what is known was last known to be true, and quorum reports
	// whether it can change at all now.
	age() time.Duration
	quorum(ctx context.Context) bool
	// cutOff returns an error while others may know better.
	cutOff() error
}

// services tells what services there are, and then, if that is asked for, what
// changes.
func (s *Server) services(w http.ResponseWriter, r *http.Request) {
	if _, err := s.state(); err != nil {
		writeProblem(w, err)
		return
	}
	serveServices(w, r, s.announcer, s.announcer.feed)
}

func serveServices(w http.ResponseWriter, r *http.Request, t teller, f *feed) {
	q, err := parseServicesQuery(r.URL.Query())
	if err == nil && q.fresh {
		err = t.cutOff()
	}
	if err == nil {
		err = t.look(q.follow)
	}
	switch {
	case err != nil:
		writeProblem(w, err)
	case q.follow:
		followServices(w, r, q, t, f)
	default:
		message := aged(f.message(), t)
		if !message.Stale && !t.quorum(r.Context()) {
			message.Stale, message.Age = true, t.age().Seconds()
		}
		_ = newStreamWriter(w).send(message) // who has gone does not read it
	}
}

// followServices streams the catalog until the reader goes or, if it must be fresh,
// until others may know better.
func followServices(w http.ResponseWriter, r *http.Request, q servicesQuery, t teller, f *feed) {
	out := newStreamWriter(w)
	pace := &loop.Pace{Every: streamPace}
	position, sent, wasStale := f.position(q.after), time.Now(), false
	for {
		// What is old is said to be old before it is told.
		if m := aged(f.alive(position), t); m.Stale != wasStale || time.Since(sent) >= streamAlive {
			if out.send(m) != nil {
				return
			}
			sent, wasStale = time.Now(), m.Stale
		}
		messages, newest, err := f.news(position)
		if err != nil {
			return
		}
		position = newest
		for _, m := range messages {
			if out.pass(m) != nil {
				return
			}
			sent = time.Now()
		}
		if t.wait(r.Context(), position, pace) != nil || q.fresh && t.cutOff() != nil || t.look(true) != nil {
			return
		}
	}
}

// aged says in a message how old it is, if it is.
func aged(m wire.Services, t teller) wire.Services {
	if age := t.age(); age > staleAfter {
		m.Stale, m.Age = true, age.Seconds()
	}
	return m
}
