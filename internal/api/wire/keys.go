package wire

import (
	"time"
	"unicode/utf8"

	"argosy/internal/cluster"
)

// Paths of the key space of applications. Those of etcd's own API are etcd's.
const (
	PathKeys      = "/v1/kv"       // GET Keys; ?key= &prefix= &keysOnly= &limit=; POST KeyWrite -> KeyAnswer
	PathKeysWatch = "/v1/kv:watch" // GET stream of KeyEvents; ?key= &prefix= &after=
)

// Bytes is what a key or a value holds: a text if it can be one.
type Bytes struct {
	Text string `json:"text,omitempty"`
	// Raw is what is no text (UTF-8), in base64.
	Raw []byte `json:"raw,omitempty"`
}

// BytesOf puts bytes into a form that JSON can carry.
func BytesOf(b string) Bytes {
	if utf8.ValidString(b) {
		return Bytes{Text: b}
	}
	return Bytes{Raw: []byte(b)}
}

// String returns the bytes.
func (b Bytes) String() string {
	if len(b.Raw) > 0 {
		return string(b.Raw)
	}
	return b.Text
}

// KeyItem is a key of the key space with its value.
type KeyItem struct {
	Key     Bytes            `json:"key"`
	Value   Bytes            `json:"value"`
	Created cluster.Revision `json:"created,omitempty"`
	Changed cluster.Revision `json:"changed,omitempty"`
	Version int64            `json:"version,omitempty"` // how often it was written since it was created
	Lease   int64            `json:"lease,omitempty"`
	// TTL is how long the key lasts, if it was asked for alone.
	TTL time.Duration `json:"ttl,omitempty"`
}

// Keys is a listing of the key space. Count is of all that was asked for, whatever
// the limit.
type Keys struct {
	Revision cluster.Revision `json:"revision"`
	Count    int64            `json:"count"`
	Items    []KeyItem        `json:"items"`
}

// KeyWrite is a write to the key space: of a key, or the removal of a key, or of all
// that begin with it.
type KeyWrite struct {
	Key    Bytes         `json:"key"`
	Value  Bytes         `json:"value,omitzero"`
	TTL    time.Duration `json:"ttl,omitempty"` // whole seconds; 0: for good
	Delete bool          `json:"delete,omitempty"`
	Prefix bool          `json:"prefix,omitempty"` // with delete
	If     *KeyCondition `json:"if,omitempty"`
}

// KeyCondition is what must be so for a write to happen; all that is set must.
type KeyCondition struct {
	Absent  bool             `json:"absent,omitempty"`
	Value   *Bytes           `json:"value,omitempty"`
	Changed cluster.Revision `json:"changed,omitempty"`
}

// KeyAnswer tells what a write did.
type KeyAnswer struct {
	Revision cluster.Revision `json:"revision"`
	// Removed is how many keys are gone.
	Removed int64 `json:"removed,omitempty"`
}

// KeyEvents tells what changed in the key space up to a revision; without events it is
// a sign of life.
type KeyEvents struct {
	Revision cluster.Revision `json:"revision"`
	Events   []KeyEvent       `json:"events,omitempty"`
}

// KeyEvent is one change of one key.
type KeyEvent struct {
	KeyItem
	Deleted bool `json:"deleted,omitempty"`
}
