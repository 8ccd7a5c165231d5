// Package cluster holds the nouns of Argosy and nothing else: what a node, a
// unit, a placement, a status and a session are, and the kinds of error that
// every layer understands.
//
// The JSON form of these types is the vocabulary of the whole system: it is
// what the store holds, what the API serves and what "-o json" prints. Each
// field has one writer, named in its comment: users write specs, the leader
// writes placements, nodes write status.
//
// The package imports nothing of ours, does no I/O, and its values are treated
// as immutable once they were handed to another package.
package cluster
