package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

func someKeys() []wire.KeyItem {
	return []wire.KeyItem{
		{Key: wire.BytesOf("/app/motd"), Value: wire.BytesOf("hello\nthere"), Created: 3, Changed: 7, Version: 2},
		{Key: wire.BytesOf("/app/raw"), Value: wire.BytesOf("\xff\x1b[31m"), Created: 4, Changed: 4, Version: 1, Lease: 0x2a, TTL: 9 * time.Second},
		{Key: wire.BytesOf("other"), Value: wire.BytesOf(""), Created: 5, Changed: 5, Version: 1},
	}
}

func TestTheKeySpace(t *testing.T) {
	unavailable := map[string]error{"write": cluster.Errorf(cluster.Conflict, "nothing was written: the key holds \"x\"")}
	for name, c := range map[string]struct {
		line    string
		in      string
		fail    map[string]error
		code    int
		out     string
		err     string
		request string
	}{
		"a value goes out as it is": {line: "argosy kv get /app/raw", out: "\xff\x1b[31m\n", request: "keys /app/raw prefix false limit 0"},
		"several, with their keys":  {line: "argosy kv get /app/ --prefix --limit 5", out: "/app/motd\nhello\nthere\n/app/raw\n\xff\x1b[31m\n", request: "keys /app/ prefix true limit 5"},
		"one that there is not":     {line: "argosy kv get /none", code: 1, err: `there is no key "/none"`},
		"as JSON": {line: "argosy kv get /app/raw -o json", out: `{
  "key": {
    "text": "/app/raw"
  },
  "value": {
    "raw": "/xtbMzFt"
  },
  "created": 4,
  "changed": 4,
  "version": 1,
  "lease": 42,
  "ttl": 9000000000
}
`},
		"a table shows no control characters": {line: "argosy kv ls", out: "KEY        CHANGED  VALUE\n/app/motd  7        hello there\n/app/raw   4        ··[31m\nother      5        -\n", request: "keys  prefix true limit 0"},
		"a wide table":                        {line: "argosy kv ls /app/m -o wide", out: "KEY        CHANGED  CREATED  VERSION  LEASE  BYTES  VALUE\n/app/motd  7        3        2        -      11     hello there\n"},
		"set":                                 {line: "argosy kv put /a b --ttl 30s", err: "set at revision 10", request: "write /a=b ttl 30s delete false prefix false"},
		"set to what comes in":                {line: "argosy kv put /a", in: "text\n", request: "write /a=text\n ttl 0s delete false prefix false"},
		"removed":                             {line: "argosy kv rm /app/motd", err: "removed 1", request: "write /app/motd= ttl 0s delete true prefix false"},
		"removed, all that begin so":          {line: "argosy kv rm /app/ --prefix", err: "removed 2", request: "write /app/= ttl 0s delete true prefix true"},
		"removed, and there was none":         {line: "argosy kv rm /none", code: 1, err: "there is no key"},
		"removed, and none began so":          {line: "argosy kv rm /none --prefix", err: "removed 0"},
		"swapped, if absent":                  {line: "argosy kv cas /a b --absent", request: "write /a=b ttl 0s delete false prefix false if absent true changed 0"},
		"swapped, if it has a value":          {line: "argosy kv cas /a b --value= --revision 7", request: "write /a=b ttl 0s delete false prefix false if absent false changed 7 value "},
		"swapped, and it was otherwise":       {line: "argosy kv cas /a b --value c", fail: unavailable, code: 1, err: "nothing was written"},
		"swapped, on no condition":            {line: "argosy kv cas /a b", code: 2, err: "--absent, --value or --revision"},
		"a key is needed":                     {line: "argosy kv get", code: 2},
		"no such form":                        {line: "argosy kv get /a -o table", code: 2, err: "value, json, yaml"},
		"a command is needed":                 {line: "argosy kv exec-watch /a", code: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{keys: someKeys(), fail: c.fail}
			got := session{stdin: c.in}.run(t, f, strings.Fields(c.line)...)
			if diff := cmp.Diff(c.out, got.out); diff != "" || got.code != c.code || !strings.Contains(got.err, c.err) {
				t.Errorf("exit code %d, %s (-want +got):\n%s", got.code, got.err, diff)
			}
			if c.request != "" && !cmp.Equal([]string{c.request}, f.requests) {
				t.Errorf("asked %q", f.requests)
			}
		})
	}
}

func keyEvent(rev cluster.Revision, key, value string, deleted bool) wire.KeyEvents {
	item := wire.KeyItem{Key: wire.BytesOf(key), Value: wire.BytesOf(value), Changed: rev}
	return wire.KeyEvents{Revision: rev, Events: []wire.KeyEvent{{KeyItem: item, Deleted: deleted}}}
}

// What changes is told once, whatever happens to the connection.
func TestKeysAreFollowedThroughTheLossOfAServer(t *testing.T) {
	told := func() [][]wire.KeyEvents {
		return [][]wire.KeyEvents{
			{{Revision: 9}, keyEvent(10, "/app/x", "1", false), {Revision: 12}},
			{{Revision: 12}, keyEvent(13, "/app/x", "", true)},
		}
	}
	for line, want := range map[string]struct {
		out      string
		requests []string
	}{
		"argosy kv watch /app/ --prefix": {
			"put 10 /app/x 1\ndelete 13 /app/x \n", []string{"watchkeys /app/ prefix true after 0", "watchkeys /app/ prefix true after 12"},
		},
		"argosy kv watch /app/x --after 4 -o json": {
			`{"revision":10,"events":[{"key":{"text":"/app/x"},"value":{"text":"1"},"changed":10}]}` + "\n" +
				`{"revision":13,"events":[{"key":{"text":"/app/x"},"value":{},"changed":13,"deleted":true}]}` + "\n",
			[]string{"watchkeys /app/x prefix false after 4", "watchkeys /app/x prefix false after 12"},
		},
		"argosy kv exec-watch /app/ --prefix -- env -i sh -c echo": {
			"\n\n", []string{"watchkeys /app/ prefix true after 0", "watchkeys /app/ prefix true after 12"},
		},
		"argosy kv exec-watch /app/ --prefix -- printenv ARGOSY_EVENT ARGOSY_KEY ARGOSY_VALUE ARGOSY_REVISION": {
			"put\n/app/x\n1\n10\ndelete\n/app/x\n\n13\n", []string{"watchkeys /app/ prefix true after 0", "watchkeys /app/ prefix true after 12"},
		},
		"argosy kv ls /app/ -w --no-legend": {
			"/app/motd  7   hello there\n/app/raw   4   ··[31m\n/app/x     10  1\n/app/x     13  (gone)\n",
			[]string{"keys /app/ prefix true limit 0", "watchkeys /app/ prefix true after 9", "watchkeys /app/ prefix true after 12"},
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{keys: someKeys(), keyEvents: told(), watching: cancel}
		got := session{}.runContext(t, ctx, f, strings.Fields(line)...)
		if diff := cmp.Diff(strings.Fields(want.out), strings.Fields(got.out)); diff != "" || got.code != 0 {
			t.Errorf("%s: exit code %d, %s\n%s", line, got.code, got.err, diff)
		}
		if diff := cmp.Diff(want.requests, f.requests); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

// A command that fails is told, and the next change awaited; one that there is not ends
// the watch.
func TestACommandForEachChangeThatFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{keyEvents: [][]wire.KeyEvents{{keyEvent(10, "a", "", false), keyEvent(11, "a", "", false)}}, watching: cancel}
	got := session{}.runContext(t, ctx, f, strings.Fields("argosy kv exec-watch a -- false")...)
	if got.code != 0 || strings.Count(got.err, "false: exit status 1") != 2 {
		t.Errorf("exit code %d, %s", got.code, got.err)
	}
	f = &fake{keyEvents: [][]wire.KeyEvents{{keyEvent(10, "a", "", false)}}}
	if got := run(t, f, "argosy kv exec-watch a -- /no/such/program"); got.code != 1 || !strings.Contains(got.err, "/no/such/program") {
		t.Errorf("exit code %d, %s", got.code, got.err)
	}
}
