package cli

import (
	"context"
	"errors"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// watchRetry is the least time between two attempts to watch.
const watchRetry = 500 * time.Millisecond

// errEnough ends a watch from inside.
var errEnough = errors.New("enough")

// watch calls each for every message of the cluster's watch, as keepOn does.
func (a *app) watch(ctx context.Context, b Backend, each func(wire.Change) error) error {
	return keepOn(ctx, a, b.Watch, each)
}

// keepOn calls each for every message of a stream, until each returns an error
// (errEnough: nil is returned) or ctx ends (nil too: the user has seen enough). A
// stream that was lost is begun anew; the first attempt must succeed.
func keepOn[M any](ctx context.Context, a *app, stream func(context.Context, func(M) error) error, each func(M) error) error {
	pace := loop.Pace{Every: watchRetry}
	begun, lost := false, false
	var own error // what each returned; it is no failure of the connection
	for {
		if pace.Wait(ctx) != nil {
			return nil
		}
		err := stream(ctx, func(message M) error {
			begun, lost = true, false
			own = each(message)
			return own
		})
		switch {
		case errors.Is(own, errEnough) || ctx.Err() != nil:
			return nil
		case own != nil:
			return own
		case err == nil:
			err = cluster.Errorf(cluster.Unavailable, "the server ended the watch")
		}
		if !begun || !retryable(err) {
			return err
		}
		if !lost {
			a.notef("lost the connection (%s); trying again", err)
		}
		lost = true
	}
}

// retryable reports whether another server, or the same a little later, may
// answer better.
func retryable(err error) bool {
	switch cluster.KindOf(err) {
	case cluster.Unavailable, cluster.Internal, cluster.Unknown:
		return true
	case cluster.Invalid, cluster.NotFound, cluster.Exists, cluster.Conflict, cluster.Denied:
	}
	return false
}
