package zone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"argosy/internal/cluster"
)

// instanceLabel returns the label by which the endpoints of an instance are found: the
// instance of its name, if that can be one. "_tcp" and the like mean something else.
func instanceLabel(unit cluster.UnitName) string {
	instance := strings.ToLower(unit.Instance())
	if instance == "" || len(instance) > labelMax || instance[0] == '_' ||
		strings.Trim(instance, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return ""
	}
	return instance
}

// endpointLabel returns a label for a single endpoint, which a person can read:
// "web-2-node-1-8080".
func endpointLabel(e cluster.Endpoint) string {
	label := plain(e.Unit.Stem()) + "-" + plain(e.NodeName) + "-" + strconv.Itoa(int(e.Port))
	if e.Protocol != cluster.Protocols()[0] {
		label += "-" + plain(e.Protocol)
	}
	return strings.TrimLeft(label, "-")
}

// plain replaces what host names cannot hold.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
}

// digestLabel returns a label that no other endpoint of the service has.
func digestLabel(e cluster.Endpoint) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%s", e.Unit, e.Node, e.Port, e.Protocol))
	return "e" + hex.EncodeToString(sum[:10])
}
