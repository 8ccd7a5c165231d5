package health_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"argosy/internal/health"
	"argosy/internal/unitfile"
)

var began = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// asked is a unit that may fail twice, and a minute long while it starts.
var asked = unitfile.Health{Interval: 5 * time.Second, Retries: 3, Grace: time.Minute}

// answer is one answer, so long after the unit became active.
type answer struct {
	at      time.Duration
	failure string
}

func TestAUnitIsJudgedByItsAnswers(t *testing.T) {
	const no, late = "no", time.Minute
	for _, tt := range []struct {
		name    string
		answers []answer
		whyNot  string
		sick    string
		next    time.Duration // after the last answer
	}{
		{"one that was not asked cannot be used, and is asked at once", nil, "it was not asked yet", "", 0},
		{"a good answer makes it healthy", []answer{{0, ""}}, "", "", 5 * time.Second},
		{"a failure while it starts does not count", []answer{{0, no}}, no, "", 50 * time.Millisecond},
		{"nor do many, and they are further and further apart", []answer{{0, no}, {1, no}, {2, no}, {3, no}}, no, "", 400 * time.Millisecond},
		{"but not too far", []answer{{0, no}, {1, no}, {2, no}, {3, no}, {4, no}, {5, no}, {6, no}}, no, "", time.Second},
		{"until its time is over", []answer{{late - 1, no}, {late, no}, {late, no}}, no, "", 5 * time.Second},
		{"then it is sick", []answer{{late, no}, {late, no}, {late, no}}, no, no, 5 * time.Second},
		{"one that was healthy may fail now and then, whenever", []answer{{0, ""}, {1, no}, {2, no}}, "", "", 5 * time.Second},
		{"but not so often in a row", []answer{{0, ""}, {1, no}, {2, no}, {3, no}}, no, no, 5 * time.Second},
		{"a good answer between them starts the count anew", []answer{{0, ""}, {1, no}, {2, no}, {3, ""}, {4, no}, {5, no}}, "", "", 5 * time.Second},
		{"one good answer makes it healthy again", []answer{{0, ""}, {1, no}, {2, no}, {3, no}, {4, ""}}, "", "", 5 * time.Second},
		{"the last reason counts", []answer{{0, ""}, {1, no}, {2, no}, {3, no}, {4, "worse"}}, "worse", "worse", 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, last := health.Begin(began), began
			for _, a := range tt.answers {
				last = began.Add(a.at)
				s = s.After(asked, a.failure, last)
			}
			if s.WhyNot() != tt.whyNot || s.Sick(asked) != tt.sick || s.Next.Sub(last) != tt.next {
				t.Errorf("why not %q, sick %q, next after %s; want %q, %q, %s", s.WhyNot(), s.Sick(asked), s.Next.Sub(last), tt.whyNot, tt.sick, tt.next)
			}
		})
	}
}

// Whatever it answers: a unit is sick only after that many failures in a row, never
// usable and sick at once, and asked again, not more rarely than its file says.
func TestWhateverAUnitAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := unitfile.Health{
			Interval: time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(time.Hour)).Draw(t, "interval")),
			Retries:  rapid.IntRange(1, 5).Draw(t, "retries"), Grace: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "grace")),
		}
		s, now, row := health.Begin(began), began, 0
		for range rapid.IntRange(1, 50).Draw(t, "answers") {
			failure := rapid.SampledFrom([]string{"", "no"}).Draw(t, "failure")
			if row++; failure == "" {
				row = 0
			}
			s = s.After(h, failure, now)
			switch {
			case failure == "" && s.WhyNot() != "":
				t.Fatalf("a good answer, and %q", s.WhyNot())
			case s.Sick(h) != "" && (row < h.Retries || s.WhyNot() == ""):
				t.Fatalf("sick (%q) after %d failures of %d, why not: %q", s.Sick(h), row, h.Retries, s.WhyNot())
			case !s.Next.After(now) || s.Next.Sub(now) > h.Interval:
				t.Fatalf("asked again after %s, interval %s", s.Next.Sub(now), h.Interval)
			}
			now = s.Next.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "late")))
		}
	})
}
