package pki

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"time"

	"argosy/internal/cluster"
)

// tokenPrefix begins every token; the digit is the version of the format.
const tokenPrefix = "argosy1."

// tokenMax bounds the text of a token, in bytes.
const tokenMax = 2 << 10

// Token is an invitation to join, as its bearer has it.
type Token struct {
	Cluster cluster.ID `json:"c"`
	// CADigest is the hex SHA-256 of the authority's public key: the bearer
	// verifies it before anything else.
	CADigest  string   `json:"d"`
	ID        string   `json:"i"`
	Secret    []byte   `json:"s"` // 128 bits
	Addresses []string `json:"a"` // host:port of servers
}

// NewToken makes a token with a fresh secret.
func NewToken(a *Authority, addresses []string) (Token, error) {
	random := make([]byte, 16+5)
	if _, err := rand.Read(random); err != nil {
		return Token{}, err
	}
	return Token{
		Cluster: a.ID(), CADigest: a.Digest(), Secret: random[:16], Addresses: addresses,
		ID: strings.ToLower(base32.StdEncoding.EncodeToString(random[16:])),
	}, nil
}

// StaticTokenID names the token that the peers of a static list share.
const StaticTokenID = "static"

// StaticToken is the token of a static list: its secret comes from the shared
// secret.
func StaticToken(a *Authority, secret string, addresses []string) Token {
	sum := sha256.Sum256([]byte("argosy static token\x00" + secret))
	return Token{Cluster: a.ID(), CADigest: a.Digest(), ID: StaticTokenID, Secret: sum[:16], Addresses: addresses}
}

// String returns the token as one word to paste.
func (t Token) String() string {
	payload, err := json.Marshal(t)
	if err != nil {
		panic("pki: encode a token: " + err.Error()) // strings and bytes only
	}
	sum := crc32.ChecksumIEEE(payload)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(payload, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)))
}

// ParseToken reads a token, and tells a paste that lost a part from a text
// that never was a token.
func ParseToken(text string) (Token, error) {
	t, err := decodeToken(strings.TrimSpace(text))
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return Token{}, cluster.Errorf(cluster.Invalid, "token: %w", err).
			WithHint("paste the whole line that argosy token create printed")
	}
	return t, nil
}

// decodeToken takes the text of a token apart.
func decodeToken(text string) (t Token, err error) {
	refuse := func(format string, args ...any) (Token, error) { return Token{}, fmt.Errorf(format, args...) }
	if len(text) > tokenMax {
		return refuse("%d characters long; the limit is %d", len(text), tokenMax)
	}
	body, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return refuse("it does not begin with %q", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) < 5 {
		return refuse("it was cut or changed")
	}
	payload, check := raw[:len(raw)-4], raw[len(raw)-4:]
	sum := crc32.ChecksumIEEE(payload)
	if sum != uint32(check[0])<<24|uint32(check[1])<<16|uint32(check[2])<<8|uint32(check[3]) {
		return refuse("it was cut or changed (its checksum is wrong)")
	}
	return t, json.Unmarshal(payload, &t)
}

// check says what is wrong with a token that decodes.
func (t Token) check() error {
	for _, address := range t.Addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return fmt.Errorf("address %.60q is not host:port", address)
		}
	}
	digest, err := hex.DecodeString(t.CADigest)
	switch {
	case err != nil || len(digest) != sha256.Size || strings.ToLower(t.CADigest) != t.CADigest:
		return errors.New("the digest of the authority is no SHA-256")
	case clusterID([sha256.Size]byte(digest)) != t.Cluster:
		return fmt.Errorf("cluster %.40s is not that of its authority", t.Cluster)
	case t.ID == "" || len(t.Secret) != 16:
		return errors.New("it has no secret")
	case len(t.Addresses) == 0:
		return errors.New("it names no server")
	}
	return nil
}

// Digest is what the store keeps of a token: the key that its proofs are
// verified with. Whoever reads the store could join with it, which is why only
// servers read the store; it does not give back the secret.
func (t Token) Digest() string {
	sum := sha256.Sum256(t.Secret)
	return hex.EncodeToString(sum[:])
}

// Proof shows that the bearer knows the secret, on this TLS session and for
// this request only: a relay in the middle has another session, so it gains
// nothing (RFC 5705, RFC 9266).
func (t Token) Proof(state tls.ConnectionState, csr []byte) ([]byte, error) {
	return proof(t.Digest(), state, csr)
}

// VerifyProof reports whether a proof was made with the secret of a digest.
func VerifyProof(digest string, given []byte, state tls.ConnectionState, csr []byte) (bool, error) {
	want, err := proof(digest, state, csr)
	return err == nil && hmac.Equal(given, want), err
}

func proof(digest string, state tls.ConnectionState, csr []byte) ([]byte, error) {
	key, err := hex.DecodeString(digest)
	if err != nil {
		return nil, fmt.Errorf("digest of a token: %w", err)
	}
	binding, err := state.ExportKeyingMaterial("EXPORTER-argosy-join", nil, 32)
	if err != nil {
		return nil, fmt.Errorf("bind a proof to its session: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(binding)
	mac.Write(csr)
	return mac.Sum(nil), nil
}

// TLS returns the settings for the call to join: the server must be a node of
// the token's cluster, under the very authority that the token names. It is
// checked in the handshake, so nothing derived from the secret was sent before.
func (t Token) TLS() *tls.Config {
	return verifyServer(baseTLS(), func(leaf *x509.Certificate, chain []*x509.Certificate) error {
		for _, ca := range chain {
			digest, err := keyDigest(ca.PublicKey)
			if err != nil || hex.EncodeToString(digest[:]) != t.CADigest {
				continue
			}
			return verifyPeer(leaf, ca, x509.ExtKeyUsageServerAuth, time.Now())
		}
		_, theirs, err := owner(leaf)
		if err != nil {
			return err
		}
		return cluster.Errorf(cluster.Denied, "the server belongs to cluster %s, the token to %s", theirs, t.Cluster)
	})
}
