package client

import (
	"context"
	"net"
	"net/http"
	"testing"

	"argosy/internal/cluster"
)

// broken is a connection that has ended before anything is asked.
type broken struct{ net.Conn }

func (broken) Read([]byte) (int, error) {
	return 0, cluster.Errorf(cluster.Unavailable, "no tunnel by ssh: permission denied")
}
func (broken) Write(p []byte) (int, error) { return len(p), nil }

// Whether the first request or the end of the connection comes first is chance:
// of so many, several have either.
func TestAConnectionThatEndsBeforeItIsUsedSaysWhy(t *testing.T) {
	for range 3000 {
		near, far := net.Pipe()
		c := New(Config{Socket: "there", Dial: func(context.Context, string) (net.Conn, error) { return broken{near}, nil }})
		err := c.call(t.Context(), request{method: http.MethodGet, path: "/v1/units"}, nil)
		_ = far.Close()
		if err == nil || err.Error() != "no tunnel by ssh: permission denied" || cluster.KindOf(err) != cluster.Unavailable {
			t.Fatal(err)
		}
	}
}
