package etcdv2_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/api/etcdv2"
	"argosy/internal/cluster"
	"argosy/internal/keyspace"
	"argosy/internal/keyspace/memspace"
	"argosy/internal/v2keys"
)

// old is an old program at the API.
type old struct {
	t     *testing.T
	space *memspace.Space
	api   http.Handler
}

func newOld(t *testing.T) *old {
	space, n := memspace.New(), uint32(0)
	return &old{t, space, etcdv2.New(etcdv2.Deps{
		Space: space, Cluster: func() cluster.ID { return "c1" }, Version: "3.7.3", Now: func() time.Time { return time.Unix(1_700_000_000, 0) },
		Random: func() uint32 { n++; return n },
		Members: func(_ context.Context, health bool) ([]keyspace.Member, error) {
			return []keyspace.Member{{ID: 0xab, Name: "n1", Healthy: health, Leader: health}}, nil
		},
	})}
}

// ask sends "METHOD key?query form" and returns the status and the body.
func (o *old) ask(line string) *httptest.ResponseRecorder {
	o.t.Helper()
	words := strings.SplitN(line, " ", 3)
	body := ""
	if len(words) == 3 {
		body = words[2]
	}
	r := httptest.NewRequest(words[0], "http://127.0.0.1:2379/v2/keys"+words[1], strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	o.api.ServeHTTP(w, r.WithContext(o.t.Context()))
	return w
}

// brief is an answer on one line: what was done to which node, and what that was before.
func (o *old) brief(w *httptest.ResponseRecorder) string {
	o.t.Helper()
	var e v2keys.Error
	if json.Unmarshal(w.Body.Bytes(), &e) == nil && e.Code != 0 {
		if e.Index == 0 && e.Code < 200 {
			o.t.Errorf("an error without an index: %s", w.Body)
		}
		return fmt.Sprintf("%d: %d %s (%s)", w.Code, e.Code, e.Message, e.Cause)
	}
	var a v2keys.Answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		o.t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	text := fmt.Sprintf("%d: %s %s", w.Code, a.Action, shown(a.Node))
	if a.Prev != nil {
		text += " was " + shown(a.Prev)
	}
	return text
}

func shown(n *v2keys.Node) string {
	text := n.Key
	if n.Value != nil {
		text += "=" + *n.Value
	}
	if n.Dir {
		text += "/"
	}
	if n.TTL != 0 {
		text += fmt.Sprintf(" for %d", n.TTL)
	}
	for i, child := range n.Nodes {
		text += []string{" [", ", "}[min(i, 1)] + shown(child)
	}
	if len(n.Nodes) > 0 {
		text += "]"
	}
	return text
}

// What version 2 answered, line by line, as its manual has it.
func TestTheKeysOfVersion2(t *testing.T) {
	for name, lines := range map[string][]string{
		"a key": {
			"PUT /message value=Hello+world", "201: set /message=Hello world",
			"GET /message", "200: get /message=Hello world",
			"PUT /message value=Hello+etcd", "200: set /message=Hello etcd was /message=Hello world",
			"DELETE /message", "200: delete /message was /message=Hello etcd",
			"GET /message", "404: 100 Key not found (/message)",
			"DELETE /message", "404: 100 Key not found (/message)",
			"PUT /empty", "201: set /empty=",
		},
		"what is over a key": {
			"PUT /a/b/c value=1", "201: set /a/b/c=1",
			"GET /a/x/y", "404: 100 Key not found (/a/x)",
			"GET /a/b/c/d", "400: 104 Not a directory (/a/b/c)",
			"PUT /a/b/c/d value=1", "400: 104 Not a directory (/a/b/c)",
			"PUT /a/b value=1", "403: 102 Not a file (/a/b)",
			"DELETE /a/b/c", "200: delete /a/b/c was /a/b/c=1",
			"GET /a/b", "200: get /a/b/",
			"DELETE /a/b", "403: 102 Not a file (/a/b)",
		},
		"directories": {
			"PUT /d dir=true", "201: set /d/",
			"PUT /d dir=true", "403: 102 Not a file (/d)",
			"PUT /d dir=true&prevExist=false", "412: 105 Key already exists (/d)",
			"GET /d", "200: get /d/",
			"PUT /d/x value=1", "201: set /d/x=1",
			"PUT /d/e/f value=2", "201: set /d/e/f=2",
			"GET /d", "200: get /d/ [/d/e/, /d/x=1]",
			"GET /d?recursive=true&sorted=true", "200: get /d/ [/d/e/ [/d/e/f=2], /d/x=1]",
			"GET /", "200: get / [/d/]",
			"GET /?recursive=true", "200: get / [/d/ [/d/e/ [/d/e/f=2], /d/x=1]]",
			"DELETE /d?dir=true", "403: 108 Directory not empty (/d)",
			"DELETE /d", "403: 102 Not a file (/d)",
			"DELETE /d?recursive=true", "200: delete /d/ was /d/",
			"GET /", "200: get /",
			"PUT /d dir=true", "201: set /d/",
			"DELETE /d?dir=true", "200: delete /d/ was /d/",
			"PUT /f value=1", "201: set /f=1",
			"PUT /f dir=true", "200: set /f/ was /f=1",
			"GET /f", "200: get /f/",
			"PUT /new dir=true&prevExist=false", "201: create /new/",
			"PUT /none dir=true&prevExist=true&ttl=5", "404: 100 Key not found (/none)",
		},
		"the root": {
			"PUT / value=1", "400: 107 Root is read only (/)",
			"DELETE /?recursive=true", "400: 107 Root is read only (/)",
			"PUT / dir=true", "400: 107 Root is read only (/)",
		},
		"compared": {
			"PUT /k value=1&prevExist=true", "404: 100 Key not found (/k)",
			"PUT /k value=1&prevValue=0", "404: 100 Key not found (/k)",
			"PUT /k value=1&prevExist=false", "201: create /k=1",
			"PUT /k value=2&prevExist=false", "412: 105 Key already exists (/k)",
			"PUT /k value=2&prevExist=true", "200: update /k=2 was /k=1",
			"PUT /k value=3&prevValue=1", "412: 101 Compare failed ([1 != 2])",
			"PUT /k?prevValue=2 value=3", "200: compareAndSwap /k=3 was /k=2",
			"PUT /k value=4&prevIndex=1", "412: 101 Compare failed ([1 != 4])",
			"PUT /k value=4&prevIndex=1&prevValue=x", "412: 101 Compare failed ([x != 3] [1 != 4])",
			"PUT /k value=4&prevIndex=4", "200: compareAndSwap /k=4 was /k=3",
			"DELETE /k?prevValue=3", "412: 101 Compare failed ([3 != 4])",
			"DELETE /k?prevIndex=3", "412: 101 Compare failed ([3 != 5])",
			"DELETE /k?prevValue=4", "200: compareAndDelete /k was /k=4",
			"PUT /d dir=true", "201: set /d/",
			"PUT /d value=1&prevValue=0", "403: 102 Not a file (/d)",
			"DELETE /d?prevIndex=3&recursive=true", "403: 102 Not a file (/d)",
			"PUT /k value=1&prevValue=", "400: 201 PrevValue is Required in POST form (CompareAndSwap)",
		},
		"in order": {
			"POST /queue value=Job1", "201: create /queue/00000000000000000002=Job1",
			"POST /queue value=Job2", "201: create /queue/00000000000000000003=Job2",
			"GET /queue?recursive=true&sorted=true", "200: get /queue/ [/queue/00000000000000000002=Job1, /queue/00000000000000000003=Job2]",
			"PUT /file value=1", "201: set /file=1",
			"POST /file value=1", "400: 104 Not a directory (/file)",
			"POST / value=1", "201: create /00000000000000000005=1",
		},
		"hidden": {
			"PUT /_message value=Hello", "201: set /_message=Hello",
			"PUT /message value=Hello", "201: set /message=Hello",
			"PUT /a/_b/c value=1", "201: set /a/_b/c=1",
			"GET /", "200: get / [/a/, /message=Hello]",
			"GET /?recursive=true", "200: get / [/a/, /message=Hello]",
			"GET /_message", "200: get /_message=Hello",
			"GET /a/_b", "200: get /a/_b/ [/a/_b/c=1]",
		},
		"what cannot be meant": {
			"GET /k?wait=maybe", `400: 209 Invalid field (invalid value for "wait")`,
			"GET /k?recursive=2", `400: 209 Invalid field (invalid value for "recursive")`,
			"PUT /k ttl=soon&value=1", `400: 202 The given TTL in POST form is not a number (invalid value for "ttl")`,
			"PUT /k ttl=-1&value=1", `400: 202 The given TTL in POST form is not a number (invalid value for "ttl")`,
			"PUT /k prevIndex=x&value=1", `400: 203 The given index in POST form is not a number (invalid value for "prevIndex")`,
			"GET /k?wait=true&waitIndex=x", `400: 203 The given index in POST form is not a number (invalid value for "waitIndex")`,
			"PUT /k prevExist=perhaps&value=1", `400: 209 Invalid field (invalid value for "prevExist")`,
			"PUT /k?wait=true value=1", `400: 209 Invalid field ("wait" can only be used with GET requests)`,
			"PUT /k value=%zz", `400: 210 Invalid POST form (invalid URL escape "%zz")`,
			"PUT /k refresh=true&value=1&ttl=5", "400: 211 Value provided on refresh (A value was provided on a refresh)",
			"PUT /k refresh=true", "400: 212 A TTL must be provided on refresh (No TTL value set)",
			"PUT /k refresh=true&ttl=5&prevExist=true", "404: 100 Key not found (/k)",
			"GET /" + strings.Repeat("a/", 41), "400: 209 Invalid field (the key is too long, or has more than 40 parts)",
		},
		"with a time": {
			"PUT /foo value=bar&ttl=5", "201: set /foo=bar for 5",
			"GET /foo", "200: get /foo=bar for 5",
			"pass 2s", "",
			"GET /foo", "200: get /foo=bar for 3",
			"PUT /foo ttl=5&refresh=true&prevExist=true", "200: update /foo=bar for 5 was /foo=bar for 3",
			"PUT /foo ttl=9&refresh=true&prevExist=true", "200: update /foo=bar for 9 was /foo=bar for 5",
			"PUT /foo value=bar&ttl=", "200: set /foo=bar was /foo=bar for 9",
			"pass 1h", "",
			"PUT /foo value=bar&ttl=3", "200: set /foo=bar for 3 was /foo=bar",
			"pass 3s", "",
			"GET /foo", "404: 100 Key not found (/foo)",
		},
		"directories with a time": {
			"PUT /d dir=true&ttl=10", "201: set /d/ for 10",
			"PUT /d/a value=1", "201: set /d/a=1 for 10",
			"PUT /d/e/f value=1", "201: set /d/e/f=1 for 10",
			"PUT /d/own value=1&ttl=3", "201: set /d/own=1 for 3",
			"pass 6s", "",
			"GET /d?recursive=true", "200: get /d/ for 4 [/d/a=1 for 4, /d/e/ for 4 [/d/e/f=1 for 4]]",
			"PUT /d dir=true&ttl=10&prevExist=true", "200: update /d/ for 10 was /d/ for 4",
			"PUT /d dir=true&ttl=20&prevExist=true", "200: update /d/ for 20 was /d/ for 10",
			"pass 15s", "",
			"GET /d?recursive=true", "200: get /d/ for 5 [/d/a=1 for 5, /d/e/ for 5 [/d/e/f=1 for 5]]",
			"POST /d value=1", "201: create /d/00000000000000000008=1 for 5",
			"pass 5s", "",
			"GET /", "200: get /",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOld(t)
			for i := 0; i < len(lines); i += 2 {
				if text, ok := strings.CutPrefix(lines[i], "pass "); ok {
					d, _ := time.ParseDuration(text)
					o.space.Pass(d)
					continue
				}
				if got := o.brief(o.ask(lines[i])); got != lines[i+1] {
					t.Errorf("%s\n\tanswers %s\n\twant    %s", lines[i], got, lines[i+1])
				}
			}
		})
	}
}

// Who sets a key with a time again and again leaves no leases behind.
func TestNoLeaseIsLeftBehind(t *testing.T) {
	o := newOld(t)
	for range 20 {
		o.ask("PUT /services/web/1 value=x&ttl=60")
		o.ask("PUT /services/web/1 value=x&ttl=60&prevExist=false") // refused
		o.ask("PUT /services/web/1 ttl=60&refresh=true&prevExist=true")
	}
	if n := o.space.Leases(); n != 1 {
		t.Errorf("%d leases are left of 60 requests", n)
	}
}

// What version 3 wrote is a key of version 2, if it can be one.
func TestOneSpaceForBothVersions(t *testing.T) {
	o := newOld(t)
	for _, key := range []string{"/skydns/local/x", "no/slash", "/a//b", "/both", "/both/below", "/end/"} {
		if _, ok, err := o.space.Commit(t.Context(), keyspace.Txn{Then: []keyspace.Op{{Span: keyspace.One(keyspace.Keys + key), Value: []byte("3")}}}); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for line, want := range map[string]string{
		"GET /?recursive=true": "200: get / [/both/ [/both/below=3], /skydns/ [/skydns/local/ [/skydns/local/x=3]]]",
		"GET /skydns/local/x":  "200: get /skydns/local/x=3",
		"GET /no/slash":        "404: 100 Key not found (/no)",
		"PUT /skydns value=1":  "403: 102 Not a file (/skydns)",
	} {
		if got := o.brief(o.ask(line)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	o.ask("PUT /x/y value=2")
	answers, _, err := o.space.Read(t.Context(), keyspace.Query{Span: keyspace.Prefix(keyspace.Keys + "/x")})
	if err != nil || answers[0].Count != 1 || answers[0].Items[0].Key != keyspace.Keys+"/x/y" {
		t.Errorf("version 3 sees %+v of a key of version 2", answers)
	}
}

// Whoever waits is told what happens, from the index that was asked for.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOld(t)
		waiting := func(line string) func() string {
			done := make(chan *httptest.ResponseRecorder, 1)
			go func() { done <- o.ask("GET " + line) }()
			synctest.Wait()
			return func() string {
				synctest.Wait()
				select {
				case w := <-done:
					return o.brief(w)
				default:
					return "waits"
				}
			}
		}
		o.ask("PUT /a/x value=1") // 2
		one, all, other, hidden := waiting("/a/x?wait=true"), waiting("/a?wait=true&recursive=true"), waiting("/a?wait=true"), waiting("/?wait=true&recursive=true")
		o.ask("PUT /a-b value=1") // 3
		hidden()
		hidden = waiting("/?wait=true&recursive=true")
		o.ask("PUT /a/_h value=1") // 4
		if got := one() + "; " + all() + "; " + hidden(); got != "waits; waits; waits" {
			t.Errorf("what happened elsewhere was told: %s", got)
		}
		o.ask("PUT /a/x value=2") // 5
		for name, tt := range map[string]struct{ got, want string }{
			"the key": {one(), "200: set /a/x=2 was /a/x=1"}, "the directory": {all(), "200: set /a/x=2 was /a/x=1"},
			"the directory itself": {other(), "waits"}, "everything": {hidden(), "200: set /a/x=2 was /a/x=1"},
			"from an index":         {waiting("/a/x?wait=true&waitIndex=2")(), "200: set /a/x=1"},
			"from the next index":   {waiting("/a/x?wait=true&waitIndex=3")(), "200: set /a/x=2 was /a/x=1"},
			"from an index to come": {waiting("/a/x?wait=true&waitIndex=6")(), "waits"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: told %q, want %q", name, tt.got, tt.want)
			}
		}
		last := waiting("/a?wait=true&recursive=true")
		o.ask("PUT /a/y value=2&ttl=5")
		last()
		last = waiting("/a?wait=true&recursive=true")
		o.space.Pass(5 * time.Second)
		if got := last(); got != "200: expire /a/y was /a/y=2" {
			t.Errorf("of a key whose time is over, told %q", got)
		}
		o.ask("PUT /a/z/1 value=3")
		last = waiting("/?wait=true&recursive=true")
		o.ask("DELETE /a?recursive=true")
		if got := last(); got != "200: delete /a/ was /a/" {
			t.Errorf("of a directory that is gone, told %q", got)
		}
		o.ask("PUT /t value=1&ttl=60")
		last = waiting("/t?wait=true")
		if got := o.brief(o.ask("PUT /t ttl=60&refresh=true&prevExist=true")) + "; " + last(); got != "200: update /t=1 for 60 was /t=1 for 60; waits" {
			t.Errorf("of a refresh, told %q", got)
		}
		o.space.Compact(6)
		if got := waiting("/a?wait=true&waitIndex=3")(); got != "400: 401 The event in requested index is outdated and cleared (the requested history has been cleared)" {
			t.Errorf("of what is forgotten, told %q", got)
		}
	})
}

func TestAStreamTellsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		go o.api.ServeHTTP(w, httptest.NewRequest("GET", "/v2/keys/s?wait=true&recursive=true&stream=true", nil).WithContext(ctx))
		synctest.Wait()
		o.ask("PUT /s/1 value=a")
		o.ask("PUT /s/2 value=b")
		synctest.Wait()
		cancel()
		synctest.Wait()
		if n := strings.Count(w.Body.String(), `"action":"set"`); n != 2 || !w.Flushed {
			t.Errorf("a stream told %q", w.Body)
		}
	})
}

func TestWhatClientsLookAtFirst(t *testing.T) {
	o := newOld(t)
	for path, want := range map[string]string{
		"/version":                `{"etcdcluster":"3.7.3","etcdserver":"3.7.3"}`,
		"/health":                 `{"health":"true"}`,
		"/v2/machines":            "http://127.0.0.1:2379",
		"/v2/members":             `{"members":[{"id":"ab","name":"n1","peerURLs":null,"clientURLs":["http://127.0.0.1:2379"]}]}`,
		"/v2/members?health=true": `{"members":[{"id":"ab","name":"n1","peerURLs":null,"clientURLs":["http://127.0.0.1:2379"],"healthy":true,"leader":true}]}`,
		"/v2/members/leader":      `{"id":"ab","name":"n1","peerURLs":null,"clientURLs":["http://127.0.0.1:2379"],"healthy":true,"leader":true}`,
	} {
		w := httptest.NewRecorder()
		o.api.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:2379"+path, nil))
		if diff := cmp.Diff(want, strings.TrimSpace(w.Body.String())); diff != "" || w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, diff)
		}
	}
	w := o.ask("GET /")
	if w.Header().Get("X-Etcd-Index") != "1" || w.Header().Get("X-Etcd-Cluster-Id") != "c1" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.Header())
	}
	if w := o.ask("PATCH /x"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("PATCH: %d", w.Code)
	}
	if w := o.ask("PUT /x value=" + strings.Repeat("x", 4<<20)); w.Code != 400 {
		t.Errorf("a form of 4 MiB: %d", w.Code)
	}
}
