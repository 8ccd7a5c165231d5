package v2keys_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"argosy/internal/keyspace"
	"argosy/internal/v2keys"
)

// Whatever is asked, it is refused or stays within what one transaction may hold, and
// within the two halves of the space.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a/b", "recursive=true&sorted=true", "keys//a/b/c", "1")
	f.Add("PUT", "a//../b/", "value=1&ttl=5&prevExist=true&dir=true", "folders//b", "")
	f.Add("POST", "/", "value=%00", "keys//", "x")
	f.Add("DELETE", "/a/_b", "recursive=true&prevIndex=3", "keys//a", "1")
	f.Add("GET", "/x", "wait=true&waitIndex=9223372036854775807", "keys//x", "")
	f.Fuzz(func(t *testing.T, method, key, query, there, value string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, wrong := v2keys.Parse(method, key, form)
		if wrong != nil {
			if wrong.Message == "" || wrong.Status() < 400 {
				t.Errorf("refused without a reason: %+v", wrong)
			}
			return
		}
		inside := func(s keyspace.Span) {
			for _, half := range []string{keyspace.Keys + "/", keyspace.Folders + "/"} {
				if strings.HasPrefix(s.Key, half) && (s.End == "" || s.End <= keyspace.Prefix(half).End) {
					return
				}
			}
			t.Errorf("%s %q leads to %q", method, key, s)
		}
		inside(r.Watched())
		if r.Wait && r.WaitIndex > 0 && r.After() < 0 {
			t.Errorf("after %d", r.After())
		}
		queries := r.Queries()
		answers := make([]keyspace.Answer, len(queries))
		item := keyspace.Item{Key: there, Value: []byte(value), Created: 1, Changed: 2, Lease: keyspace.NewLease(1)}
		for i, q := range queries {
			inside(q.Span)
			if q.Holds(there) {
				answers[i].Items = []keyspace.Item{item}
			}
		}
		view := r.NewView(answers, 7, time.Unix(0, 0))
		if r.Verb == v2keys.Get {
			if _, wrong := view.Show(r); wrong != nil && wrong.Index != 7 {
				t.Errorf("an error without its index: %+v", wrong)
			}
			return
		}
		plan, wrong := view.Plan(r, keyspace.NewLease(2))
		if wrong != nil {
			return
		}
		if n := len(plan.Txn.If) + len(plan.Txn.Then); n > keyspace.OpsMax {
			t.Errorf("%d operations", n)
		}
		written := map[string]bool{}
		for _, op := range plan.Txn.Then {
			inside(op.Span)
			if written[op.Key] && !op.Delete {
				t.Errorf("%q is written twice", op.Key)
			}
			written[op.Key] = true
		}
		plan.Answer(8, keyspace.LeaseState{})
	})
}
