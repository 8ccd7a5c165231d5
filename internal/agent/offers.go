package agent

import (
	"strings"

	"argosy/internal/cluster"
	"argosy/internal/unitfile"
)

// offers are what a unit publishes by one text.
type offers struct {
	hash cluster.Hash
	list []cluster.Offer
}

// offered returns what a unit publishes by the text of a hash: the one that is wanted,
// or the one that was before it and still runs. Of another nothing is known.
func (c *converger) offered(name cluster.UnitName, hash cluster.Hash) []cluster.Offer {
	if want, wanted := c.want[name]; wanted && want.Hash == hash && c.offers[name].hash != hash {
		c.offers[name] = offers{hash, published(want)}
	}
	if known := c.offers[name]; known.hash == hash {
		return known.list
	}
	return nil
}

// published reads what a unit publishes. Most publish nothing, and a node may have to
// read a thousand texts at once.
func published(want cluster.Assignment) []cluster.Offer {
	if !strings.Contains(want.Text, "Publish") {
		return nil
	}
	file, err := unitfile.Parse(string(want.Name), []byte(want.Text))
	if err != nil {
		return nil // its systemd says the same
	}
	list, _ := unitfile.PublishedBy(want.Name, file) // it was checked when it was submitted
	return list
}
