package channel

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// Process is what runs at the far end of a channel.
type Process interface {
	// Input writes to standard input; InputEnd ends it.
	Input(p []byte) error
	InputEnd() error
	// Resize tells the terminal its size; without a terminal it does nothing.
	Resize(size wire.TerminalSize) error
	// Output is standard output, or the terminal. Errors is standard error, nil
	// with a terminal. Both end soon after the process does.
	Output() io.Reader
	Errors() io.Reader
	// Wait waits for the end. It may be called once.
	Wait() (code int, err error)
	// Kill ends the process and all that it started, and returns when they are
	// gone or nothing more can be done. It may be called at any time.
	Kill()
	// Close frees what the process had here, after its end.
	Close()
}

// errGone ends a channel whose other end hung up.
var errGone = errors.New("the other end hung up")

// Serve carries a process until it has ended, or the other end hangs up or is
// silent, or still returns an error, which is asked now and then: then the
// process is killed. still is the right to go on. hurry is called when nothing
// must block any more that still writes to the other end. Serve returns the exit
// code, or why the process was killed; nothing is written, and hurry is not called,
// after that.
func Serve(ctx context.Context, c *Conn, p Process, still func() error, hurry func()) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hurried := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(hurried); hurry() })
	defer func() {
		if !stop() {
			<-hurried // what it hurries may end with Serve
		}
	}()
	defer p.Close()
	go receiveInput(c, p, cancel)
	go beat(ctx, c, cancel, still)

	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		var outputs sync.WaitGroup
		outputs.Go(func() { send(c, Output, p.Output(), cancel) })
		if errs := p.Errors(); errs != nil {
			outputs.Go(func() { send(c, Errors, errs, cancel) })
		}
		code, err := p.Wait()
		outputs.Wait()
		ended <- end{code, err}
	}()
	select {
	case e := <-ended:
		if e.err != nil {
			_ = c.sendJSON(Failed, problem(e.err), true) // it may be gone
			return 0, e.err
		}
		_ = c.sendJSON(Exit, wire.TerminalExit{Code: e.code}, true)
		return e.code, nil
	case <-ctx.Done():
	}
	why := context.Cause(ctx)
	p.Kill()
	<-ended
	_ = c.sendJSON(Failed, problem(why), true)
	return 0, why
}

func problem(err error) wire.Problem {
	return wire.Problem{Title: "the channel ended", Detail: err.Error(), Code: cluster.KindOf(err).String(), Hint: cluster.HintOf(err)}
}

// receiveInput hands what the user's end sends to the process. It ends with the
// stream, which ends after Serve.
func receiveInput(c *Conn, p Process, cancel context.CancelCauseFunc) {
	silent := loop.NewDeadline(quietMax, func() {
		cancel(cluster.Errorf(cluster.Unavailable, "nothing was heard of the client for %s", quietMax))
	})
	defer silent.Stop()
	for {
		kind, payload, err := c.Receive()
		if err != nil {
			cancel(errGone)
			return
		}
		silent.Stop() // a process that reads slowly is no silence of the client, and one that is gone is missed by its connection
		switch kind {
		case Input:
			_ = p.Input(payload) // one that does not read any more goes on
		case InputEnd:
			_ = p.InputEnd()
		case Resize:
			var size wire.TerminalSize
			if json.Unmarshal(payload, &size) == nil {
				_ = p.Resize(size)
			}
		case Open, Output, Errors, Exit, Failed, Alive:
		}
		silent.Extend()
	}
}

// beat sends signs of life, and ends a channel that may not go on.
func beat(ctx context.Context, c *Conn, cancel context.CancelCauseFunc, still func() error) {
	for loop.Sleep(ctx, aliveEvery) == nil {
		err := still()
		if err == nil && c.Send(Alive, nil) != nil {
			err = errGone
		}
		if err != nil {
			cancel(err)
			return
		}
	}
}

// send sends an output until it ends. One that nobody takes is read on, so that
// the process does not hang in it until it is killed.
func send(c *Conn, kind Kind, from io.Reader, cancel context.CancelCauseFunc) {
	buffer := make([]byte, chunk)
	gone := false
	for {
		n, err := from.Read(buffer)
		if n > 0 && !gone && c.Send(kind, buffer[:n]) != nil {
			gone = true
			cancel(errGone)
		}
		if err != nil {
			return
		}
	}
}
