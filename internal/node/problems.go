package node

import (
	"maps"
	"slices"
	"sync"

	"argosy/internal/agent"
)

// problems are what the node reports for an operator to act on: what is wrong with its
// configuration, and with what its parts should do.
type problems struct {
	agent  *agent.Agent
	config []string

	mu sync.Mutex
	of map[string][]string // each part
}

func newProblems(node *agent.Agent, config []string) *problems {
	node.SetProblems(config)
	return &problems{agent: node, config: config, of: map[string][]string{}}
}

// set replaces what is wrong with a part.
func (p *problems) set(part string, wrong ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[part] = wrong
	list := slices.Clone(p.config)
	for _, part := range slices.Sorted(maps.Keys(p.of)) {
		list = append(list, p.of[part]...)
	}
	p.agent.SetProblems(list)
}
