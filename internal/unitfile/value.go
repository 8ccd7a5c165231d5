package unitfile

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// ParseBool reads a boolean as systemd does, in any case: 1 yes y true t on,
// 0 no n false f off.
func ParseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, cluster.Errorf(cluster.Invalid, "%s is not a boolean", quote(value)).WithHint("write yes or no")
}

// Infinity is the duration that "infinity" stands for.
const Infinity time.Duration = math.MaxInt64

// ParseDuration reads a time span as systemd does (systemd.time(7)): "90",
// "1min 30s", "1.5h", "infinity". A number without a unit counts seconds. The
// resolution is one microsecond.
func ParseDuration(value string) (time.Duration, error) {
	rest := strings.Trim(value, whitespace)
	if rest == "infinity" {
		return Infinity, nil
	}
	if rest == "" {
		return 0, badDuration(value)
	}
	var total time.Duration
	for rest != "" {
		span, after, ok := cutSpan(rest)
		if !ok {
			return 0, badDuration(value)
		}
		if span >= Infinity-total {
			return 0, cluster.Errorf(cluster.Invalid, "time span %s is too long", quote(value)).WithHint("write infinity")
		}
		total += span
		rest = strings.TrimLeft(after, whitespace)
	}
	return total, nil
}

func badDuration(value string) error {
	return cluster.Errorf(cluster.Invalid, "%s is not a time span", quote(value)).WithHint(`write for instance 90, 1min 30s, 2h or infinity`)
}

// cutSpan takes one number with its unit off a time span.
func cutSpan(s string) (span time.Duration, rest string, ok bool) {
	whole, rest := cutDigits(s)
	fraction, dot := "", false
	if after, found := strings.CutPrefix(rest, "."); found {
		dot = true
		fraction, rest = cutDigits(after)
	}
	if whole == "" && fraction == "" || dot && fraction == "" {
		return 0, s, false
	}
	word := strings.TrimLeft(rest, whitespace)
	unit, size := timeUnit(word)
	if size == 0 && strings.HasPrefix(rest, ".") {
		return 0, s, false // "1.2.3"
	}
	if size > 0 {
		rest = word[size:]
	} else {
		unit = time.Second
	}
	return scale(whole, fraction, unit), rest, true
}

// scale multiplies a decimal number with a unit; Infinity means overflow.
func scale(whole, fraction string, unit time.Duration) time.Duration {
	var span time.Duration
	if whole != "" {
		n, err := strconv.ParseInt(whole, 10, 64)
		if err != nil || n > int64(Infinity/unit)-1 {
			return Infinity
		}
		span = time.Duration(n) * unit
	}
	for i, part := 0, unit/10; i < len(fraction) && part > 0; i, part = i+1, part/10 {
		span += time.Duration(fraction[i]-'0') * part
	}
	return span.Truncate(time.Microsecond)
}

func cutDigits(s string) (digits, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

// timeUnit returns the unit that s begins with and the length of its name, or 0.
// The unit's name ends where the letters do, so that "min" is never "m".
func timeUnit(s string) (unit time.Duration, size int) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != 'µ' && r != 'μ'
	})
	if end < 0 {
		end = len(s)
	}
	for _, u := range timeUnits() {
		if slices.Contains(u.names, s[:end]) {
			return u.length, end
		}
	}
	return 0, 0
}

// timeUnits are systemd's; a year is 365.25 days, a month a twelfth of it.
func timeUnits() []struct {
	length time.Duration
	names  []string
} {
	const day = 24 * time.Hour
	return []struct {
		length time.Duration
		names  []string
	}{
		{time.Microsecond, []string{"usec", "us", "µs", "μs"}},
		{time.Millisecond, []string{"msec", "ms"}},
		{time.Second, []string{"seconds", "second", "sec", "s"}},
		{time.Minute, []string{"minutes", "minute", "min", "m"}},
		{time.Hour, []string{"hours", "hour", "hr", "h"}},
		{day, []string{"days", "day", "d"}},
		{7 * day, []string{"weeks", "week", "w"}},
		{2629800 * time.Second, []string{"months", "month", "M"}},
		{31557600 * time.Second, []string{"years", "year", "y"}},
	}
}
