package zone

import "net/netip"

// pool is things to pick from at random, by their weights.
type pool struct {
	addresses []netip.Addr
	weights   []int
	total     int
	plain     bool // all weigh the same
}

func (p *pool) add(address netip.Addr, weight int) {
	p.plain = len(p.weights) == 0 || p.plain && weight == p.weights[0]
	p.addresses = append(p.addresses, address)
	p.weights = append(p.weights, weight)
	p.total += weight
}

func (p *pool) len() int { return len(p.weights) }

// pick appends the indexes of n different ones, or of all if there are not so many, in
// an order that the seed gives. What weighs more comes first more often; what weighs
// nothing comes last.
func (p *pool) pick(to []int, seed uint64, n int) []int {
	n = min(n, p.len())
	r := sequence(seed)
	if p.plain {
		return pickPlain(to, &r, p.len(), n)
	}
	return p.pickWeighed(to, &r, n)
}

// pickPlain takes n of size, each order being as likely as any. It notes only where the
// shuffling of a list would have moved something, so that picking a few of very many
// costs what few cost.
func pickPlain(to []int, r *sequence, size, n int) []int {
	begin := len(to)
	var few [AddressesMax]struct{ at, is int }
	moved := few[:0]
	value := func(at int) int {
		for i := len(moved) - 1; i >= 0; i-- {
			if moved[i].at == at {
				return moved[i].is
			}
		}
		return at
	}
	if n > AddressesMax {
		return shuffle(to, r, size, n)
	}
	for i := range n {
		j := i + r.below(size-i)
		picked, here := value(j), value(i)
		moved = append(moved, struct{ at, is int }{j, here})
		to = append(to, picked)
	}
	return to[:begin+n]
}

// shuffle is the same for many.
func shuffle(to []int, r *sequence, size, n int) []int {
	all := make([]int, size)
	for i := range all {
		all[i] = i
	}
	for i := range n {
		j := i + r.below(size-i)
		all[i], all[j] = all[j], all[i]
	}
	return append(to, all[:n]...)
}

// pickWeighed takes one after the other by what is left of the weights.
func (p *pool) pickWeighed(to []int, r *sequence, n int) []int {
	left, total := make([]int, p.len()), p.total
	copy(left, p.weights)
	for range n {
		var at int
		if total > 0 {
			at = heavy(left, r.below(total))
			total -= left[at]
		} else {
			at = light(left, r)
		}
		left[at] = -1
		to = append(to, at)
	}
	return to
}

// heavy returns the one in which a point of the sum of all weights falls.
func heavy(left []int, point int) int {
	for i, weight := range left {
		if weight > 0 && point < weight {
			return i
		}
		point -= max(weight, 0)
	}
	return len(left) - 1
}

// light returns one of those that weigh nothing.
func light(left []int, r *sequence) int {
	count := 0
	for _, weight := range left {
		if weight == 0 {
			count++
		}
	}
	skip := r.below(count)
	for i, weight := range left {
		if weight == 0 && skip == 0 {
			return i
		} else if weight == 0 {
			skip--
		}
	}
	return 0
}

// sequence is numbers that follow from a seed (SplitMix64).
type sequence uint64

func (s *sequence) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	x := uint64(*s)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below returns a number from 0 to n-1; 0 if n is.
func (s *sequence) below(n int) int {
	if n <= 1 {
		return 0
	}
	return int(s.next() >> 33 * uint64(n) >> 31)
}
