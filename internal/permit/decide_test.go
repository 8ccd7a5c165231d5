package permit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
)

const second = time.Second

// at is a reading at which all three clocks have moved equally since boot.
func at(d time.Duration) Reading {
	return Reading{Boot: d, Raw: d, Real: 1_700_000_000*second + d}
}

func TestAgeCountsByTheFastestClock(t *testing.T) {
	from := at(100 * second)
	for _, test := range []struct {
		name string
		to   Reading
		want time.Duration
	}{
		{"all agree", at(107 * second), 7 * second},
		{"a suspend is seen by the boot clock alone", Reading{from.Boot + 60*second, from.Raw + second, from.Real}, 60 * second},
		{"a slewed clock is outrun by the raw one", Reading{from.Boot + 9*second, from.Raw + 10*second, from.Real + 9*second}, 10 * second},
		{"a forward step of the wall clock counts", Reading{from.Boot + second, from.Raw + second, from.Real + 3600*second}, 3600 * second},
		{"a backward step of the wall clock does not", Reading{from.Boot + second, from.Raw + second, from.Real - 3600*second}, second},
	} {
		if got := Age(from, test.to); got != test.want {
			t.Errorf("%s: age %s, want %s", test.name, got, test.want)
		}
	}
}

func TestDecide(t *testing.T) {
	held := grant{sent: at(100 * second), valid: 10 * second}
	for _, test := range []struct {
		name  string
		grant grant
		now   Reading
		state State
		again time.Duration
	}{
		{"without a permit there is nothing to protect, however long", grant{}, at(1e6 * second), None, 2500 * time.Millisecond},
		{"a fresh permit is looked at five times per watchdog", held, at(100 * second), Held, second},
		{"a permit about to end is looked at when it ends", held, at(109*second + 400*time.Millisecond), Held, 600 * time.Millisecond},
		{"the last instant is no busy loop", held, at(110*second - 1), Held, time.Millisecond},
		{"the deadline itself is too late", held, at(110 * second), Expired, 0},
		{"long after the deadline", held, at(1e6 * second), Expired, 0},
		{"one fast clock is enough", held, Reading{held.sent.Boot, held.sent.Raw + 10*second, held.sent.Real}, Expired, 0},
		{"clocks that run backwards end it", held, Reading{1, 1, 1}, Expired, 0},
	} {
		got := decide(test.grant, test.now, 5*second)
		if got.state != test.state || got.again != test.again {
			t.Errorf("%s: %s, again in %s; want %s, %s", test.name, got.state, got.again, test.state, test.again)
		}
		if got.reason == "" {
			t.Errorf("%s: no reason", test.name)
		}
	}
}

func TestAccept(t *testing.T) {
	now := at(105 * second)
	held := grant{sent: at(100 * second), valid: 10 * second}
	for _, test := range []struct {
		name    string
		offered grant
		want    grant
		kind    cluster.Kind // 0: no error
	}{
		{"a later renewal extends", grant{at(104 * second), 10 * second}, grant{at(104 * second), 10 * second}, 0},
		{"a later renewal rules even if it ends sooner", grant{at(104 * second), 2 * second}, grant{at(104 * second), 2 * second}, 0},
		{"an earlier renewal that was overtaken changes nothing", grant{at(99 * second), 100 * second}, held, 0},
		{"the same renewal again changes nothing", held, held, 0},
		{"a renewal that is over already is refused", grant{at(95 * second), 10 * second}, held, cluster.Conflict},
		{"a renewal from the future is refused", grant{at(105*second + 1), 10 * second}, held, cluster.Invalid},
		{"a validity of nothing is refused", grant{at(104 * second), 0}, held, cluster.Invalid},
		{"a negative validity is refused", grant{at(104 * second), -second}, held, cluster.Invalid},
		{"an absurd validity is refused", grant{at(104 * second), validMax + 1}, held, cluster.Invalid},
		{"a wall clock that was set back since is no future", grant{Reading{now.Boot, now.Raw, now.Real + 5*second}, 10 * second}, grant{Reading{now.Boot, now.Raw, now.Real + 5*second}, 10 * second}, 0},
	} {
		got, err := accept(held, test.offered, now)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(grant{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if (err != nil) != (test.kind != 0) || err != nil && cluster.KindOf(err) != test.kind {
			t.Errorf("%s: error %v, want kind %v", test.name, err, test.kind)
		}
	}
}
