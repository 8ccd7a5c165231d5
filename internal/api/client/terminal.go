package client

import (
	"context"
	"io"
	"net/http"

	"argosy/internal/api/wire"
	"argosy/internal/channel"
	"argosy/internal/cluster"
)

// Terminal runs a shell or a command on a node, connected with the streams, and
// returns its exit code. It ends when the command has ended, with its context, or
// when the connection breaks; in the latter cases the command is ended too.
func (c *Client) Terminal(ctx context.Context, node cluster.NodeID, want wire.Terminal, streams channel.Streams) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out *io.PipeWriter
	response, err := c.do(ctx, request{
		method: http.MethodPost, path: fill(wire.PathTerminal, string(node)),
		stream: func() io.Reader {
			var in *io.PipeReader
			in, out = io.Pipe()
			go func(first *channel.Conn) {
				_ = first.SendJSON(channel.Open, want) // an attempt that fails closes the pipe
			}(channel.NewConn(nil, out, nil))
			return in
		},
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	defer func() { _ = out.Close() }()
	return channel.Attach(ctx, channel.NewConn(response.Body, out, nil), streams)
}
