package unitfile

import (
	"fmt"
	"strconv"
	"strings"

	"argosy/internal/cluster"
)

// Limits on what one argument of a command may name.
const (
	NamesMax    = 1000     // unit names
	NamesArgMax = 16 << 10 // bytes; a list of a thousand short names
)

// ExpandNames returns the unit names that an argument of a command stands for.
// Braces work as in a shell, for those who quote or whose shell lacks them:
// "web@{1..3}" counts (also down, with leading zeros, by letters, and with a
// step: {0..8..2}), "{db,web}.service" lists. A name without a unit type is a
// service. Names come in the order written, each once, at most NamesMax.
func ExpandNames(arg string) ([]cluster.UnitName, error) {
	if len(arg) > NamesArgMax {
		return nil, cluster.Errorf(cluster.Invalid, "unit names: the argument is %d bytes long; the limit is %d", len(arg), NamesArgMax)
	}
	b := braces{arg: arg, rest: arg}
	texts, err := b.sequence(0)
	if err != nil {
		return nil, err
	}
	seen := map[cluster.UnitName]bool{}
	names := make([]cluster.UnitName, 0, len(texts))
	for _, text := range texts {
		name := cluster.UnitName(text).WithDefaultType()
		if text == "" {
			name = ""
		}
		if err := cluster.CheckUnitName(name); err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// braces reads an argument from left to right.
type braces struct{ arg, rest string }

func (b *braces) errorf(format string, args ...any) error {
	return cluster.Errorf(cluster.Invalid, "%s: %s", quote(b.arg), fmt.Sprintf(format, args...)).
		WithHint("braces hold a range or a list: web@{1..3}, {db,web}")
}

func (b *braces) tooMany() error { return b.errorf("stands for more than %d names", NamesMax) }

// sequence reads up to the end, or inside of braces up to the ',' or '}' that
// ends the alternative, and returns every combination.
func (b *braces) sequence(depth int) ([]string, error) {
	all := []string{""}
	for b.rest != "" {
		switch c := b.rest[0]; {
		case c == '{':
			alternatives, err := b.group(depth + 1)
			if err != nil {
				return nil, err
			}
			if len(all)*len(alternatives) > NamesMax {
				return nil, b.tooMany()
			}
			all = combine(all, alternatives)
		case depth > 0 && (c == ',' || c == '}'):
			return all, nil
		case c == '}':
			return nil, b.errorf("'}' without '{'")
		default:
			end := strings.IndexAny(b.rest, "{},")
			if end == 0 { // a ',' outside of braces: the name check refuses it
				end = 1
			}
			if end < 0 {
				end = len(b.rest)
			}
			all = combine(all, []string{b.rest[:end]})
			b.rest = b.rest[end:]
		}
	}
	if depth > 0 {
		return nil, b.errorf("'{' without '}'")
	}
	return all, nil
}

// combine returns every first followed by every second.
func combine(first, second []string) []string {
	all := make([]string, 0, len(first)*len(second))
	for _, a := range first {
		for _, b := range second {
			all = append(all, a+b)
		}
	}
	return all
}

// bracesDepthMax bounds how deep braces nest; nobody needs three.
const bracesDepthMax = 16

// group reads a pair of braces with what is in it.
func (b *braces) group(depth int) ([]string, error) {
	if depth > bracesDepthMax {
		return nil, b.errorf("braces nest deeper than %d", bracesDepthMax)
	}
	b.rest = b.rest[1:]
	if end := strings.IndexAny(b.rest, "{},"); end >= 0 && b.rest[end] == '}' {
		inside := b.rest[:end]
		b.rest = b.rest[end+1:]
		return b.countRange(inside)
	}
	var all []string
	for {
		some, err := b.sequence(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(all) > NamesMax {
			return nil, b.tooMany()
		}
		end := b.rest[0] // ',' or '}': sequence stops nowhere else in braces
		b.rest = b.rest[1:]
		if end == '}' {
			return all, nil
		}
	}
}

// rangeWidthMax bounds the leading zeros of a range, in digits.
const rangeWidthMax = 20

// countRange returns what "1..3", "03..01", "a..e" or "0..8..2" counts.
func (b *braces) countRange(inside string) ([]string, error) {
	parts := strings.Split(inside, "..")
	if len(parts) != 2 && len(parts) != 3 {
		return nil, b.errorf("{%s} is neither a range nor a list", clip(inside, quoteMax))
	}
	step := int64(1)
	if len(parts) == 3 {
		var err error
		if step, err = strconv.ParseInt(parts[2], 10, 32); err != nil || step < 1 {
			return nil, b.errorf("{%s}: the step must be a number from 1 on", clip(inside, quoteMax))
		}
	}
	if isLetterRange(parts[0], parts[1]) {
		return count(int64(parts[0][0]), int64(parts[1][0]), step, func(n int64) string { return string(rune(n)) }), nil
	}
	from, errFrom := strconv.ParseInt(parts[0], 10, 32)
	to, errTo := strconv.ParseInt(parts[1], 10, 32)
	width := 0
	if hasLeadingZero(parts[0]) || hasLeadingZero(parts[1]) {
		width = max(len(parts[0]), len(parts[1]))
	}
	if errFrom != nil || errTo != nil || from < 0 || to < 0 || width > rangeWidthMax {
		return nil, b.errorf("{%s}: a range goes from number to number or from letter to letter", clip(inside, quoteMax))
	}
	if max(from-to, to-from)/step >= NamesMax {
		return nil, b.tooMany()
	}
	return count(from, to, step, func(n int64) string { return fmt.Sprintf("%0*d", width, n) }), nil
}

// isLetterRange reports whether both ends are ASCII letters of one case: what
// lies between the cases is no letter.
func isLetterRange(from, to string) bool {
	isLower := func(s string) bool { return len(s) == 1 && s[0] >= 'a' && s[0] <= 'z' }
	isUpper := func(s string) bool { return len(s) == 1 && s[0] >= 'A' && s[0] <= 'Z' }
	return isLower(from) && isLower(to) || isUpper(from) && isUpper(to)
}

func hasLeadingZero(s string) bool { return len(s) > 1 && s[0] == '0' }

// count returns the texts of the numbers from one to another, up or down.
func count(from, to, step int64, text func(int64) string) []string {
	var all []string
	if from <= to {
		for n := from; n <= to; n += step {
			all = append(all, text(n))
		}
		return all
	}
	for n := from; n >= to; n -= step {
		all = append(all, text(n))
	}
	return all
}
