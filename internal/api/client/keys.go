package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// KeysQuery says which keys of the key space are wanted.
type KeysQuery struct {
	Key      string
	Prefix   bool // all that begin with Key
	KeysOnly bool
	Limit    int64            // 0: all
	After    cluster.Revision // of a watch; 0: from now on
}

func (q KeysQuery) values() url.Values {
	values := url.Values{"key": {q.Key}}
	for name, set := range map[string]bool{"prefix": q.Prefix, "keysOnly": q.KeysOnly} {
		if set {
			values.Set(name, "true")
		}
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.FormatInt(q.Limit, 10))
	}
	if q.After > 0 {
		values.Set("after", strconv.FormatInt(int64(q.After), 10))
	}
	return values
}

// Keys reads the key space.
func (c *Client) Keys(ctx context.Context, q KeysQuery) (keys wire.Keys, err error) {
	return keys, c.call(ctx, request{method: http.MethodGet, path: wire.PathKeys, query: q.values()}, &keys)
}

// WriteKey writes to the key space.
func (c *Client) WriteKey(ctx context.Context, w wire.KeyWrite) (answer wire.KeyAnswer, err error) {
	return answer, c.call(ctx, request{method: http.MethodPost, path: wire.PathKeys, body: w}, &answer)
}

// WatchKeys calls each for what changes in the key space, and for signs of life. It
// returns nil when the server ends the stream: go on after the revision of the last.
func (c *Client) WatchKeys(ctx context.Context, q KeysQuery, each func(wire.KeyEvents) error) error {
	return stream(ctx, c, request{method: http.MethodGet, path: wire.PathKeysWatch, query: q.values()}, each)
}
