package unitfile

import (
	"strings"
	"unicode/utf8"

	"argosy/internal/cluster"
)

// Escapes says what SplitWords makes of backslashes.
type Escapes int

// The two ways in which systemd reads escapes.
const (
	// Unescape reads C escapes (\n, \x20, \u00e4 …), as in ExecStart= and
	// Environment=. Unknown ones stay as they are.
	Unescape Escapes = iota + 1
	// Retain keeps backslashes: in lists of unit names they are part of the
	// name ("dev-disk-by\x2dlabel").
	Retain
)

// SplitWords takes a value apart at blanks, as systemd's extract_first_word
// does: single and double quotes hold words together and are removed, wherever
// in a word they stand. The error says that a quote is not closed.
func SplitWords(value string, escapes Escapes) ([]string, error) {
	s := splitter{rest: value, escapes: escapes}
	var words []string
	for {
		s.rest = strings.TrimLeft(s.rest, whitespace)
		if s.rest == "" {
			return words, nil
		}
		word, err := s.word()
		if err != nil {
			return nil, err
		}
		words = append(words, word)
	}
}

// splitter takes words off a value.
type splitter struct {
	rest    string
	escapes Escapes
}

// word takes one word; the rest does not begin with a blank.
func (s *splitter) word() (string, error) {
	var word strings.Builder
	var open byte // the quote that is open, or 0
	for s.rest != "" {
		c := s.rest[0]
		switch {
		case open == 0 && strings.IndexByte(whitespace, c) >= 0:
			return word.String(), nil
		case open == 0 && (c == '"' || c == '\''):
			open = c
			s.rest = s.rest[1:]
		case open != 0 && c == open:
			open = 0
			s.rest = s.rest[1:]
		case c == '\\' && s.escapes == Unescape:
			size := unescapeOne(s.rest, &word)
			s.rest = s.rest[size:]
		default:
			word.WriteByte(c)
			s.rest = s.rest[1:]
		}
	}
	if open != 0 {
		return "", cluster.Errorf(cluster.Invalid, "quote %c is not closed", open)
	}
	return word.String(), nil
}

// unescapeOne writes what the escape at the begin of s stands for and returns
// its length in s. An unknown escape stands for itself.
func unescapeOne(s string, to *strings.Builder) int {
	if len(s) < 2 {
		to.WriteByte('\\')
		return len(s)
	}
	if i := strings.IndexByte(`abfnrtvs"'\`, s[1]); i >= 0 {
		to.WriteByte("\a\b\f\n\r\t\v \"'\\"[i])
		return 2
	}
	form := escapeForm(s[1])
	if form.digits > 0 && len(s) >= form.start+form.digits {
		code, ok := parseDigits(s[form.start:form.start+form.digits], form.base)
		switch {
		case !ok || code == 0: // a NUL cannot be in an argument
		case form.isByte && code <= 0xff:
			to.WriteByte(byte(code))
			return form.start + form.digits
		case !form.isByte && code <= utf8.MaxRune && utf8.ValidRune(rune(code)):
			to.WriteRune(rune(code))
			return form.start + form.digits
		}
	}
	to.WriteString(s[:2])
	return 2
}

// numericEscape describes \xHH, \uHHHH, \UHHHHHHHH and \OOO.
type numericEscape struct {
	start, digits int
	base          uint32
	isByte        bool
}

func escapeForm(c byte) numericEscape {
	switch {
	case c == 'x':
		return numericEscape{start: 2, digits: 2, base: 16, isByte: true}
	case c == 'u':
		return numericEscape{start: 2, digits: 4, base: 16}
	case c == 'U':
		return numericEscape{start: 2, digits: 8, base: 16}
	case c >= '0' && c <= '7':
		return numericEscape{start: 1, digits: 3, base: 8, isByte: true}
	}
	return numericEscape{}
}

func parseDigits(s string, base uint32) (code uint32, ok bool) {
	for i := range len(s) {
		digit := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if s[i] < '0' || digit < 0 || uint32(digit) >= base {
			return 0, false
		}
		code = code*base + uint32(digit)
	}
	return code, true
}
