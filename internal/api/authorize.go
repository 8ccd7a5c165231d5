package api

import (
	"context"

	"argosy/internal/cluster"
	"argosy/internal/pki"
)

// access says who may call a route.
type access int

// The kinds of access, from the widest to the narrowest.
const (
	anyone         access = iota + 1 // even without an identity: to ask for one
	anyMember                        // nodes and operators: the cluster on one page
	servers                          // nodes that are servers, and operators
	operators                        // operators, and root on a server
	ownNode                          // the node that the path names
	ownServer                        // the node that the path names, if it is to be a server
	operatorsOrOwn                   // operators, and the node that the path names
	onlyLocal                        // root on this very node
)

// roster is what is known here of the cluster's nodes.
type roster struct {
	member  func(cluster.NodeID) bool // has a Member record; nil: none has
	removed func(cluster.NodeID) bool // has no Node record any more; nil: not known of any
}

// authorize returns a Denied error unless the caller has the access. target is
// the node that the path names. It is pure: the whole matrix is a table in the
// tests.
//
// A node that was removed still has a certificate. It may do nothing with it
// but ask for what is its own, because the answer to that, that there is no
// such node, is how it learns of its removal.
func authorize(a access, caller pki.Caller, target cluster.NodeID, known roster) error {
	if a != anyone && a != ownNode && caller.Kind == pki.Node && known.removed != nil && known.removed(caller.Node) {
		return cluster.Errorf(cluster.Denied, "node %s was removed from this cluster", caller.Node).WithHint("on it, run: argosy reset")
	}
	if allowed(a, caller, target, known.member) {
		return nil
	}
	if a == ownNode || a == ownServer {
		return notOwn(caller, target)
	}
	return refusal(caller)
}

// allowed is the matrix itself.
func allowed(a access, caller pki.Caller, target cluster.NodeID, isMember func(cluster.NodeID) bool) bool {
	node := caller.Kind == pki.Node
	own := node && caller.Node == target
	operator := caller.Kind == pki.Local || caller.Kind == pki.Operator
	return map[access]bool{
		anyone:         true,
		anyMember:      operator || node,
		servers:        operator || node && isMember != nil && isMember(caller.Node),
		operators:      operator,
		operatorsOrOwn: operator || own,
		ownNode:        own,
		ownServer:      own && isMember != nil && isMember(target),
		onlyLocal:      caller.Kind == pki.Local,
	}[a]
}

// notOwn says why a caller may not act for a node.
func notOwn(caller pki.Caller, target cluster.NodeID) error {
	switch {
	case caller.Kind != pki.Node:
		return cluster.Errorf(cluster.Denied, "only node %s itself may do this, not %s", target, caller)
	case caller.Node != target:
		return cluster.Errorf(cluster.Denied, "node %s may not act for node %s", caller.Node, target)
	}
	return cluster.Errorf(cluster.Denied, "node %s was not chosen as a server", target)
}

// refusal says why, and what to do about it.
func refusal(caller pki.Caller) error {
	switch caller.Kind {
	case pki.Anonymous:
		return cluster.Errorf(cluster.Denied, "a client without a certificate of this cluster may only ask to be admitted")
	case pki.Node:
		return cluster.Errorf(cluster.Denied, "node %s may read and change only what is placed on it", caller.Node).
			WithHint("run the command on a server (argosy node ls shows which), or use a context with an operator's certificate")
	case pki.Operator, pki.Local:
	}
	return cluster.Errorf(cluster.Denied, "%s may not do this", caller)
}

// callerKey is the context key of the caller.
type callerKey struct{}

func withCaller(ctx context.Context, caller pki.Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// callerOf returns who makes a request; Anonymous if nobody was established.
func callerOf(ctx context.Context) pki.Caller {
	caller, ok := ctx.Value(callerKey{}).(pki.Caller)
	if !ok {
		return pki.Caller{Kind: pki.Anonymous}
	}
	return caller
}
