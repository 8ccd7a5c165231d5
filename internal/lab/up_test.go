package lab

import (
	"slices"
	"testing"
)

func TestANodeThatHasLeftFormsNoSecondCluster(t *testing.T) {
	nodes, err := inClusterFirst([]int{1, 2, 3, 4}, func(n int) (bool, error) { return n == 2 || n == 3, nil })
	if want := []int{2, 3, 1, 4}; err != nil || !slices.Equal(nodes, want) {
		t.Errorf("%v %v, want %v: the first forms the cluster if it is in none, the others join its", nodes, err, want)
	}
}
