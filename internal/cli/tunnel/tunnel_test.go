package tunnel

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
)

func TestWhatSSHIsAsked(t *testing.T) {
	cases := map[string]struct {
		command []string
		want    []string
	}{
		"of a host alone, ssh decides the rest": {
			SSH{Host: "node-1"}.Socket("/run/argosy/argosy.sock"),
			[]string{"ssh", "-T", "--", "node-1", "argosy fd-forward '/run/argosy/argosy.sock'"},
		},
		"everything that is known is said": {
			SSH{User: "core", Host: "::1", Port: "2222", ConnectMax: 2500 * time.Millisecond, HostKeys: "no", KnownHosts: "/k"}.Socket("/s"),
			[]string{"ssh", "-T", "-l", "core", "-p", "2222", "-o", "ConnectTimeout=2", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/k", "--", "::1", "argosy fd-forward '/s'"},
		},
		"less than a second is no for ever": {
			SSH{Host: "h", ConnectMax: time.Millisecond}.Address("127.0.0.1:8080"),
			[]string{"ssh", "-T", "-o", "ConnectTimeout=1", "-W", "127.0.0.1:8080", "--", "h"},
		},
		"a path is one word to the far shell": {
			SSH{Host: "h"}.Socket("/it's; rm"),
			[]string{"ssh", "-T", "--", "h", `argosy fd-forward '/it'\''s; rm'`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.command); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAProgramIsAConnection(t *testing.T) {
	conn, err := Dial(t.Context(), []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, 5)
	if _, err := io.ReadFull(conn, back); err != nil || string(back) != "hello" {
		t.Fatalf("%q, %v", back, err)
	}
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(back); err == nil {
		t.Error("a deadline has no effect")
	}
}

func TestATunnelThatDoesNotComeUpSaysWhy(t *testing.T) {
	cases := map[string]struct {
		command []string
		want    string
	}{
		"its last words are told":    {[]string{"sh", "-c", "echo Warning: added >&2; echo Permission denied >&2; exit 255"}, "no tunnel by sh: Warning: added; Permission denied"},
		"else its exit code":         {[]string{"sh", "-c", "exit 7"}, "no tunnel by sh: exit status 7"},
		"else that it is over":       {[]string{"true"}, "no tunnel by true: the far side closed it"},
		"a program that is not here": {[]string{"no-such-program"}, "run no-such-program: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, err := Dial(t.Context(), c.command)
			if err == nil {
				defer func() { _ = conn.Close() }()
				_, err = conn.Read(make([]byte, 1))
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || cluster.KindOf(err) != cluster.Unavailable {
				t.Errorf("%v (%s)", err, cluster.KindOf(err))
			}
		})
	}
}

func TestWhoWritesToATunnelThatDidNotComeUpIsToldTheSame(t *testing.T) {
	opened, err := Dial(t.Context(), []string{"sh", "-c", "exit 7"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	<-opened.(*conn).ended
	if _, err := opened.Write([]byte("hello")); err == nil || err.Error() != "no tunnel by sh: exit status 7" {
		t.Error(err)
	}
	if _, err := opened.Read(make([]byte, 1)); err == nil || err.Error() != "no tunnel by sh: exit status 7" {
		t.Error(err)
	}
}

func TestTheProgramEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	opened, err := Dial(ctx, []string{"sleep", "1000"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	cancel()
	<-opened.(*conn).ended
}

// echo answers the first connection with what it hears, in capitals, until it
// hears the end.
func echo(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // ends with the listener or with its one caller
		heard, err := listener.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(heard)
		_, _ = heard.Write(bytes.ToUpper(text))
		_ = heard.Close()
	}()
	return socket
}

func TestForwardHandsOnTheEndOfItsInput(t *testing.T) {
	var out bytes.Buffer
	if err := Forward(t.Context(), echo(t), strings.NewReader("hello"), &out); err != nil || out.String() != "HELLO" {
		t.Errorf("%q, %v", &out, err)
	}
}

func TestForwardEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, hold := io.Pipe() // never ends by itself
	defer func() { _ = hold.Close() }()
	socket, done := echo(t), make(chan error)
	go func() { done <- Forward(ctx, socket, in, io.Discard) }()
	cancel()
	<-done
}

func TestForwardToNothing(t *testing.T) {
	err := Forward(t.Context(), filepath.Join(t.TempDir(), "none"), strings.NewReader(""), io.Discard)
	if cluster.KindOf(err) != cluster.Unavailable {
		t.Error(err)
	}
}
