package permit

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzMessage: whatever is read either is refused or means the same when it is
// written and read again.
func FuzzMessage(f *testing.F) {
	f.Add(`{"sent":{"boot":1,"raw":2,"real":3},"valid":10000000000}`)
	f.Add(`{"valid":-1}`)
	f.Add(`{"valid":1e9}`)
	f.Add("null")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := readMessage(strings.NewReader(text))
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := readMessage(strings.NewReader(string(again))); err != nil || back != m {
			t.Errorf("%q was read as %+v, then as %+v (%v)", text, m, back, err)
		}
	})
}
