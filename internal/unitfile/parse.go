package unitfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"argosy/internal/cluster"
)

// whitespace is what systemd strips around lines, keys and values.
const whitespace = " \t\n\r"

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// Parse reads a unit file. The error is an *Error: the first of the reasons why
// the text is no unit file. The name is used in errors only.
//
// A text larger than cluster.UnitTextMax is refused before it is looked at.
// systemd's own limit on the length of a line (1 MiB) is larger than that, so
// lines have no limit of their own.
func Parse(name string, text []byte) (*File, error) {
	f, errs := scan(name, text)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return f, nil
}

// scan reads a text and collects everything that is wrong with its syntax, up
// to FindingsMax. The file is nil if the text is no text; otherwise malformed
// lines are in it as such, so that the lines around them can be judged too.
func scan(name string, text []byte) (*File, []*Error) {
	if err := checkBytes(name, text); err != nil {
		return nil, []*Error{err}
	}
	s := scanner{file: &File{name: name}, text: string(text), rest: string(text)}
	for s.rest != "" {
		s.item()
	}
	return s.file, s.errs
}

// checkBytes refuses what is no text. The cluster keeps and sends texts as JSON
// strings, which hold valid UTF-8 only; so comments must be valid as well,
// though systemd does not look at them.
func checkBytes(name string, text []byte) *Error {
	if len(text) > cluster.UnitTextMax {
		return &Error{
			File: name, Line: lineAt(text, cluster.UnitTextMax),
			Reason: fmt.Sprintf("the file is too long; the limit is %d bytes", cluster.UnitTextMax),
			Hint:   "the limit is passed on this line; keep data out of unit files",
		}
	}
	if bytes.HasPrefix(text, []byte(byteOrderMark)) {
		return &Error{File: name, Line: 1, Reason: "the file begins with a byte order mark", Hint: "save it as UTF-8 without BOM"}
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return &Error{
				File: name, Line: lineAt(text, i),
				Reason: fmt.Sprintf("byte 0x%02x is not valid UTF-8", text[i]), Hint: "save the file as UTF-8",
			}
		}
		if isBinary(r) {
			return &Error{
				File: name, Line: lineAt(text, i),
				Reason: fmt.Sprintf("byte 0x%02x is a control character", text[i]), Hint: "unit files are plain text; write it as an escape like \\x1b",
			}
		}
		i += size
	}
	return nil
}

// isBinary reports whether a character is a control character other than those
// that systemd takes for blanks.
func isBinary(r rune) bool { return r < ' ' && !strings.ContainsRune(whitespace, r) }

// lineAt returns the number of the line that holds a byte.
func lineAt(text []byte, at int) int {
	line, rest := 0, string(text)
	for at >= 0 && rest != "" {
		_, raw := cutLine(rest)
		line, at, rest = line+1, at-len(raw), rest[len(raw):]
	}
	return max(line, 1)
}

// cutLine returns the first line of a text without its end, and with it. As in
// systemd, a line ends in LF, CR, or one of each in any order.
func cutLine(text string) (line, raw string) {
	end := strings.IndexAny(text, "\n\r")
	if end < 0 {
		return text, text
	}
	after := end + 1
	if after < len(text) && strings.IndexByte("\n\r", text[after]) >= 0 && text[after] != text[end] {
		after++
	}
	return text[:end], text[:after]
}

// isComment reports whether a physical line is a comment.
func isComment(line string) bool {
	line = strings.TrimLeft(line, whitespace)
	return line != "" && (line[0] == '#' || line[0] == ';')
}

// isContinued reports whether a line ends in a backslash that is not itself
// escaped.
func isContinued(line string) bool {
	slashes := len(line) - len(strings.TrimRight(line, `\`))
	return slashes%2 == 1
}

// scanner takes logical lines off a text.
type scanner struct {
	file    *File
	text    string // all of it
	rest    string // what was not taken yet
	line    int    // physical lines taken so far
	section string
	// lost is set after a malformed header: what follows it is not reported
	// again as being outside of a section.
	lost bool
	errs []*Error
}

func (s *scanner) errorf(line int, hint, format string, args ...any) {
	if len(s.errs) < FindingsMax {
		s.errs = append(s.errs, &Error{File: s.file.name, Line: line, Reason: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// item takes one logical line.
func (s *scanner) item() {
	start, first := s.taken(), s.line+1
	text, open := s.logicalLine()
	it := item{line: first, raw: s.text[start:s.taken()], open: open}
	trimmed := strings.Trim(text, whitespace)
	switch {
	case isComment(text) || trimmed == "":
		it.kind = filler
	case trimmed[0] == '[':
		s.header(&it, trimmed)
	default:
		s.assignment(&it, trimmed)
	}
	last := len(s.file.items) - 1
	if it.kind == filler && last >= 0 && s.file.items[last].kind == filler {
		// One item for lines that mean nothing keeps look-ups cheap.
		it.raw = s.text[start-len(s.file.items[last].raw) : s.taken()]
		it.line = s.file.items[last].line
		s.file.items[last] = it
		return
	}
	s.file.items = append(s.file.items, it)
}

// taken returns how many bytes were taken.
func (s *scanner) taken() int { return len(s.text) - len(s.rest) }

// logicalLine takes a line with its continuations. The backslash that continues
// a line becomes a space; comments between continued lines belong to nobody; a
// blank line ends the continuation.
func (s *scanner) logicalLine() (text string, open bool) {
	line := s.physicalLine()
	if isComment(line) || !isContinued(line) {
		return line, false
	}
	var joined strings.Builder
	for open = true; open; {
		joined.WriteString(line[:len(line)-1])
		joined.WriteByte(' ')
		for {
			if s.rest == "" {
				return joined.String(), true
			}
			line = s.physicalLine()
			if !isComment(line) {
				break
			}
		}
		open = isContinued(line)
	}
	joined.WriteString(line)
	return joined.String(), false
}

func (s *scanner) physicalLine() string {
	line, raw := cutLine(s.rest)
	s.rest = s.rest[len(raw):]
	s.line++
	return line
}

func (s *scanner) header(it *item, text string) {
	it.kind = malformed
	name, closed := strings.CutSuffix(text[1:], "]")
	switch {
	case !closed:
		s.errorf(it.line, "a section header is [Name] alone on its line", "section header %s does not end in ']'", quote(text))
	case name == "":
		s.errorf(it.line, "a section header is [Name] alone on its line", "section header without a name")
	case strings.ContainsAny(name, "\"'\\\t\x7f"):
		s.errorf(it.line, "", "section header %s has a character that is not allowed in a name", quote(text))
	default:
		it.kind = header
	}
	s.lost = it.kind == malformed
	s.section = name
	if s.lost {
		s.section = ""
	}
	it.section = s.section
}

func (s *scanner) assignment(it *item, text string) {
	it.kind = malformed
	key, value, found := strings.Cut(text, "=")
	key = strings.Trim(key, whitespace)
	switch {
	case !found:
		s.errorf(it.line, `write Key=Value; a long value goes on after a "\" at the end of the line`, "missing '=' in %s", quote(text))
		return
	case key == "":
		s.errorf(it.line, "write Key=Value", "missing key before '=' in %s", quote(text))
		return
	case s.section == "":
		if !s.lost {
			s.errorf(it.line, "put it below a header like [Unit] or [Service]", "%s= stands outside of a section", clip(key, quoteMax))
		}
		return
	}
	it.kind, it.section, it.key, it.value = assignment, s.section, key, strings.Trim(value, whitespace)
}
