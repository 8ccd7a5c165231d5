package unitfile

import (
	"slices"
	"strings"

	"argosy/internal/cluster"
)

// Requirement is a demand on one label of a node.
type Requirement struct {
	Key string
	Op  Op
	// Values are sorted. In and NotIn have at least one, comparisons of numbers
	// exactly one, Exists and Absent none.
	Values []string
}

// Op is what a Requirement says of a label's value.
type Op int

// The operators. A comparison of numbers does not hold for a label that is
// absent or no number.
const (
	In      Op = iota // it is one of the values
	NotIn             // it is none of the values, or the label is absent
	Exists            // the label is there
	Absent            // the label is not there
	AtLeast           // it is a number (see ParseSize), and not less
	AtMost            // … not more
	More              // … more
	Less              // … less
)

// comparisons are the operators that stand between a key and a value, the
// longer ones first.
func comparisons() []struct {
	text string
	op   Op
} {
	return []struct {
		text string
		op   Op
	}{{">=", AtLeast}, {"<=", AtMost}, {"!=", NotIn}, {"==", In}, {"=", In}, {">", More}, {"<", Less}}
}

// Met reports whether labels satisfy the requirement; label looks one up.
func (r Requirement) Met(label func(key string) (value string, there bool)) bool {
	have, there := label(r.Key)
	switch r.Op {
	case In:
		return there && slices.Contains(r.Values, have)
	case NotIn:
		return !there || !slices.Contains(r.Values, have)
	case Exists:
		return there
	case Absent:
		return !there
	case AtLeast, AtMost, More, Less:
	}
	number, err := ParseSize(have)
	limit, limitErr := ParseSize(r.Values[0])
	if err != nil || limitErr != nil {
		return false
	}
	switch r.Op {
	case AtLeast:
		return number >= limit
	case AtMost:
		return number <= limit
	case More:
		return number > limit
	case Less, In, NotIn, Exists, Absent:
	}
	return number < limit
}

// String returns the requirement as a unit file has it.
func (r Requirement) String() string {
	values := make([]string, len(r.Values))
	for i, value := range r.Values {
		if values[i] = value; strings.ContainsAny(value, special) {
			values[i] = `"` + value + `"`
		}
	}
	list := strings.Join(values, ", ")
	switch {
	case r.Op == Exists:
		return r.Key
	case r.Op == Absent:
		return "!" + r.Key
	case r.Op == In && len(r.Values) > 1:
		return r.Key + " in (" + list + ")"
	case r.Op == NotIn && len(r.Values) > 1:
		return r.Key + " not in (" + list + ")"
	case r.Op == In:
		return r.Key + "=" + list
	}
	for _, c := range comparisons() {
		if c.op == r.Op {
			return r.Key + c.text + list
		}
	}
	return r.Key
}

// special are the characters for which a value has to stand in quotes.
const special = whitespace + "()<>=!,"

// requirementHint shows every kind of label expression.
const requirementHint = `write for instance disk=ssd, zone!=a, zone in (a, b), zone not in (a, b), gpu, !gpu or mem>=32G, and a comma between several`

// ParseRequirements reads label expressions with commas between them:
//
//	disk=ssd   zone!=a   zone in (a, b)   zone not in (a, b)   gpu   !gpu
//	mem>=32G   mem<32G   …
//
// A value with blanks or commas stands in double quotes. The error says which
// expression cannot be read, with a hint.
func ParseRequirements(text string) ([]Requirement, error) {
	parts, ok := splitOutside(text, ',')
	if !ok {
		return nil, badRequirement(text, "a quote or a parenthesis is not closed")
	}
	all := make([]Requirement, 0, len(parts))
	for _, part := range parts {
		r, problem := parseRequirement(strings.Trim(part, whitespace))
		if problem != "" {
			return nil, badRequirement(strings.Trim(part, whitespace), problem)
		}
		all = append(all, r)
	}
	return all, nil
}

func badRequirement(text, problem string) error {
	return cluster.Errorf(cluster.Invalid, "%s is no label expression: %s", quote(text), problem).WithHint(requirementHint)
}

// splitOutside splits at a separator outside quotes and parentheses, and
// reports whether all of those are closed.
func splitOutside(text string, separator byte) (parts []string, closed bool) {
	begin, depth, quoted := 0, 0, false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == separator && depth == 0:
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
		if depth < 0 {
			return nil, false
		}
	}
	return append(parts, text[begin:]), depth == 0 && !quoted
}

// parseRequirement reads one expression; problem is "" if it could.
func parseRequirement(text string) (r Requirement, problem string) {
	if key, absent := strings.CutPrefix(text, "!"); absent {
		key = strings.TrimLeft(key, whitespace)
		if !IsLabelKey(key) {
			return r, "after ! stands the key of a label"
		}
		return Requirement{Key: key, Op: Absent}, ""
	}
	rest := strings.TrimLeftFunc(text, isLabelKeyRune)
	r.Key, rest = text[:len(text)-len(rest)], strings.TrimLeft(rest, whitespace)
	if !IsLabelKey(r.Key) {
		return r, "it does not begin with the key of a label"
	}
	if rest == "" {
		r.Op = Exists
		return r, ""
	}
	if list, negated, found := cutIn(rest); found {
		if negated {
			r.Op = NotIn
		}
		r.Values, problem = parseList(list)
		return r, problem
	}
	for _, c := range comparisons() {
		if value, found := strings.CutPrefix(rest, c.text); found {
			r.Op = c.op
			value, problem = parseLabelValue(value)
			r.Values = []string{value}
			if problem == "" && r.Op >= AtLeast {
				if _, err := ParseSize(value); err != nil {
					problem = err.Error()
				}
			}
			return r, problem
		}
	}
	return r, "the key is followed by nothing that is known"
}

// cutIn takes "in (…)" or "not in (…)" apart.
func cutIn(text string) (list string, negated, found bool) {
	if after, not := strings.CutPrefix(text, "not"); not {
		if trimmed := strings.TrimLeft(after, whitespace); trimmed != after {
			text, negated = trimmed, true
		}
	}
	text, in := strings.CutPrefix(text, "in")
	text = strings.TrimLeft(text, whitespace)
	text, opened := strings.CutPrefix(text, "(")
	list, closed := strings.CutSuffix(text, ")")
	return list, negated, in && opened && closed
}

func parseList(text string) (values []string, problem string) {
	parts, closed := splitOutside(text, ',')
	if !closed {
		return nil, "there is more than one list"
	}
	for _, part := range parts {
		value, problem := parseLabelValue(part)
		if problem != "" {
			return nil, problem
		}
		values = append(values, value)
	}
	slices.Sort(values)
	return slices.Compact(values), ""
}

// parseLabelValue reads a value, with or without quotes.
func parseLabelValue(text string) (value, problem string) {
	text = strings.Trim(text, whitespace)
	if inner, quoted := strings.CutPrefix(text, `"`); quoted {
		if inner, closed := strings.CutSuffix(inner, `"`); closed && inner != "" && !strings.Contains(inner, `"`) {
			return inner, ""
		}
		return "", "the quotes are not around one whole value"
	}
	switch {
	case text == "":
		return "", "a value is missing"
	case strings.ContainsAny(text, special+`"`):
		return "", "a value with such characters stands in double quotes"
	}
	return text, ""
}

// LabelKeyMax is the largest length of the key of a label, in bytes.
const LabelKeyMax = 128

// IsLabelKey reports whether a text may be the key of a label: letters, digits
// and "_.-/", as fleet had it, with the slash besides.
func IsLabelKey(s string) bool {
	return s != "" && len(s) <= LabelKeyMax && strings.TrimLeftFunc(s, isLabelKeyRune) == ""
}

func isLabelKeyRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-/", c)
}
