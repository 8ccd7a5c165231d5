// Package pki is who is who: the cluster's certificate authority, the
// identities of nodes and operators, join tokens, and the TLS settings that
// every connection uses.
//
// A cluster's ID is the digest of its authority's public key, so it cannot be
// claimed by another cluster. A certificate names its owner in a URI,
// argosy://<cluster>/node/<id> or argosy://<cluster>/operator/<name>, and
// everything in it comes from the server that signs, never from the request.
// TLS 1.3 only; keys are P-256, which TPMs can hold.
package pki
