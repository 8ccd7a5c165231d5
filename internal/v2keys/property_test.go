package v2keys_test

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"argosy/internal/cluster"
	"argosy/internal/keyspace"
	"argosy/internal/keyspace/memspace"
	"argosy/internal/v2keys"
)

// drawRequest draws a request that writes, about few keys.
func drawRequest() *rapid.Generator[v2keys.Request] {
	return rapid.Custom(func(t *rapid.T) v2keys.Request {
		form := url.Values{"value": {rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")}}
		for name, values := range map[string][]string{
			"dir": {"", "", "true"}, "recursive": {"", "true", "true"}, "prevExist": {"", "", "true", "false"}, "prevValue": {"", "", "1"}, "ttl": {"", "", "30"},
		} {
			if v := rapid.SampledFrom(values).Draw(t, name); v != "" {
				form.Set(name, v)
			}
		}
		method := rapid.SampledFrom([]string{"PUT", "PUT", "PUT", "POST", "DELETE", "DELETE"}).Draw(t, "method")
		key := rapid.SampledFrom([]string{"/a", "/a", "/a/b", "/a/b/c"}).Draw(t, "key")
		r, wrong := v2keys.Parse(method, key, form)
		if wrong != nil {
			t.Fatal(wrong)
		}
		return r
	})
}

// planned is a request that was decided, and not carried out yet.
type planned struct {
	v2keys.Plan
	wrong *v2keys.Error
}

func decide(t *rapid.T, s *memspace.Space, r v2keys.Request, lease keyspace.Lease) planned {
	answers, rev, err := s.Read(t.Context(), r.Queries()...)
	if err != nil {
		t.Fatal(err)
	}
	view := r.NewView(answers, rev, time.Unix(0, 0))
	for _, id := range view.Under() {
		if state, err := s.Lease(t.Context(), id); err == nil {
			view.Leases[id] = state
		}
	}
	plan, wrong := view.Plan(r, lease)
	return planned{plan, wrong}
}

// Whatever two programs write at the same time, nothing is a key and a directory at
// once, every directory is on record, and a plan that was made of what is not so any
// more is not carried out or does no harm.
func TestTwoAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := memspace.New()
		var waiting []planned
		for i := range rapid.IntRange(20, 80).Draw(t, "steps") {
			lease, err := s.Grant(t.Context(), keyspace.NewLease(uint32(i)), time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			p := decide(t, s, drawRequest().Draw(t, "request"), lease)
			if p.wrong == nil {
				waiting = append(waiting, p)
			}
			for len(waiting) > 0 && (len(waiting) > 2 || rapid.Bool().Draw(t, "carry out")) {
				at := rapid.IntRange(0, len(waiting)-1).Draw(t, "which")
				p := waiting[at]
				waiting = append(waiting[:at], waiting[at+1:]...)
				if p.Renew == 0 {
					if _, _, err := s.Commit(t.Context(), p.Txn); err != nil && cluster.KindOf(err) != cluster.NotFound {
						t.Fatal(err)
					}
				}
				checkTree(t, s)
			}
		}
	})
}

// checkTree demands that what there is is a tree of version 2.
func checkTree(t *rapid.T, s *memspace.Space) {
	answers, _, err := s.Read(t.Context(), keyspace.Query{Span: keyspace.Prefix(keyspace.Keys)}, keyspace.Query{Span: keyspace.Prefix(keyspace.Folders)})
	if err != nil {
		t.Fatal(err)
	}
	files, dirs := map[string]bool{}, map[string]bool{"/": true}
	for _, item := range answers[0].Items {
		files[strings.TrimPrefix(item.Key, keyspace.Keys)] = true
	}
	for _, item := range answers[1].Items {
		dirs[strings.TrimPrefix(item.Key, keyspace.Folders)] = true
	}
	for key := range files {
		if dirs[key] {
			t.Fatalf("%s is a key and a directory", key)
		}
	}
	for _, all := range []map[string]bool{files, dirs} {
		for key := range all {
			if up := path.Dir(key); files[up] || !dirs[up] {
				t.Fatalf("%s lies in %s, which is no directory", key, up)
			}
		}
	}
}
