// Package api serves the API: JSON over HTTP/2, on unix sockets for those who
// are root on a node, and on TCP with mutual TLS for everybody else.
//
// routes.go lists every route with who may call it; authorize.go says what the
// kinds of access mean; the handlers stand in one file for each noun. Reads
// come from the server's mirror and are marked as stale when it is; writes are
// guarded transactions. Nothing is decided here about where units run.
package api
