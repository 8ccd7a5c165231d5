// Package client calls the API: over a unix socket of this machine, or over
// mutual TLS to the servers of a cluster, tried in turn.
//
// A Client is safe for concurrent use. Errors are *cluster.Error with the kind
// and the hint that the server gave; Unavailable if no server answered.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/loop"
)

// Limits of a call.
const (
	dialMax     = 3 * time.Second  // to reach one server
	answerMax   = 15 * time.Second // for one answer, streams excepted
	problemMax  = 256 << 10        // bytes of an error answer
	streamQuiet = 20 * time.Second // servers send a sign of life every 5 s
)

// Config says where the API is: a unix socket, or addresses with TLS settings.
type Config struct {
	Socket    string
	Addresses []string // host:port
	TLS       *tls.Config
	// Dial replaces the network: for the simulator, and for what forwards to a
	// Socket elsewhere.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Client calls the API.
type Client struct {
	http   *http.Client
	scheme string
	ends   ends // of what forwards to a daemon elsewhere

	mu        sync.Mutex
	addresses []string // the one that answered last comes first
}

// New makes a client. It does not connect.
func New(cfg Config) *Client {
	c := &Client{scheme: "https", addresses: slices.Clone(cfg.Addresses)}
	dial := cfg.Dial
	switch {
	case dial != nil && cfg.Socket != "":
		dial = c.ends.watched(dial)
	case dial == nil:
		dialer := &net.Dialer{Timeout: dialMax}
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			if cfg.Socket != "" {
				return dialer.DialContext(ctx, "unix", cfg.Socket)
			}
			return dialer.DialContext(ctx, "tcp", address)
		}
	}
	protocols := new(http.Protocols)
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) },
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: dialMax,
		IdleConnTimeout:     time.Minute,
		Protocols:           protocols,
		// A server that lost power says nothing: ask, and hang up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 3 * time.Second},
	}
	protocols.SetHTTP2(true)
	if cfg.Socket != "" {
		c.scheme, c.addresses = "http", []string{daemonHost}
		protocols.SetHTTP2(false)
		protocols.SetUnencryptedHTTP2(true)
	}
	c.http = &http.Client{Transport: transport}
	return c
}

// daemonHost stands for the daemon at a unix socket where a host is asked for.
const daemonHost = "daemon"

// SetAddresses replaces the servers to call.
func (c *Client) SetAddresses(addresses []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses = slices.Clone(addresses)
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.addresses)
}

// prefer makes a server that answered the first to be tried.
func (c *Client) prefer(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.addresses, address); i > 0 {
		c.addresses = slices.Insert(slices.Delete(c.addresses, i, i+1), 0, address)
	}
}

// avoid makes a server that did not answer the last to be tried: it may have
// lost power, which its connection does not show for a while.
func (c *Client) avoid(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.addresses, address); i >= 0 {
		c.addresses = append(slices.Delete(c.addresses, i, i+1), address)
	}
}

// request is one call.
type request struct {
	method string
	path   string // with its parameters filled in
	query  url.Values
	body   any // nil: none
	// stream makes the body of an attempt, if it is no value.
	stream func() io.Reader
}

// do calls the servers in turn until one answers, and returns its answer. A
// server that was reached is asked no second time and no other is asked after
// it, unless it says that it did nothing (Unavailable): the call may change
// something.
func (c *Client) do(ctx context.Context, req request) (*http.Response, error) {
	var body []byte
	if req.body != nil {
		var err error
		if body, err = json.Marshal(req.body); err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
	}
	servers := c.servers()
	if len(servers) == 0 {
		return nil, cluster.Errorf(cluster.Unavailable, "no server's address is known")
	}
	var last error
	for _, address := range servers {
		response, err := c.send(ctx, address, req, body)
		if err == nil {
			c.prefer(address)
			return response, nil
		}
		// A server that answered knows more than one that is silent, but an
		// unknown outcome must be told.
		if cluster.HintOf(last) == "" || cluster.KindOf(err) != cluster.Unavailable {
			last = err
		}
		if kind := cluster.KindOf(err); kind == cluster.Unavailable || kind == cluster.Unknown || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.avoid(address)
		}
		if ctx.Err() != nil || cluster.KindOf(err) != cluster.Unavailable {
			break
		}
	}
	return nil, last
}

// send calls one server.
func (c *Client) send(ctx context.Context, address string, req request, body []byte) (*http.Response, error) {
	target := url.URL{Scheme: c.scheme, Host: address, RawPath: req.path, RawQuery: req.query.Encode()}
	path, err := url.PathUnescape(req.path)
	if err != nil {
		return nil, err
	}
	target.Path = path
	var content io.Reader = bytes.NewReader(body)
	if req.stream != nil {
		content = req.stream()
	}
	r, err := http.NewRequestWithContext(ctx, req.method, target.String(), content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, transportError(ctx, address, req.method, c.ends.of(err))
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	return nil, problemError(response)
}

// transportError gives a failure of the connection its kind. A request that
// may have reached the server and changed something has an unknown outcome.
func transportError(ctx context.Context, address, method string, err error) error {
	if our, ok := errors.AsType[*cluster.Error](err); ok {
		return our // from the TLS handshake: a foreign cluster, an expired certificate
	}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return cluster.Errorf(unknownIfWrite(method), "%s: no answer in time", address)
		}
		return ctx.Err()
	}
	if _, dialing := errors.AsType[*net.OpError](err); dialing && strings.Contains(err.Error(), "dial") {
		return cluster.Errorf(cluster.Unavailable, "%s does not answer: %w", address, err)
	}
	return cluster.Errorf(unknownIfWrite(method), "%s: the connection broke: %w", address, err)
}

func unknownIfWrite(method string) cluster.Kind {
	if method == http.MethodGet {
		return cluster.Unavailable
	}
	return cluster.Unknown
}

// problemError turns an error answer back into an error.
func problemError(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, problemMax))
	var problem struct {
		wire.Problem
		Errors []struct{ Message, Location string }
	}
	if err != nil || json.Unmarshal(text, &problem) != nil || problem.Title == "" {
		kind := cluster.Internal
		if response.StatusCode == http.StatusServiceUnavailable {
			kind = cluster.Unavailable
		}
		return cluster.Errorf(kind, "the server answered %s: %.200s", response.Status, strings.TrimSpace(string(text)))
	}
	if problem.Code == "" { // the framework refused the request before us
		problem.Code = cluster.Invalid.String()
		for _, e := range problem.Errors {
			problem.Detail += "; " + e.Location + ": " + e.Message
		}
	}
	return cluster.Errorf(cluster.ParseKind(problem.Code), "%s", problem.Detail).WithHint(problem.Hint)
}

// call does one request and decodes the answer into out, unless out is nil.
func (c *Client) call(ctx context.Context, req request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	response, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if out == nil {
		_, err := io.Copy(io.Discard, response.Body)
		return err
	}
	return decode(response, out)
}

func decode(response *http.Response, out any) error {
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		r := response.Request
		return cluster.Errorf(unknownIfWrite(r.Method), "read the answer to %s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

// stream does one request and calls each for every message of the answer. It
// returns nil when the server ends the stream.
func stream[T any](outer context.Context, c *Client, req request, each func(T) error) error {
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	response, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	// A stream that falls silent is broken, whatever the connection says.
	quiet := loop.NewDeadline(streamQuiet, cancel)
	defer quiet.Stop()
	decoder := json.NewDecoder(response.Body)
	for {
		var message T
		if err := decoder.Decode(&message); err != nil {
			return streamEnd(outer, ctx, err)
		}
		quiet.Extend()
		if err := each(message); err != nil {
			return err
		}
	}
}

// streamEnd says why a stream ended: its caller wanted it, the server closed
// it (nil), it fell silent, or it broke.
func streamEnd(outer, ctx context.Context, err error) error {
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case errors.Is(err, io.EOF):
		return nil
	case ctx.Err() != nil:
		return cluster.Errorf(cluster.Unavailable, "the stream fell silent")
	}
	return cluster.Errorf(cluster.Unavailable, "the stream broke: %w", err)
}

// fill puts values into the {…} of a path, escaped.
func fill(path string, values ...string) string {
	for _, v := range values {
		open := strings.IndexByte(path, '{')
		end := strings.IndexByte(path, '}')
		path = path[:open] + url.PathEscape(v) + path[end+1:]
	}
	return path
}

// Forward reads from a server what a request that came in elsewhere wants to
// read, with the client's own identity, and copies the answer back as it comes.
func (c *Client) Forward(w http.ResponseWriter, r *http.Request) error {
	response, err := c.do(r.Context(), request{method: http.MethodGet, path: r.URL.EscapedPath(), query: r.URL.Query()})
	if err != nil {
		return err
	}
	copyAnswer(w, response)
	return nil
}

// Pass sends a request that came in elsewhere on to a path, with the client's own
// identity, while its body still comes, and copies the answer back as it comes:
// both go on for as long as they like. An error means that nothing was copied.
func (c *Client) Pass(w http.ResponseWriter, r *http.Request, path string, query url.Values, values ...string) error {
	response, err := c.do(r.Context(), request{
		method: r.Method, path: fill(path, values...), query: query, stream: func() io.Reader { return r.Body },
	})
	if err != nil {
		return err
	}
	copyAnswer(w, response)
	return nil
}

// copyAnswer copies an answer as it comes, until it is over or its reader is.
func copyAnswer(w http.ResponseWriter, response *http.Response) {
	defer func() { _ = response.Body.Close() }()
	w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
	w.WriteHeader(response.StatusCode)
	control := http.NewResponseController(w)
	_ = control.Flush() // the reader may wait for the header
	chunk := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(chunk)
		if _, writeErr := w.Write(chunk[:n]); writeErr != nil || err != nil {
			return
		}
		_ = control.Flush() // a stream goes on piece by piece
	}
}
