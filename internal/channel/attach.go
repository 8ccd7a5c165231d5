package channel

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// Streams are what a user has at the near end of a channel.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Sizes tells how large the terminal is now; nil without one.
	Sizes <-chan wire.TerminalSize
}

// Attach connects streams with the process at the other end, after Open was sent,
// until it has ended, and returns its exit code. A read of In that nothing ends
// is left behind.
func Attach(ctx context.Context, c *Conn, s Streams) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go sendInput(c, s.In)
	go beat(ctx, c, cancel, func() error { return nil })
	go sendSizes(ctx, c, s.Sizes)
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := receiveOutput(c, s, cancel)
		ended <- end{code, err}
	}()
	select {
	case e := <-ended:
		return e.code, e.err
	case <-ctx.Done():
	}
	if err := context.Cause(ctx); !errors.Is(err, errGone) {
		return 0, err
	}
	// Whoever ends the stream has said why, and that is on its way.
	e := <-ended
	return e.code, e.err
}

func sendInput(c *Conn, in io.Reader) {
	buffer := make([]byte, chunk)
	for {
		n, err := in.Read(buffer)
		if n > 0 && c.Send(Input, buffer[:n]) != nil {
			return
		}
		if err != nil {
			_ = c.Send(InputEnd, nil) // the other end may be gone
			return
		}
	}
}

func sendSizes(ctx context.Context, c *Conn, sizes <-chan wire.TerminalSize) {
	for {
		select {
		case size := <-sizes:
			if c.SendJSON(Resize, size) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// receiveOutput writes what comes from the process until it has ended.
func receiveOutput(c *Conn, s Streams, cancel context.CancelCauseFunc) (int, error) {
	silent := loop.NewDeadline(quietMax, func() {
		cancel(cluster.Errorf(cluster.Unavailable, "nothing was heard of the node for %s", quietMax).WithHint(lostHint))
	})
	defer silent.Stop()
	for {
		kind, payload, err := c.Receive()
		if err != nil {
			return 0, cluster.Errorf(cluster.Unavailable, "the connection broke: %w", err).WithHint(lostHint)
		}
		silent.Stop() // a reader that takes its time is no silence of the node
		switch kind {
		case Output:
			_, err = s.Out.Write(payload)
		case Errors:
			_, err = s.Err.Write(payload)
		case Exit:
			var exit wire.TerminalExit
			err := json.Unmarshal(payload, &exit)
			return exit.Code, err
		case Failed:
			return 0, failure(payload)
		case Open, Input, InputEnd, Resize, Alive:
		}
		if err != nil {
			return 0, err
		}
		silent.Extend()
	}
}

const lostHint = "what ran there is ended when the node notices"

func failure(payload []byte) error {
	var p wire.Problem
	if err := json.Unmarshal(payload, &p); err != nil {
		return cluster.Errorf(cluster.Internal, "the node's reason cannot be read: %w", err)
	}
	return cluster.Errorf(cluster.ParseKind(p.Code), "%s", p.Detail).WithHint(p.Hint)
}
