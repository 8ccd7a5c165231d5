package hostnet

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Cut is a direction in which a bridge loses frames. They are dropped, not
// refused: a dead line says nothing.
type Cut struct {
	From, To string // ports of the bridge; "" is every port
}

// SetCuts makes the cuts of the bridges in a namespace exactly these. They act
// on the bridge, so that they lose all that there is, ARP and forwarded packets
// included, and nothing that a node does to its own filters undoes them.
func SetCuts(ctx context.Context, namespace string, cuts []Cut) error {
	cmd := exec.CommandContext(ctx, "nsenter", "--net="+Path(namespace), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(cutRules(cuts))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cut lines in %s: %w: %s", namespace, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// cutRules renders cuts as an nftables script that replaces what was there, in
// one transaction.
func cutRules(cuts []Cut) string {
	var b strings.Builder
	b.WriteString("table bridge argosy_cuts {}\ndelete table bridge argosy_cuts\n")
	if len(cuts) == 0 {
		return b.String()
	}
	b.WriteString("table bridge argosy_cuts {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n")
	for _, cut := range cuts {
		b.WriteString("\t\t")
		if cut.From != "" {
			fmt.Fprintf(&b, "iifname %q ", cut.From)
		}
		if cut.To != "" {
			fmt.Fprintf(&b, "oifname %q ", cut.To)
		}
		b.WriteString("drop\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}
