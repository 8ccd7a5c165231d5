package channel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// program is a process whose work is a function.
type program struct {
	in             *io.PipeReader
	input          *io.PipeWriter
	out, errs      *io.PipeReader
	output, errors *io.PipeWriter
	killed         chan struct{}
	kill           sync.Once
	exit           chan int

	mu    sync.Mutex
	sizes []wire.TerminalSize
	freed int
}

// start starts a program; it should end when killed is closed.
func start(work func(p *program) int) *program {
	p := &program{killed: make(chan struct{}), exit: make(chan int, 1)}
	p.in, p.input = io.Pipe()
	p.out, p.output = io.Pipe()
	p.errs, p.errors = io.Pipe()
	go func() {
		code := work(p)
		_ = p.output.Close()
		_ = p.errors.Close()
		_ = p.in.Close()
		p.exit <- code
	}()
	return p
}

func (p *program) Input(b []byte) error { _, err := p.input.Write(b); return err }
func (p *program) InputEnd() error      { return p.input.Close() }
func (p *program) Output() io.Reader    { return p.out }
func (p *program) Errors() io.Reader    { return p.errs }
func (p *program) Wait() (int, error)   { return <-p.exit, nil }
func (p *program) Kill()                { p.kill.Do(func() { close(p.killed); _ = p.in.Close() }) }

func (p *program) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freed++
}

func (p *program) Resize(size wire.TerminalSize) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sizes = append(p.sizes, size)
	return nil
}

// line is a stream in each direction between two ends.
type line struct {
	near, far *channel.Conn
	cut       func()
}

func newLine() line {
	toFar, fromNear := io.Pipe()
	toNear, fromFar := io.Pipe()
	return line{
		channel.NewConn(toNear, fromNear, nil), channel.NewConn(toFar, fromFar, nil),
		func() { _ = toFar.Close(); _ = fromNear.Close(); _ = toNear.Close(); _ = fromFar.Close() },
	}
}

// served is how Serve ended.
type served struct {
	code  int
	err   error
	hurry bool // goes on after the end
}

func (l line) serve(p channel.Process, still func() error) <-chan served {
	end := make(chan served, 1)
	if still == nil {
		still = func() error { return nil }
	}
	go func() {
		over, done := context.WithCancel(context.Background())
		var hurries atomic.Bool
		code, err := channel.Serve(over, l.far, p, still, func() {
			hurries.Store(true)
			_ = loop.Sleep(over, time.Millisecond)
			hurries.Store(false)
			go func() {
				_ = loop.Sleep(over, time.Second)
				l.cut()
			}()
		})
		late := hurries.Load()
		done()
		l.cut()
		end <- served{code, err, late}
	}()
	return end
}

func TestWhatGoesThroughAChannel(t *testing.T) {
	megabyte := make([]byte, 1<<20)
	_, _ = rand.Read(megabyte)
	for _, tt := range []struct {
		name     string
		work     func(p *program) int
		in       string
		out, err string
		code     int
	}{
		{"an exit code", func(*program) int { return 7 }, "", "", "", 7},
		{"both outputs, kept apart", func(p *program) int {
			fmt.Fprint(p.output, "to out")
			fmt.Fprint(p.errors, "to err")
			return 0
		}, "", "to out", "to err", 0},
		{"input, bytes as they are, to its end", func(p *program) int {
			_, _ = io.Copy(p.output, p.in)
			return 0
		}, string(megabyte), string(megabyte), "", 0},
		{"output after the input has ended", func(p *program) int {
			n, _ := io.Copy(io.Discard, p.in)
			fmt.Fprint(p.output, n)
			return 1
		}, "four", "4", "", 1},
		{"the end of a program that leaves its input unread", func(*program) int { return 3 }, string(megabyte), "", "", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine()
				p := start(tt.work)
				end := l.serve(p, nil)
				var out, errs bytes.Buffer
				code, err := channel.Attach(t.Context(), l.near, channel.Streams{In: strings.NewReader(tt.in), Out: &out, Err: &errs})
				if code != tt.code || err != nil || out.String() != tt.out || errs.String() != tt.err {
					t.Errorf("code %d, %v, %d bytes of output, errors %q", code, err, out.Len(), errs.String())
				}
				if e := <-end; e.code != tt.code || e.err != nil || p.freed != 1 {
					t.Errorf("the other end: %+v, freed %d times", e, p.freed)
				}
			})
		})
	}
}

func TestTheTerminalFollowsTheSizeOfTheUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		sizes := make(chan wire.TerminalSize)
		stop := make(chan struct{})
		p := start(func(*program) int { <-stop; return 0 })
		end := l.serve(p, nil)
		want := []wire.TerminalSize{{Rows: 24, Columns: 80}, {Rows: 50, Columns: 200}}
		go func() {
			for _, size := range want {
				sizes <- size
			}
			synctest.Wait()
			close(stop)
		}()
		_, err := channel.Attach(t.Context(), l.near, channel.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Sizes: sizes})
		if diff := cmp.Diff(want, p.sizes); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		<-end
	})
}

// A program ends with its channel, whatever ends that; and who is at the other
// end is told why, if he is there.
func TestAProgramEndsWithItsChannel(t *testing.T) {
	for _, tt := range []struct {
		name string
		work func(p *program) int // besides waiting to be killed
		end  func(l line, revoke func(), leave context.CancelFunc)
		in   time.Duration // how soon
		says string        // at the near end
		why  string        // at the far end
	}{
		{"when the connection breaks", nil, func(l line, _ func(), _ context.CancelFunc) { l.cut() }, 0, "the connection broke", "hung up"},
		{"when the right to it is taken away", nil, func(_ line, revoke func(), _ context.CancelFunc) { revoke() }, 5 * time.Second, "not yours any more", "not yours any more"},
		{"when the user's end goes", nil, func(l line, _ func(), leave context.CancelFunc) { leave(); l.cut() }, 0, "canceled", "hung up"},
		{"while it prints without end", func(p *program) int {
			for {
				if _, err := fmt.Fprintln(p.output, "y"); err != nil {
					return 0
				}
				_ = loop.Sleep(context.Background(), time.Millisecond)
				select {
				case <-p.killed:
					return 0
				default:
				}
			}
		}, func(l line, _ func(), _ context.CancelFunc) { l.cut() }, time.Millisecond, "the connection broke", "hung up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine()
				var mu sync.Mutex
				var right error
				work := tt.work
				if work == nil {
					work = func(p *program) int { <-p.killed; return 0 }
				}
				p := start(work)
				end := l.serve(p, func() error { mu.Lock(); defer mu.Unlock(); return right })
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				near := make(chan error, 1)
				nothing, typing := io.Pipe()
				defer func() { _ = typing.Close() }()
				go func() {
					_, err := channel.Attach(ctx, l.near, channel.Streams{In: nothing, Out: io.Discard, Err: io.Discard})
					near <- err
				}()
				_ = loop.Sleep(t.Context(), time.Minute) // idle connections are kept
				select {
				case e := <-end:
					t.Fatalf("it ended by itself: %+v", e)
				default:
				}
				revoke := func() {
					mu.Lock()
					right = cluster.Errorf(cluster.Denied, "this is not yours any more")
					mu.Unlock()
				}
				began := time.Now()
				tt.end(l, revoke, leave)
				e := <-end
				if e.err == nil || !strings.Contains(e.err.Error(), tt.why) || time.Since(began) > tt.in+time.Millisecond || p.freed != 1 || e.hurry {
					t.Errorf("after %s: %+v, freed %d times", time.Since(began), e, p.freed)
				}
				if err := <-near; err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("the user's end says %v", err)
				}
			})
		})
	}
}

// An end that says nothing is taken for gone; one that is slow is not.
func TestAnEndThatIsSilentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		end := l.serve(start(func(p *program) int { <-p.killed; return 0 }), nil)
		go func() {
			for { // the user's end takes what comes and says nothing
				if _, _, err := l.near.Receive(); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		if e := <-end; e.err == nil || !strings.Contains(e.err.Error(), "nothing was heard of the client") || time.Since(began).Round(time.Second) != 20*time.Second {
			t.Errorf("after %s: %+v", time.Since(began), e)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		go func() {
			for { // the node's end takes what comes and says nothing
				if _, _, err := l.far.Receive(); err != nil {
					return
				}
			}
		}()
		_, err := channel.Attach(t.Context(), l.near, channel.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "nothing was heard of the node") {
			t.Errorf("%v", err)
		}
		l.cut()
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		p := start(func(p *program) int {
			_ = loop.Sleep(context.Background(), time.Minute) // reads its input late
			n, _ := io.Copy(io.Discard, p.in)
			fmt.Fprint(p.output, n)
			return 0
		})
		end := l.serve(p, nil)
		var out bytes.Buffer
		code, err := channel.Attach(t.Context(), l.near, channel.Streams{In: strings.NewReader("four"), Out: slow{&out}, Err: io.Discard})
		if e := <-end; code != 0 || err != nil || e.err != nil || out.String() != "4" {
			t.Errorf("%d %v %+v %q", code, err, e, out.String())
		}
	})
}

// What Serve writes to belongs to its caller again when it returns: neither a
// sign of life nor the hurry of a hang-up may come late.
func TestNothingOfAChannelOutlivesServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		p := start(func(p *program) int { <-p.killed; return 0 })
		l.cut()
		hurried := false
		_, err := channel.Serve(t.Context(), l.far, p, func() error { return nil }, func() {
			_ = loop.Sleep(context.Background(), time.Minute)
			hurried = true
		})
		if err == nil || !hurried {
			t.Errorf("%v; hurry has ended: %t", err, hurried)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		go func() {
			for {
				if _, _, err := l.near.Receive(); err != nil {
					return
				}
			}
		}()
		p := start(func(*program) int { _ = loop.Sleep(context.Background(), 6*time.Second); return 0 })
		asking := func() error { return loop.Sleep(context.Background(), 10*time.Second) } // from the fifth second on
		if code, err := channel.Serve(t.Context(), l.far, p, asking, func() {}); code != 0 || err != nil {
			t.Errorf("%d %v", code, err)
		}
		if err := l.far.Send(channel.Alive, nil); err == nil {
			t.Error("a frame was sent after the last one")
		}
		l.cut()
		_ = loop.Sleep(t.Context(), 20*time.Second) // beat finds out
	})
}

// slow takes half a minute for what it takes.
type slow struct{ io.Writer }

func (s slow) Write(p []byte) (int, error) {
	_ = loop.Sleep(context.Background(), 30*time.Second)
	return s.Writer.Write(p)
}

func TestFramesThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct{ in, says string }{
		"nothing":                       {"", "EOF"},
		"half a header":                 {"o\x00\x00", "unexpected EOF"},
		"half a frame":                  {"o\x00\x00\x00\x05{}", "unexpected EOF"},
		"a frame that is too long":      {"o\x00\x02\x00\x01", "limit is 131072"},
		"a channel that is not opened":  {"i\x00\x00\x00\x01x", `begins with a frame 'i'`},
		"an opening that is no JSON":    {"o\x00\x00\x00\x01x", "invalid character"},
		"an opening of something wrong": {"o\x00\x00\x00\x10{\"command\":true}", "cannot unmarshal"},
	} {
		var want wire.Terminal
		err := channel.NewConn(strings.NewReader(tt.in), io.Discard, nil).ReceiveOpen(&want)
		if err == nil || cluster.KindOf(err) != cluster.Invalid || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReceive: whatever comes, frames are read or refused, and what is read is
// what was sent.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("a\x00\x00\x00\x00i\x00\x00\x00\x01x"))
	f.Add([]byte("o\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var back bytes.Buffer
		from, to := channel.NewConn(bytes.NewReader(in), io.Discard, nil), channel.NewConn(nil, &back, nil)
		for {
			kind, payload, err := from.Receive()
			if err != nil {
				break
			}
			if err := to.Send(kind, payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(in, back.Bytes()) {
			t.Errorf("%q came back as %q", in, back.Bytes())
		}
	})
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestOutputThatNobodyTakesIsAnError(t *testing.T) {
	l := newLine()
	end := l.serve(start(func(p *program) int { fmt.Fprint(p.output, "x"); <-p.killed; return 0 }), nil)
	nothing, typing := io.Pipe()
	defer func() { _ = typing.Close() }()
	_, err := channel.Attach(t.Context(), l.near, channel.Streams{In: nothing, Out: broken{}, Err: io.Discard})
	if !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	l.cut()
	if e := <-end; e.err == nil {
		t.Errorf("%+v", e)
	}
}
