package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/cluster"
)

func TestABatchIsSplitSoThatRequestsOfOneNodeFollowEachOther(t *testing.T) {
	for _, tt := range []struct {
		name  string
		batch []string // the first letter is the node
		want  [][]string
	}{
		{"nothing to do is no wave", nil, nil},
		{"different nodes go together", []string{"a1", "b1", "c1"}, [][]string{{"a1", "b1", "c1"}}},
		{"those of one node go one after the other", []string{"a1", "a2", "a3"}, [][]string{{"a1"}, {"a2"}, {"a3"}}},
		{"and hold nobody else up", []string{"a1", "a2", "b1", "a3", "c1", "b2"}, [][]string{{"a1", "b1", "c1"}, {"a2", "b2"}, {"a3"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var batch []*request[string]
			for _, value := range tt.batch {
				batch = append(batch, &request[string]{value: value})
			}
			var got [][]string
			for _, wave := range waves(batch, func(v string) cluster.NodeID { return cluster.NodeID(v[:1]) }) {
				var values []string
				for _, r := range wave {
					values = append(values, r.value)
				}
				got = append(got, values)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("waves (-want +got):\n%s", diff)
			}
		})
	}
}
