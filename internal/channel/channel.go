// Package channel carries a process over one stream in each direction: what goes
// to its standard input and comes from its outputs, the size of its terminal, the
// end of its input, its exit code, and signs of life.
//
// The two ends are Attach, where the user is, and Serve, where the process is;
// whoever stands between them passes bytes on. A stream is a row of frames: one
// byte that says what a frame is (Kind), four that say how long it is, and so many
// bytes. Either end hangs up on one that has been silent for too long, and a
// process ends with its channel.
//
// Nothing here knows what runs, or how it was allowed: terminals are the first
// user of it.
package channel

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"time"

	"argosy/internal/cluster"
)

// Kind says what a frame is. A kind that is not known is passed over, so that
// either end may be the newer one.
type Kind byte

// The kinds of frame, from the user's end …
const (
	Open     Kind = 'o' // the first: what is to be done; JSON
	Input    Kind = 'i' // to standard input
	InputEnd Kind = 'e' // standard input has ended
	Resize   Kind = 'r' // the terminal's new size; JSON wire.TerminalSize
)

// … from the process's, the last of which ends the channel …
const (
	Output Kind = '1' // from standard output, or from the terminal
	Errors Kind = '2' // from standard error
	Exit   Kind = 'x' // the process has ended; JSON wire.TerminalExit
	Failed Kind = 'f' // the channel ends before the process did; JSON wire.Problem
)

// … and from both.
const Alive Kind = 'a'

// FrameMax is the most bytes that one frame carries.
const FrameMax = 128 << 10

// The time between signs of life, and the silence after which an end hangs up.
const (
	aliveEvery = 5 * time.Second
	quietMax   = 20 * time.Second
)

// chunk is how much is read at once from what a channel carries.
const chunk = 32 << 10

// Conn is one end of a stream of frames. Send may be called concurrently;
// Receive may not.
type Conn struct {
	in io.Reader

	// turn is held by whoever sends. It is a channel, not a mutex, because a
	// sender may wait in it for as long as the reader takes, which the
	// simulated time of tests sees only so.
	turn  chan struct{}
	out   io.Writer
	flush func() error
	ended bool // out must not be touched any more; whoever has the turn may look
}

// NewConn makes an end of a stream. flush is called after each frame; nil means
// that writing is enough.
func NewConn(in io.Reader, out io.Writer, flush func() error) *Conn {
	if flush == nil {
		flush = func() error { return nil }
	}
	return &Conn{in: in, out: out, flush: flush, turn: make(chan struct{}, 1)}
}

const headerLen = 5

// Send sends a frame.
func (c *Conn) Send(kind Kind, payload []byte) error { return c.send(kind, payload, false) }

// send sends a frame. After the last one nobody sends any more: what a handler
// writes to must not be touched once it has returned.
func (c *Conn) send(kind Kind, payload []byte, last bool) error {
	frame := make([]byte, headerLen, headerLen+len(payload))
	frame[0] = byte(kind)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload))) //nolint:gosec // at most FrameMax
	frame = append(frame, payload...)
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.ended {
		return errGone
	}
	c.ended = last
	if _, err := c.out.Write(frame); err != nil {
		return err
	}
	return c.flush()
}

// SendJSON sends a frame that carries a value.
func (c *Conn) SendJSON(kind Kind, value any) error { return c.sendJSON(kind, value, false) }

func (c *Conn) sendJSON(kind Kind, value any, last bool) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.send(kind, text, last)
}

// Receive returns the next frame; io.EOF if the other end has ended the stream
// between two frames.
func (c *Conn) Receive() (Kind, []byte, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size > FrameMax {
		return 0, nil, cluster.Errorf(cluster.Invalid, "a frame of %d bytes; the limit is %d", size, FrameMax)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return 0, nil, err
	}
	return Kind(header[0]), payload, nil
}

// ReceiveOpen reads the first frame of a channel into a value.
func (c *Conn) ReceiveOpen(into any) error {
	kind, payload, err := c.Receive()
	switch {
	case err != nil:
		return cluster.Errorf(cluster.Invalid, "read what is to be run: %w", err)
	case kind != Open:
		return cluster.Errorf(cluster.Invalid, "the channel begins with a frame %q", byte(kind))
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return cluster.Errorf(cluster.Invalid, "read what is to be run: %w", err)
	}
	return nil
}
