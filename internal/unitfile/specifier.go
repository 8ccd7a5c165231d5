package unitfile

import (
	"strings"
	"unicode/utf8"

	"argosy/internal/cluster"
)

// Expand replaces the specifiers that follow from a unit's name, as systemd
// does: %n the full name, %N without its type, %p the prefix, %i the instance,
// %j the last part of the prefix after "-"; %P, %I and %J are the last three
// unescaped; %% is a percent sign. Others are refused: the options of [X-Fleet]
// and [X-Argosy] are read before a node is chosen, so nothing can be said of it.
func Expand(name cluster.UnitName, value string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(value, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if after == "" {
			return "", cluster.Errorf(cluster.Invalid, "%s ends in a lone %%", quote(value)).WithHint("write %% for a percent sign")
		}
		r, size := utf8.DecodeRuneInString(after)
		expanded, err := specifier(name, r)
		if err != nil {
			return "", err
		}
		b.WriteString(expanded)
		value = after[size:]
	}
}

func specifier(name cluster.UnitName, r rune) (string, error) {
	switch r {
	case '%':
		return "%", nil
	case 'n':
		return string(name), nil
	case 'N':
		return name.Stem(), nil
	case 'p':
		return name.Prefix(), nil
	case 'P':
		return UnescapeName(name.Prefix())
	case 'i':
		return name.Instance(), nil
	case 'I':
		return UnescapeName(name.Instance())
	case 'j':
		return lastPart(name.Prefix()), nil
	case 'J':
		return UnescapeName(lastPart(name.Prefix()))
	}
	err := cluster.Errorf(cluster.Invalid, "specifier %%%c is not known here", r)
	if strings.ContainsRune("aAbBCdDEfgGhHlLmMoqsStTuUvVwWy", r) {
		return "", err.WithHint("placing comes before a node is chosen; only %n %N %p %P %i %I %j %J and %% can be used")
	}
	return "", err.WithHint("known are %n %N %p %P %i %I %j %J; write %% for a percent sign")
}

// lastPart returns what follows the last "-" of a prefix, or all of it.
func lastPart(prefix string) string { return prefix[strings.LastIndexByte(prefix, '-')+1:] }

// UnescapeName undoes the escaping of a part of a unit name, as systemd-escape
// --unescape does: "-" stands for "/", and "\x2d" for the byte 0x2d.
func UnescapeName(part string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		switch {
		case part[i] == '-':
			b.WriteByte('/')
		case part[i] != '\\':
			b.WriteByte(part[i])
		default:
			code, ok := uint32(0), false
			if i+4 <= len(part) && part[i+1] == 'x' {
				code, ok = parseDigits(part[i+2:i+4], 16)
			}
			if !ok {
				return "", cluster.Errorf(cluster.Invalid, "%s is not escaped as unit names are", quote(part)).
					WithHint(`after a "\" comes x and two hexadecimal digits; see systemd-escape(1)`)
			}
			b.WriteByte(byte(code))
			i += 3
		}
	}
	text := b.String()
	if !isPlain(text) {
		return "", cluster.Errorf(cluster.Invalid, "%s unescaped is no text", quote(part))
	}
	return text, nil
}

// EscapePath turns a path into the name of the unit that mounts it, without the
// type, as systemd-escape --path does.
func EscapePath(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	joined := strings.Join(parts, "/")
	for i := range len(joined) {
		c := joined[i]
		switch {
		case c == '/':
			b.WriteByte('-')
		case isNameByte(c) && (c != '.' || i > 0):
			b.WriteByte(c)
		default:
			b.WriteString(`\x`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// isNameByte reports whether a byte stands for itself in an escaped name.
func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ':' || c == '_' || c == '.'
}
