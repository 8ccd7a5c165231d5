package resolve

import (
	"container/list"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits of what is kept of others' answers.
const (
	cacheMax      = 10000
	cacheBytesMax = 16 << 20
	keepMin       = time.Second
	keepMax       = time.Hour
	keepNoneMax   = 5 * time.Minute // that there is nothing (RFC 2308 allows hours)
	keepFailure   = time.Second     // RFC 9520
)

// cacheKey is a question, as far as answers may differ.
type cacheKey struct {
	name        string // in lower case
	kind, class uint16
	do, cd      bool
}

// cache is answers of others, for as long as they allow, and those that were used last
// if there is not room for all.
type cache struct {
	mu      sync.Mutex
	entries map[cacheKey]*list.Element
	used    *list.List // of *entry, the last used in front
	bytes   int
}

type entry struct {
	key   cacheKey
	msg   *dns.Msg
	size  int
	until time.Time
}

func newCache() *cache { return &cache{entries: map[cacheKey]*list.Element{}, used: list.New()} }

// get returns a copy of an answer that may still be used, with what is left of its time.
func (c *cache) get(key cacheKey, now time.Time) *dns.Msg {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	if at == nil {
		return nil
	}
	e := at.Value.(*entry)
	if !now.Before(e.until) {
		c.remove(at)
		return nil
	}
	c.used.MoveToFront(at)
	left := uint32(max(e.until.Sub(now)/time.Second, 0))
	msg := e.msg.Copy()
	for _, section := range [][]dns.RR{msg.Answer, msg.Ns, msg.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				h.Ttl = min(h.Ttl, left)
			}
		}
	}
	return msg
}

// put keeps an answer, which must not be changed any more.
func (c *cache) put(key cacheKey, msg *dns.Msg, now time.Time) {
	keep := keepFor(msg)
	size := msg.Len() + len(key.name)
	if keep <= 0 || size > cacheBytesMax/64 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[key]; old != nil {
		c.remove(old)
	}
	c.entries[key] = c.used.PushFront(&entry{key, msg, size, now.Add(keep)})
	c.bytes += size
	for c.used.Len() > cacheMax || c.bytes > cacheBytesMax {
		c.remove(c.used.Back())
	}
}

func (c *cache) remove(at *list.Element) {
	e := at.Value.(*entry)
	c.used.Remove(at)
	delete(c.entries, e.key)
	c.bytes -= e.size
}

// keepFor returns how long an answer may be kept, 0 if not at all.
func keepFor(msg *dns.Msg) time.Duration {
	switch {
	case msg.Truncated:
		return 0
	case msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError:
		return keepFailure
	case len(msg.Answer) == 0 || msg.Rcode == dns.RcodeNameError:
		return keepNone(msg)
	}
	least := keepMax
	for _, section := range [][]dns.RR{msg.Answer, msg.Ns} {
		for _, rr := range section {
			least = min(least, time.Duration(rr.Header().Ttl)*time.Second)
		}
	}
	return max(least, keepMin)
}

// keepNone returns how long it may be remembered that there is nothing.
func keepNone(msg *dns.Msg) time.Duration {
	for _, rr := range msg.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return max(min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, keepNoneMax), keepMin)
		}
	}
	return keepMin
}
