package api

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/keyspace"
)

// keyTTLMax is the longest time that a key can be given.
const keyTTLMax = 10 * 365 * 24 * time.Hour

type keysInput struct {
	Key      string `query:"key" doc:"the key"`
	Prefix   bool   `query:"prefix" doc:"all that begin with the key"`
	KeysOnly bool   `query:"keysOnly" doc:"without the values"`
	Limit    int64  `query:"limit" minimum:"0" doc:"not more than so many; 0 is all"`
}

// spanOf is what a key, or what begins with it, means in the space.
func spanOf(key string, prefix bool) (keyspace.Span, error) {
	if key == "" && !prefix {
		return keyspace.Span{}, cluster.Errorf(cluster.Invalid, "a key is needed").WithHint("with prefix=true an empty one stands for all")
	}
	if prefix {
		return keyspace.Prefix(keyspace.Keys + key), nil
	}
	return keyspace.One(keyspace.Keys + key), nil
}

// enterKeys lets a call of the API into the key space.
func (s *Server) enterKeys(ctx context.Context, stream bool) (leave func(), err error) {
	if s.Keys == nil {
		return nil, noKeySpace()
	}
	return s.Keys.Enter(ctx, callerOf(ctx).String(), stream)
}

func (s *Server) readKeys(ctx context.Context, in *keysInput) (*body[wire.Keys], error) {
	span, err := spanOf(in.Key, in.Prefix)
	if err != nil {
		return nil, problemOf(err)
	}
	leave, err := s.enterKeys(ctx, false)
	if err != nil {
		return nil, problemOf(err)
	}
	defer leave()
	answers, rev, err := s.Keys.Read(ctx, keyspace.Query{Span: span, Limit: in.Limit, KeysOnly: in.KeysOnly})
	if err != nil {
		return nil, problemOf(err)
	}
	list := wire.Keys{Revision: rev, Count: answers[0].Count, Items: []wire.KeyItem{}}
	for _, item := range answers[0].Items {
		list.Items = append(list.Items, keyItem(item))
	}
	if !in.Prefix && len(list.Items) == 1 && list.Items[0].Lease != 0 {
		if state, err := s.Keys.Lease(ctx, answers[0].Items[0].Lease); err == nil {
			list.Items[0].TTL = state.Left
		}
	}
	return &body[wire.Keys]{list}, nil
}

func keyItem(item keyspace.Item) wire.KeyItem {
	return wire.KeyItem{
		Key: wire.BytesOf(item.Key[len(keyspace.Keys):]), Value: wire.BytesOf(string(item.Value)),
		Created: item.Created, Changed: item.Changed, Version: item.Version, Lease: int64(item.Lease),
	}
}

func (s *Server) writeKeys(ctx context.Context, in *body[wire.KeyWrite]) (*body[wire.KeyAnswer], error) {
	w := in.Body
	span, err := spanOf(w.Key.String(), w.Prefix)
	switch {
	case err != nil:
	case w.Prefix && (!w.Delete || w.If != nil):
		err = cluster.Errorf(cluster.Invalid, "what begins with a key can only be removed, and on no condition")
	case w.TTL < 0 || w.TTL > keyTTLMax || w.TTL%time.Second != 0:
		err = cluster.Errorf(cluster.Invalid, "a key lasts for whole seconds, and %s at most", keyTTLMax)
	}
	if err != nil {
		return nil, problemOf(err)
	}
	leave, err := s.enterKeys(ctx, false)
	if err != nil {
		return nil, problemOf(err)
	}
	defer leave()
	answer, err := s.writeKey(ctx, w, span)
	if err != nil {
		return nil, problemOf(err)
	}
	return &body[wire.KeyAnswer]{answer}, nil
}

// writeKey carries a write out.
func (s *Server) writeKey(ctx context.Context, w wire.KeyWrite, span keyspace.Span) (answer wire.KeyAnswer, err error) {
	before, _, err := s.Keys.Read(ctx, keyspace.Query{Span: span, Limit: 1})
	if err != nil {
		return answer, err
	}
	op := keyspace.Op{Span: span, Value: []byte(w.Value.String()), Delete: w.Delete}
	if w.TTL > 0 && !w.Delete {
		if op.Lease, err = s.Keys.Grant(ctx, keyspace.NewLease(rand.Uint32()), w.TTL); err != nil {
			return answer, err
		}
	}
	rev, ok, err := s.Keys.Commit(ctx, keyspace.Txn{If: conditions(w.If, span), Then: []keyspace.Op{op}})
	if err == nil && !ok {
		err = notAsDemanded(before[0].Items)
	}
	if err != nil {
		keyspace.End(ctx, s.Keys, op.Lease)
		return answer, err
	}
	if answer.Revision = rev; w.Delete {
		answer.Removed = before[0].Count
	}
	for _, item := range before[0].Items {
		keyspace.End(ctx, s.Keys, item.Lease)
	}
	return answer, nil
}

func conditions(c *wire.KeyCondition, span keyspace.Span) (list []keyspace.Cond) {
	if c == nil {
		return nil
	}
	if c.Absent {
		list = append(list, keyspace.Cond{Span: span, Test: keyspace.Absent})
	}
	if c.Value != nil {
		list = append(list, keyspace.Cond{Span: span, Test: keyspace.ValueIs, Value: []byte(c.Value.String())})
	}
	if c.Changed != 0 {
		list = append(list, keyspace.Cond{Span: span, Test: keyspace.ChangedAt, Revision: c.Changed})
	}
	return list
}

// notAsDemanded says how a key is that was to be otherwise.
func notAsDemanded(items []keyspace.Item) error {
	if len(items) == 0 {
		return cluster.Errorf(cluster.Conflict, "nothing was written: there is no such key")
	}
	item := items[0]
	return cluster.Errorf(cluster.Conflict, "nothing was written: the key was last changed at revision %d, and holds %.80q", item.Changed, item.Value)
}

// keyEvents is the shape of the stream of what changes.
func keyEvents() shape {
	return linesOf[wire.KeyEvents](
		param("key", huma.TypeString, "the key"), param("prefix", huma.TypeBoolean, "all that begin with the key"), afterParam())
}

// watchKeys streams what changes. Its first message says from which revision on.
func (s *Server) watchKeys(w http.ResponseWriter, r *http.Request) {
	span, after, err := parseKeysWatch(r.URL.Query())
	if err != nil {
		writeProblem(w, err)
		return
	}
	leave, err := s.enterKeys(r.Context(), true)
	if err != nil {
		writeProblem(w, err)
		return
	}
	defer leave()
	ctx, stop := s.whileAllowed(r.Context())
	defer stop()
	out, begun := newStreamWriter(w), false
	err = s.Keys.Watch(ctx, span, after, func(batch keyspace.Batch) error {
		begun = true
		message := wire.KeyEvents{Revision: batch.Revision}
		for _, e := range batch.Events {
			message.Events = append(message.Events, wire.KeyEvent{KeyItem: keyItem(e.Item), Deleted: e.Deleted})
		}
		return out.send(message)
	})
	if errors.Is(err, keyspace.ErrCompacted) {
		err = cluster.Errorf(cluster.NotFound, "what happened after revision %d is not kept any more", after).WithHint("read the keys, and go on from the revision of the answer")
	}
	if !begun {
		writeProblem(w, err)
	}
}

func parseKeysWatch(values url.Values) (span keyspace.Span, after cluster.Revision, err error) {
	prefix, err := parseYes(values, "prefix")
	if err == nil {
		span, err = spanOf(values.Get("key"), prefix)
	}
	if err == nil {
		after, err = parseAfter(values.Get("after"))
	}
	return span, after, err
}
