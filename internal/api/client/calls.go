package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
	"argosy/internal/place"
)

// Status returns the cluster on one page.
func (c *Client) Status(ctx context.Context) (status wire.Status, err error) {
	return status, c.call(ctx, request{method: http.MethodGet, path: wire.PathStatus}, &status)
}

// StatusOfAny asks every server at once, and returns the page of the first that
// answers: one that has lost power is not waited for.
func (c *Client) StatusOfAny(ctx context.Context) (wire.Status, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		page wire.Status
		err  error
	}
	servers := c.servers()
	answers := make(chan answer, len(servers))
	for _, address := range servers {
		go func() {
			var a answer
			response, err := c.send(ctx, address, request{method: http.MethodGet, path: wire.PathStatus}, nil)
			if a.err = err; err == nil {
				a.err = decode(response, &a.page)
				_ = response.Body.Close()
			}
			answers <- a
		}()
	}
	err := error(cluster.Errorf(cluster.Unavailable, "no server's address is known"))
	for range servers {
		a := <-answers
		if a.err == nil {
			return a.page, nil
		}
		err = a.err
	}
	return wire.Status{}, err
}

// Init forms a cluster of this machine.
func (c *Client) Init(ctx context.Context, req wire.InitRequest) (id wire.Identity, err error) {
	return id, c.forming(ctx, wire.PathInit, req, &id)
}

// Join makes this machine join with a token.
func (c *Client) Join(ctx context.Context, req wire.JoinRequest) (id wire.Identity, err error) {
	return id, c.forming(ctx, wire.PathJoin, req, &id)
}

// Leave parts this machine from its cluster.
func (c *Client) Leave(ctx context.Context) error { return c.forming(ctx, wire.PathLeave, nil, nil) }

// Reset makes this machine forget its cluster.
func (c *Client) Reset(ctx context.Context) error { return c.forming(ctx, wire.PathReset, nil, nil) }

// forming does a call that may take longer than others; the caller's context
// bounds it.
func (c *Client) forming(ctx context.Context, path string, in, out any) error {
	response, err := c.do(ctx, request{method: http.MethodPost, path: path, body: in})
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if out == nil {
		return nil
	}
	return decode(response, out)
}

// Tokens lists the join tokens.
func (c *Client) Tokens(ctx context.Context) (tokens []cluster.Token, err error) {
	return tokens, c.call(ctx, request{method: http.MethodGet, path: wire.PathTokens}, &tokens)
}

// CreateToken makes a join token.
func (c *Client) CreateToken(ctx context.Context, req wire.TokenRequest) (answer wire.TokenAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathTokens, body: req}, &answer)
}

// RemoveToken revokes a join token.
func (c *Client) RemoveToken(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: fill(wire.PathToken, id)}, nil)
}

// Nodes lists the nodes.
func (c *Client) Nodes(ctx context.Context) (list wire.List[wire.NodeView], err error) {
	return list, c.call(ctx, request{method: http.MethodGet, path: wire.PathNodes}, &list)
}

// PatchNode changes labels of a node.
func (c *Client) PatchNode(ctx context.Context, id cluster.NodeID, patch wire.NodePatch) (view wire.NodeView, err error) {
	return view, c.call(ctx, request{method: http.MethodPatch, path: fill(wire.PathNode, string(id)), body: patch}, &view)
}

// RemoveNode removes a node from the cluster for good.
func (c *Client) RemoveNode(ctx context.Context, id cluster.NodeID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: fill(wire.PathNode, string(id))}, nil)
}

// Units lists the units, without their texts.
func (c *Client) Units(ctx context.Context) (list wire.List[wire.UnitView], err error) {
	return list, c.call(ctx, request{method: http.MethodGet, path: wire.PathUnits}, &list)
}

// Unit returns one unit with its text.
func (c *Client) Unit(ctx context.Context, name cluster.UnitName) (view wire.UnitView, err error) {
	return view, c.call(ctx, request{method: http.MethodGet, path: fill(wire.PathUnit, string(name))}, &view)
}

// Explain says why a unit is where it is, node by node.
func (c *Client) Explain(ctx context.Context, name cluster.UnitName) (e place.Explanation, err error) {
	return e, c.call(ctx, request{method: http.MethodGet, path: fill(wire.PathExplain, string(name))}, &e)
}

// Submit hands units to the cluster.
func (c *Client) Submit(ctx context.Context, req wire.SubmitRequest) (answer wire.SubmitAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathUnits, body: req}, &answer)
}

// SetDesired sets the desired state of units.
func (c *Client) SetDesired(ctx context.Context, req wire.DesiredRequest) (answer wire.DesiredAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathDesired, body: req}, &answer)
}

// Scale makes the instances of a template so many.
func (c *Client) Scale(ctx context.Context, req wire.ScaleRequest) (answer wire.DesiredAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathScale, body: req}, &answer)
}

// PatchParameters changes the parameters of a service that a unit publishes.
func (c *Client) PatchParameters(ctx context.Context, name cluster.UnitName, patch wire.ParametersPatch) (answer wire.DesiredAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPatch, path: fill(wire.PathParameters, string(name)), body: patch}, &answer)
}

// Destroy removes units.
func (c *Client) Destroy(ctx context.Context, names []cluster.UnitName) (answer wire.DesiredAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathDestroy, body: wire.NamesRequest{Names: names}}, &answer)
}

// Restart restarts units that are launched.
func (c *Client) Restart(ctx context.Context, names []cluster.UnitName) (answer wire.DesiredAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathRestart, body: wire.NamesRequest{Names: names}}, &answer)
}

// Watch calls each for the whole state and then for every change. It returns nil
// when the server ends the stream: watch again.
func (c *Client) Watch(ctx context.Context, each func(wire.Change) error) error {
	return stream(ctx, c, request{method: http.MethodGet, path: wire.PathWatch}, each)
}

// Services returns all services, as of now.
func (c *Client) Services(ctx context.Context) (all wire.Services, err error) {
	return all, c.call(ctx, request{method: http.MethodGet, path: wire.PathServices}, &all)
}

// ServicesQuery says where a stream of services begins.
type ServicesQuery struct {
	After string // the cursor of the last message that was read; "": from the whole on
	// Fresh asks for an error, and for the end of the stream, rather than for what a
	// server knows that is cut off from the store.
	Fresh bool
}

// FollowServices calls each for every message of the catalog, signs of life
// included. It returns nil when the server ends the stream: go on with another.
func (c *Client) FollowServices(ctx context.Context, q ServicesQuery, each func(wire.Services) error) error {
	query := url.Values{"follow": {"true"}, "fresh": {strconv.FormatBool(q.Fresh)}}
	if q.After != "" {
		query.Set("after", q.After)
	}
	return stream(ctx, c, request{method: http.MethodGet, path: wire.PathServices, query: query}, each)
}

// EventQuery says which events are wanted. The zero query wants all that are
// kept.
type EventQuery struct {
	Since time.Duration    // 0: from the oldest on
	After cluster.Revision // leave out what was seen up to here
	// Units and Nodes name either, Names one or the other; units may be globs. A
	// name that neither the cluster nor an event has is refused.
	Units, Nodes, Names []string
	Follow              bool
}

// Events calls each for every event, and in a followed stream for every sign of
// life. It returns nil at the end of one that is not followed, and when the
// server ends the stream.
func (c *Client) Events(ctx context.Context, q EventQuery, each func(wire.EventMessage) error) error {
	query := url.Values{"unit": q.Units, "node": q.Nodes, "name": q.Names}
	if q.Since > 0 {
		query.Set("since", q.Since.String())
	}
	if q.After > 0 {
		query.Set("after", strconv.FormatInt(int64(q.After), 10))
	}
	if q.Follow {
		query.Set("follow", "true")
	}
	return stream(ctx, c, request{method: http.MethodGet, path: wire.PathEvents, query: query}, each)
}

// JournalQuery says which lines of a unit's journal are wanted.
type JournalQuery struct {
	Unit   cluster.UnitName
	Node   cluster.NodeID // "": where it runs
	Lines  int
	Follow bool
	Form   string // one of systemd.JournalForms; "": that of a plain listing
}

// Journal calls each for every line; nil at the end of one that is not
// followed. In the form systemd.JournalExport it is called with pieces instead.
func (c *Client) Journal(ctx context.Context, q JournalQuery, each func(line string) error) error {
	return c.journal(ctx, fill(wire.PathJournal, string(q.Unit)), q, func(m wire.LogLine) error {
		if m.Alive {
			return nil
		}
		if m.Bytes != nil {
			return each(string(m.Bytes))
		}
		return each(m.Line)
	})
}

// NodeJournal reads a unit's journal on the node that the client calls. The
// signs of life of a quiet journal are handed out too: whoever passes the lines
// on must pass on that as well.
func (c *Client) NodeJournal(ctx context.Context, q JournalQuery, each func(wire.LogLine) error) error {
	return c.journal(ctx, fill(wire.PathNodeLog, string(q.Node), string(q.Unit)), q, each)
}

func (c *Client) journal(ctx context.Context, path string, q JournalQuery, each func(wire.LogLine) error) error {
	query := url.Values{"lines": {strconv.Itoa(q.Lines)}, "follow": {strconv.FormatBool(q.Follow)}}
	if q.Node != "" {
		query.Set("node", string(q.Node))
	}
	if q.Form != "" {
		query.Set("output", q.Form)
	}
	return stream(ctx, c, request{method: http.MethodGet, path: path, query: query}, func(line wire.LogLine) error {
		if p := line.Error; p != nil {
			return cluster.Errorf(cluster.ParseKind(p.Code), "%s", p.Detail).WithHint(p.Hint)
		}
		return each(line)
	})
}

// NodeClient calls the API as a node: what an agent needs of its servers.
type NodeClient struct {
	*Client
	node cluster.NodeID
}

// WithNode returns the calls of a node.
func (c *Client) WithNode(id cluster.NodeID) *NodeClient { return &NodeClient{c, id} }

// Renew renews the node's session.
func (n *NodeClient) Renew(ctx context.Context, session cluster.Session) (answer cluster.Session, err error) {
	return answer, n.call(ctx, request{method: http.MethodPost, path: fill(wire.PathRenew, string(n.node)), body: session}, &answer)
}

// Report says what the node is.
func (n *NodeClient) Report(ctx context.Context, report cluster.Report) error {
	return n.call(ctx, request{method: http.MethodPut, path: fill(wire.PathReport, string(n.node)), body: report}, nil)
}

// Statuses says what the node's systemd shows.
func (n *NodeClient) Statuses(ctx context.Context, update wire.StatusUpdate) error {
	return n.call(ctx, request{method: http.MethodPost, path: fill(wire.PathStatuses, string(n.node)), body: update}, nil)
}

// Slices calls each for every message of the node's slice stream.
func (n *NodeClient) Slices(ctx context.Context, after cluster.Revision, each func(wire.SliceUpdate) error) error {
	query := url.Values{"after": {strconv.FormatInt(int64(after), 10)}}
	return stream(ctx, n.Client, request{method: http.MethodGet, path: fill(wire.PathSlice, string(n.node)), query: query}, each)
}

// RenewCertificate gets a new certificate for the node's key; current is the one
// that it has (PEM), which may have expired.
func (n *NodeClient) RenewCertificate(ctx context.Context, csr, current []byte) ([]byte, error) {
	var answer wire.CertAnswer
	err := n.call(ctx, request{method: http.MethodPost, path: fill(wire.PathCert, string(n.node)), body: wire.CertRequest{CSR: csr, Current: current}}, &answer)
	return answer.Certificate, err
}

// ServerSecrets gets what makes the node a server.
func (n *NodeClient) ServerSecrets(ctx context.Context) (secrets wire.ServerSecrets, err error) {
	return secrets, n.call(ctx, request{method: http.MethodPost, path: fill(wire.PathServer, string(n.node))}, &secrets)
}

// Prove makes the proof of an admission, on the TLS session that carries it.
type Prove func(state tls.ConnectionState) (wire.AdmitRequest, error)

// Admit asks one server after the other to admit a node. The proof is bound to
// the TLS session, so each attempt has a connection of its own. A server that
// was reached and refused ends it.
func Admit(ctx context.Context, addresses []string, settings *tls.Config, prove Prove) (answer wire.AdmitAnswer, err error) {
	for _, address := range addresses {
		answer, err = admitAt(ctx, address, settings, prove)
		if err == nil || cluster.KindOf(err) != cluster.Unavailable {
			return answer, err
		}
	}
	return answer, err
}

func admitAt(ctx context.Context, address string, settings *tls.Config, prove Prove) (answer wire.AdmitAnswer, err error) {
	settings = settings.Clone()
	settings.NextProtos = []string{"http/1.1"} // one request on a connection that was made by hand
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialMax}, Config: settings}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if our, ok := errors.AsType[*cluster.Error](err); ok {
		return answer, our
	}
	if err != nil {
		return answer, cluster.Errorf(cluster.Unavailable, "%s does not answer: %w", address, err).
			WithHint("is TCP port " + strconv.Itoa(wire.PortAPI) + " open between the machines?")
	}
	defer func() { _ = conn.Close() }()
	req, err := prove(conn.(*tls.Conn).ConnectionState())
	if err != nil {
		return answer, err
	}
	// The connection that the proof belongs to is handed to the client as its
	// only one.
	one := &Client{scheme: "https", addresses: []string{address}, http: &http.Client{Transport: &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}}
	return answer, one.call(ctx, request{method: http.MethodPost, path: wire.PathAdmit, body: req}, &answer)
}
