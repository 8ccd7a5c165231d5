package cluster

import (
	"errors"
	"fmt"
)

// Kind classifies an error for those who must act on it: the API turns it into
// an HTTP status, the CLI into an exit code. Everything without a kind is
// Internal.
type Kind int

// The kinds of error. Enums start at one, so that a forgotten kind shows.
const (
	Internal    Kind = iota + 1 // a bug or an unforeseen failure; the detail is for us
	Invalid                     // the request can never succeed as it is
	NotFound                    // the named thing does not exist
	Exists                      // the thing is there already and differs
	Conflict                    // the state moved on since the request was computed
	Denied                      // the caller has no right to this
	Unavailable                 // not now: no leader, no quorum, not formed
	Unknown                     // the outcome is not known: it may or may not have happened
)

// String returns the kind's name as it appears in the "code" of an API problem.
func (k Kind) String() string {
	names := [...]string{"", "internal", "invalid", "not-found", "exists", "conflict", "denied", "unavailable", "unknown"}
	if k < Internal || int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// ParseKind is the inverse of Kind.String; unknown codes are Internal.
func ParseKind(code string) Kind {
	for k := Internal; k <= Unknown; k++ {
		if k.String() == code {
			return k
		}
	}
	return Internal
}

// Error is an error with a kind, a text for a person and, where there is one,
// a hint that says what to do about it.
type Error struct {
	Kind   Kind
	Detail string
	Hint   string
	cause  error
}

// Errorf makes an Error. A %w verb keeps the cause for errors.Is.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Detail: err.Error(), cause: errors.Unwrap(err)}
}

// WithHint returns a copy of the error that carries a hint.
func (e *Error) WithHint(hint string) *Error {
	c := *e
	c.Hint = hint
	return &c
}

// Error returns the detail without the hint.
func (e *Error) Error() string { return e.Detail }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of the first Error in the chain, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// HintOf returns the hint of the first Error in the chain, or "".
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}
