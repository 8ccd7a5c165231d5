package client

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"argosy/internal/cluster"
)

// The codes of gRPC that we say ourselves, see its "Status codes and their use".
const (
	GRPCExhausted   = 8
	GRPCUnavailable = 14
)

// IsGRPC reports whether a request is one of gRPC, which is answered in its own way.
func IsGRPC(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// RefuseGRPC answers a request of gRPC with an error.
func RefuseGRPC(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", strconv.Itoa(code))
	w.Header().Set("Grpc-Message", strings.ReplaceAll(url.QueryEscape(err.Error()), "+", "%20"))
	w.WriteHeader(http.StatusOK)
}

// Carry sends a request that came in elsewhere on to a server as it is, with the
// client's own identity, and copies the answer back as it comes, to the last trailer.
// If a server cannot be reached, the next one is asked; an error means that none can
// and that nothing was copied. One that says that it can do nothing now is asked last
// from then on.
func (c *Client) Carry(w http.ResponseWriter, r *http.Request) error {
	last := error(cluster.Errorf(cluster.Unavailable, "no server's address is known"))
	body := &once{ReadCloser: r.Body}
	for _, address := range c.servers() {
		response, err := c.carry(r, address, body)
		if err == nil {
			c.prefer(address)
			if !c.copyWhole(w, response) {
				c.avoid(address)
			}
			return nil
		}
		last = transportError(r.Context(), address, r.Method, c.ends.of(err))
		if r.Context().Err() != nil {
			break
		}
		c.avoid(address)
		if body.begun.Load() || cluster.KindOf(last) != cluster.Unavailable {
			break
		}
	}
	return last
}

// once is a body that the next attempt may have if this one has not begun with it. One
// that has begun closes it, which is how it stops to wait for more.
type once struct {
	io.ReadCloser
	begun atomic.Bool
}

func (b *once) Read(p []byte) (int, error) {
	b.begun.Store(true)
	return b.ReadCloser.Read(p)
}

func (b *once) Close() error {
	if !b.begun.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}

// carry sends a request to one server. The host stays the one that the caller asked.
func (c *Client) carry(r *http.Request, address string, body *once) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI, out.Body = "", body
	out.URL.Scheme, out.URL.Host = c.scheme, address
	if r.ContentLength == 0 {
		out.Body = nil
	}
	for _, hop := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(hop)
	}
	return c.http.Transport.RoundTrip(out)
}

// copyWhole copies an answer with its trailers, and reports whether the server could
// do what was asked.
func (c *Client) copyWhole(w http.ResponseWriter, response *http.Response) (able bool) {
	defer func() { _ = response.Body.Close() }()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	control := http.NewResponseController(w)
	_ = control.Flush() // the reader may wait for the header
	chunk := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(chunk)
		if _, wrong := w.Write(chunk[:n]); wrong != nil {
			return true
		}
		if err != nil {
			return c.endWhole(w, response, err)
		}
		_ = control.Flush() // a stream goes on piece by piece
	}
}

// endWhole copies the trailers, or says in their place that the server has gone.
func (c *Client) endWhole(w http.ResponseWriter, response *http.Response, err error) (able bool) {
	for name, values := range response.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
	status := response.Trailer.Get("Grpc-Status") + response.Header.Get("Grpc-Status")
	if !errors.Is(err, io.EOF) && status == "" && strings.HasPrefix(response.Header.Get("Content-Type"), "application/grpc") {
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(GRPCUnavailable))
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "argosy: the server that was asked has gone")
		return false
	}
	return status != strconv.Itoa(GRPCUnavailable) && response.StatusCode < http.StatusInternalServerError
}
