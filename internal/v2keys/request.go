// Package v2keys is version 2 of etcd's API for keys, as old programs know it, in
// terms of version 3: a request and what is there now become a transaction, and an
// answer in version 2's words. It is pure. One space serves both versions:
//
//   - The key /a/b of version 2 is the key "/a/b" of version 3, with the same value.
//     What does not begin with a slash, or has an empty part, version 2 does not see.
//   - A directory is where keys are below. Version 2 keeps directories that are empty,
//     so they have records of their own, beside the keys (keyspace.Folders).
//   - Of a key that has both a value and keys below, which only version 3 can make,
//     version 2 shows the directory.
//   - An index is a revision, so it grows by what others write, too.
package v2keys

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"argosy/internal/keyspace"
)

// Verb is what is asked.
type Verb string

// The verbs, by the methods of HTTP that ask them.
const (
	Get    Verb = "GET"
	Set    Verb = "PUT"
	Append Verb = "POST" // create a key with a name that sorts last
	Delete Verb = "DELETE"
)

// Request is a request of version 2, checked.
type Request struct {
	Verb  Verb
	Key   string // begins with a slash and does not end in one, but for the root
	Value string
	Dir   bool

	Recursive bool
	// TTL is how long what is written lasts; nil: for good.
	TTL     *time.Duration
	Refresh bool // the time only

	PrevValue string // "": any
	PrevIndex uint64 // 0: any
	PrevExist *bool  // nil: either

	Wait, Stream bool
	WaitIndex    uint64 // 0: from now on
}

// Bounds of a request.
const (
	depthMax = 40 // parts of a key; each is looked at in the transaction that writes it
	ttlMax   = 1 << 31
)

// Parse reads a request: the part of the path that is the key, and the form.
func Parse(method, key string, form url.Values) (Request, *Error) {
	r := Request{
		Verb: Verb(method), Key: path.Clean("/" + key),
		Value: form.Get("value"), PrevValue: form.Get("prevValue"),
	}
	if len(r.parts()) > depthMax || len(r.Key) > keyspace.RequestBytesMax/depthMax {
		return r, fail(InvalidField, "the key is too long, or has more than "+strconv.Itoa(depthMax)+" parts")
	}
	var wrong *Error
	flag := func(name string) bool {
		v, err := parseFlag(form, name)
		if wrong == nil {
			wrong = err
		}
		return v != nil && *v
	}
	number := func(name string, code int) uint64 {
		text := form.Get(name)
		n, err := strconv.ParseUint(text, 10, 63)
		if text != "" && err != nil && wrong == nil {
			wrong = fail(code, `invalid value for "`+name+`"`)
		}
		return n
	}
	r.Dir, r.Recursive, r.Wait, r.Stream, r.Refresh = flag("dir"), flag("recursive"), flag("wait"), flag("stream"), flag("refresh")
	flag("sorted") // all answers are
	flag("quorum") // all reads are
	r.PrevIndex, r.WaitIndex = number("prevIndex", IndexNaN), number("waitIndex", IndexNaN)
	if ttl := number("ttl", TTLNaN); form.Get("ttl") != "" {
		d := time.Duration(min(ttl, ttlMax)) * time.Second
		r.TTL = &d
	}
	exist, err := parseFlag(form, "prevExist")
	if wrong == nil {
		wrong = err
	}
	if r.PrevExist = exist; wrong == nil {
		wrong = r.check(form)
	}
	return r, wrong
}

// check finds what does not go together.
func (r Request) check(form url.Values) *Error {
	switch {
	case form.Has("prevValue") && r.PrevValue == "":
		return fail(PrevValueRequired, "CompareAndSwap") // an empty one says nothing
	case r.Wait && r.Verb != Get:
		return fail(InvalidField, `"wait" can only be used with GET requests`)
	case r.Refresh && r.Value != "":
		return fail(RefreshValue, "A value was provided on a refresh")
	case r.Refresh && r.TTL == nil:
		return fail(RefreshTTLRequired, "No TTL value set")
	case r.Refresh && (r.Verb != Set || r.Dir):
		return fail(InvalidField, `"refresh" is for keys that are there`)
	}
	return nil
}

func parseFlag(form url.Values, name string) (*bool, *Error) {
	text := form.Get(name)
	if text == "" {
		return nil, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fail(InvalidField, `invalid value for "`+name+`"`)
	}
	return &v, nil
}

// parts are those of the key.
func (r Request) parts() []string {
	return strings.FieldsFunc(r.Key, func(c rune) bool { return c == '/' })
}

// above are the directories over a key, from the top; the root is not among them.
func above(key string) (list []string) {
	for i := 1; i < len(key); i++ {
		if key[i] == '/' {
			list = append(list, key[:i])
		}
	}
	return list
}

// below is what the keys under a directory begin with.
func below(dir string) string { return strings.TrimSuffix(dir, "/") + "/" }

// Leaf and folder of a key, as keys of the space.
func leaf(key string) string   { return keyspace.Keys + key }
func folder(key string) string { return keyspace.Folders + key }
