package keyspace_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"argosy/internal/keyspace"
)

// The span of a prefix holds what begins with it, whatever bytes these are, and nothing else.
func TestPrefix(t *testing.T) {
	bytes := rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 0xbd, 0xbf, 0xef, 0xfe, 0xff}), 0, 5).Draw(t, "bytes"))
	})
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := bytes.Draw(t, "prefix"), bytes.Draw(t, "key")
		if rapid.Bool().Draw(t, "below") {
			key = prefix + key
		}
		if key == "" {
			return // no key
		}
		if got, want := keyspace.Prefix(prefix).Holds(key), strings.HasPrefix(key, prefix); got != want {
			t.Fatalf("%q begins with %q: %v, want %v", key, prefix, got, want)
		}
	})
}
