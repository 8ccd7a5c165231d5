package agent

import (
	"strings"

	"argosy/internal/catalog"
	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// published is what a unit publishes by one text.
type published struct {
	hash cluster.Hash
	unitfile.Published
}

// published returns what a unit publishes by the text of a hash: the one that is wanted,
// or the one that was before it and still runs. Of another nothing is known.
func (c *converger) published(name cluster.UnitName, hash cluster.Hash) unitfile.Published {
	if want, wanted := c.want[name]; wanted && want.Hash == hash && c.texts[name].hash != hash {
		c.texts[name] = published{hash, publishedBy(want)}
	}
	if known := c.texts[name]; known.hash == hash {
		return known.Published
	}
	return unitfile.Published{}
}

// publishedBy reads what a unit publishes. Most publish nothing, and a node may have to
// read a thousand texts at once.
func publishedBy(want cluster.Assignment) unitfile.Published {
	if !strings.Contains(want.Text, unitfile.SectionArgosy) {
		return unitfile.Published{}
	}
	file, err := unitfile.Parse(string(want.Name), []byte(want.Text))
	if err != nil {
		return unitfile.Published{} // its systemd says the same
	}
	p, _ := unitfile.PublishedBy(want.Name, file) // it was checked when it was submitted
	return p
}

// offers returns what is told of what a unit publishes; its status is what is known of
// it but for them.
func (c *converger) offers(s cluster.Status, p unitfile.Published) []cluster.Offer {
	whyNot := c.health.whyNot(s.Unit)
	if w := c.leaving[s.Unit]; w != nil {
		whyNot = "it is about to stop: " + w.reason
	}
	return catalog.Announce(withPorts(p.Offers, c.ports[s.Unit]), s, whyNot)
}

// announced returns those of some units that others may be using.
func (c *converger) announced(names []cluster.UnitName) map[cluster.UnitName]bool {
	all := map[cluster.UnitName]bool{}
	for _, name := range names {
		w := c.leaving[name]
		if w != nil && !w.over || w == nil && c.shown[name].Announces() {
			all[name] = true
		}
	}
	return all
}
