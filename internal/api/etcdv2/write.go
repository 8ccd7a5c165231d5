package etcdv2

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
	"argosy/internal/v2keys"
)

// Bounds of what a request asks of the space.
const (
	leasesAtOnce = 16
	attemptsMax  = 50 // of a write whose key others write at the same time
)

// view reads what a request asks for.
func (h handler) view(ctx context.Context, r v2keys.Request) (v2keys.View, error) {
	answers, rev, err := h.Space.Read(ctx, r.Queries()...)
	if err != nil {
		return v2keys.View{}, err
	}
	view := r.NewView(answers, rev, h.Now())
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(leasesAtOnce)
	for _, id := range view.Under() {
		group.Go(func() error {
			state, err := h.Space.Lease(ctx, id)
			if cluster.KindOf(err) == cluster.NotFound {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			view.Leases[id] = state
			return err
		})
	}
	return view, group.Wait()
}

// write carries out a request that writes, as often as others come in between.
func (h handler) write(ctx context.Context, r v2keys.Request) (v2keys.Answer, cluster.Revision, error) {
	var lease, granted keyspace.Lease
	if r.TTL != nil {
		lease = keyspace.NewLease(h.Random())
	}
	defer func() {
		if granted != 0 { // and nothing was written under it
			_ = h.Space.Revoke(ctx, granted) // or it ends by itself
		}
	}()
	for range attemptsMax {
		view, err := h.view(ctx, r)
		if err != nil {
			return v2keys.Answer{}, 0, err
		}
		plan, wrong := view.Plan(r, lease)
		if wrong != nil {
			return v2keys.Answer{}, view.Revision, wrong
		}
		if plan.Renew != 0 {
			if err := h.Space.Renew(ctx, plan.Renew); err == nil {
				return plan.Answer(view.Revision, keyspace.LeaseState{Left: *r.TTL}), view.Revision, nil
			}
			continue // it ended just now
		}
		if lease != 0 && granted == 0 {
			if granted, err = h.Space.Grant(ctx, lease, max(*r.TTL, time.Second)); err != nil {
				return v2keys.Answer{}, view.Revision, err
			}
		}
		rev, ok, err := h.Space.Commit(ctx, plan.Txn)
		if err != nil {
			if cluster.KindOf(err) == cluster.Unknown {
				granted = 0 // may be in use
			}
			return v2keys.Answer{}, view.Revision, err
		}
		if ok {
			granted = 0
			keyspace.End(ctx, h.Space, plan.Ends...)
			return plan.Answer(rev, h.lasting(r, view, plan)), rev, nil
		}
	}
	return v2keys.Answer{}, 0, cluster.Errorf(cluster.Unavailable, "others write %.200s all the time", r.Key)
}

// lasting is how long what was written lasts.
func (h handler) lasting(r v2keys.Request, view v2keys.View, plan v2keys.Plan) keyspace.LeaseState {
	if r.TTL != nil && plan.Lease() != 0 {
		return keyspace.LeaseState{Left: max(*r.TTL, time.Second)}
	}
	return view.Leases[plan.Lease()]
}

// errTold ends a watch that has told what was waited for.
var errTold = errors.New("told")

// wait answers when something happens, and with stream=true whenever.
func (h handler) wait(w http.ResponseWriter, r *http.Request, request v2keys.Request) {
	begun := false
	gone := func(id keyspace.Lease) bool {
		_, err := h.Space.Lease(r.Context(), id)
		return cluster.KindOf(err) == cluster.NotFound
	}
	encoder, control := json.NewEncoder(w), http.NewResponseController(w)
	err := h.Space.Watch(r.Context(), request.Watched(), request.After(), func(batch keyspace.Batch) error {
		if !begun {
			begun = true
			h.head(w, batch.Revision)
			w.WriteHeader(http.StatusOK)
			_ = control.Flush() // clients give the headers a second
		}
		for _, answer := range request.Told(batch, gone) {
			if err := encoder.Encode(answer); err != nil {
				return err
			}
			if !request.Stream {
				return errTold
			}
			_ = control.Flush()
		}
		return nil
	})
	if !begun {
		h.refuse(w, asV2(err, 0))
	}
}
