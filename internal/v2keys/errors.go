package v2keys

import (
	"fmt"
	"net/http"

	"argosy/internal/cluster"
)

// The codes of version 2's errors.
const (
	KeyNotFound        = 100
	TestFailed         = 101
	NotFile            = 102
	NotDir             = 104
	NodeExist          = 105
	RootReadOnly       = 107
	DirNotEmpty        = 108
	Forbidden          = 110
	PrevValueRequired  = 201
	TTLNaN             = 202
	IndexNaN           = 203
	InvalidField       = 209
	InvalidForm        = 210
	RefreshValue       = 211
	RefreshTTLRequired = 212
	RaftInternal       = 300
	EventIndexCleared  = 401
)

// Error is an error of version 2, in the form that it has on the wire.
type Error struct {
	Code    int              `json:"errorCode"`
	Message string           `json:"message"`
	Cause   string           `json:"cause,omitempty"`
	Index   cluster.Revision `json:"index"`
}

func fail(code int, cause string) *Error {
	return &Error{Code: code, Message: message(code), Cause: cause}
}

// Fail makes an error of a code, for who carries requests out.
func Fail(code int, cause string, index cluster.Revision) *Error {
	return fail(code, cause).at(index)
}

// at says as of which index an error is true.
func (e *Error) at(index cluster.Revision) *Error {
	e.Index = index
	return e
}

// Error is the line that etcdctl printed.
func (e *Error) Error() string {
	return fmt.Sprintf("%v: %v (%v) [%v]", e.Code, e.Message, e.Cause, e.Index)
}

// Status is the status of HTTP.
func (e *Error) Status() int {
	switch e.Code {
	case KeyNotFound:
		return http.StatusNotFound
	case NotFile, DirNotEmpty:
		return http.StatusForbidden
	case Forbidden:
		return http.StatusUnauthorized
	case TestFailed, NodeExist:
		return http.StatusPreconditionFailed
	case RaftInternal:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func message(code int) string {
	return map[int]string{
		KeyNotFound: "Key not found", TestFailed: "Compare failed", NotFile: "Not a file", NotDir: "Not a directory",
		NodeExist: "Key already exists", RootReadOnly: "Root is read only", DirNotEmpty: "Directory not empty",
		Forbidden:         "The request requires user authentication",
		PrevValueRequired: "PrevValue is Required in POST form", TTLNaN: "The given TTL in POST form is not a number",
		IndexNaN: "The given index in POST form is not a number", InvalidField: "Invalid field", InvalidForm: "Invalid POST form",
		RefreshValue: "Value provided on refresh", RefreshTTLRequired: "A TTL must be provided on refresh",
		RaftInternal: "Raft Internal Error", EventIndexCleared: "The event in requested index is outdated and cleared",
	}[code]
}
