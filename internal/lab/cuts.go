package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/hostnet"
)

// cutLine is a line that was cut, so that it can be mended by itself.
type cutLine struct {
	From, To int // node numbers; To is 0 for everybody
	OneWay   bool
}

// String returns the line as Cut reads it.
func (c cutLine) String() string {
	switch {
	case c.To == 0:
		return fmt.Sprintf("node-%d", c.From)
	case c.OneWay:
		return fmt.Sprintf("%d>%d", c.From, c.To)
	}
	return fmt.Sprintf("%d:%d", c.From, c.To)
}

// Cut cuts a line: "node-2" from everybody, "1:2" both ways, "1>2" one way.
func (l *Lab) Cut(ctx context.Context, line string) error {
	return l.changeCuts(ctx, line, func(cuts []cutLine, c cutLine) []cutLine {
		if slices.Contains(cuts, c) {
			return cuts
		}
		return append(cuts, c)
	})
}

// Heal mends a line, named as it was cut; a node's name mends every line of
// the node, and "" all there are.
func (l *Lab) Heal(ctx context.Context, line string) error {
	if line == "" {
		return l.changeCuts(ctx, "1", func([]cutLine, cutLine) []cutLine { return nil })
	}
	return l.changeCuts(ctx, line, func(cuts []cutLine, c cutLine) []cutLine {
		return without(cuts, c)
	})
}

// without returns the lines that are left when one is mended, or all of a node.
func without(lines []cutLine, mended cutLine) []cutLine {
	return slices.DeleteFunc(slices.Clone(lines), func(c cutLine) bool {
		return c == mended || mended.To == 0 && (c.From == mended.From || c.To == mended.From)
	})
}

// Cuts lists the lines that are cut, as Cut reads them.
func (l *Lab) Cuts() ([]string, error) {
	r, err := l.load()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, c := range r.Cuts {
		lines = append(lines, c.String())
	}
	return lines, nil
}

func (l *Lab) changeCuts(ctx context.Context, line string, change func([]cutLine, cutLine) []cutLine) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := l.load()
	if err != nil {
		return err
	}
	c, err := l.parseCut(r, line)
	if err != nil {
		return err
	}
	r.Cuts = change(r.Cuts, c)
	if err := l.save(r); err != nil {
		return err
	}
	return hostnet.SetCuts(ctx, l.namespace(), bridgeCuts(r.Cuts))
}

func (l *Lab) parseCut(r record, line string) (c cutLine, err error) {
	from, to, two := strings.Cut(line, ":")
	if !two {
		from, to, c.OneWay = strings.Cut(line, ">")
		two = c.OneWay
	}
	n, err := l.node(r, from)
	if err != nil {
		return c, err
	}
	c.From = n.index
	if !two {
		return c, nil
	}
	if n, err = l.node(r, to); err != nil {
		return c, err
	}
	c.To = n.index
	if c.From == c.To {
		return c, cluster.Errorf(cluster.Invalid, "%q: there is no line from a node to itself", line)
	}
	// A line that is cut both ways has no direction, so it has one name.
	if !c.OneWay && c.From > c.To {
		c.From, c.To = c.To, c.From
	}
	return c, nil
}

// bridgeCuts says the same in the directions of the bridge's ports.
func bridgeCuts(lines []cutLine) []hostnet.Cut {
	port := func(index int) string {
		if index == 0 {
			return ""
		}
		return (&Node{index: index}).Name()
	}
	var cuts []hostnet.Cut
	for _, c := range lines {
		cuts = append(cuts, hostnet.Cut{From: port(c.From), To: port(c.To)})
		if !c.OneWay {
			cuts = append(cuts, hostnet.Cut{From: port(c.To), To: port(c.From)})
		}
	}
	return cuts
}
