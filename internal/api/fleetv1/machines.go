package fleetv1

import (
	"encoding/json"
	"net/http"
	"strings"

	"argosy/internal/api/wire"
	"argosy/internal/cluster"
)

// machine is a node as fleet's API shows it.
type machine struct {
	ID        cluster.NodeID    `json:"id"`
	PrimaryIP string            `json:"primaryIP,omitempty"`
	Metadata  map[string]string `json:"metadata"`
}

type machinePage struct {
	Machines      []machine `json:"machines"`
	NextPageToken string    `json:"nextPageToken,omitempty"`
}

// listMachines lists the nodes that are there: one that is lost is not listed,
// as in fleet.
func (a *api) listMachines(r *http.Request) (answer, error) {
	after, err := pageOf(r, "machines")
	if err != nil {
		return answer{}, err
	}
	nodes, err := a.ops.Nodes(r.Context())
	if err != nil {
		return answer{}, err
	}
	var rest []wire.NodeView
	for _, n := range nodes {
		if n.ID > after.node && !n.Health.Away() {
			rest = append(rest, n)
		}
	}
	got := machinePage{Machines: []machine{}}
	rest, got.NextPageToken = page(rest, func(n wire.NodeView) row { return row{list: "machines", node: n.ID} })
	for _, n := range rest {
		m := machine{ID: n.ID, Metadata: n.Labels}
		if m.Metadata == nil {
			m.Metadata = map[string]string{}
		}
		if n.Address.IsValid() {
			m.PrimaryIP = n.Address.String()
		}
		got.Machines = append(got.Machines, m)
	}
	return answer{http.StatusOK, got}, nil
}

// patchOp is one operation of a JSON Patch (RFC 6902).
type patchOp struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// patchOpsMax bounds one patch: every label of a node, of 100 nodes.
const patchOpsMax = 6400

// patchMachines changes labels: of all the nodes named or of none.
func (a *api) patchMachines(r *http.Request) (answer, error) {
	var ops []patchOp
	if err := decode(r, &ops); err != nil {
		return answer{}, err
	}
	patch, err := labelsOf(ops)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.ops.Label(r.Context(), patch)
}

// labelsOf turns a JSON Patch into labels by node; "" removes one. The last
// operation on a label counts.
func labelsOf(ops []patchOp) (map[cluster.NodeID]map[string]string, error) {
	if len(ops) == 0 || len(ops) > patchOpsMax {
		return nil, cluster.Errorf(cluster.Invalid, "%d operations in a patch; use 1 to %d", len(ops), patchOpsMax)
	}
	patch := map[cluster.NodeID]map[string]string{}
	for i, op := range ops {
		id, key, err := op.target()
		if err == nil {
			var value string
			if value, err = op.label(); err == nil {
				if patch[id] == nil {
					patch[id] = map[string]string{}
				}
				patch[id][key] = value
			}
		}
		if err != nil {
			return nil, cluster.Errorf(cluster.Invalid, "operation %d: %w", i+1, err).WithHint(cluster.HintOf(err))
		}
	}
	return patch, nil
}

// target reads the path /MACHINEID/metadata/KEY, with the escapes of RFC 6901.
func (op patchOp) target() (cluster.NodeID, string, error) {
	parts := strings.Split(op.Path, "/")
	if len(parts) != 4 || parts[0] != "" || parts[2] != "metadata" || parts[3] == "" {
		return "", "", cluster.Errorf(cluster.Invalid, "path %q", clip(op.Path)).WithHint("use /MACHINEID/metadata/KEY")
	}
	id := cluster.NodeID(parts[1])
	return id, strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[3]), cluster.CheckNodeID(id)
}

// label returns the value that an operation gives a label, "" to remove it. The
// value is a string, as fleet's documentation says, or {"value": string}, which
// is what its code took.
func (op patchOp) label() (string, error) {
	switch op.Op {
	case "remove":
		return "", nil
	case "add", "replace":
	default:
		return "", cluster.Errorf(cluster.Invalid, "op %q", clip(op.Op)).WithHint("use add, remove or replace")
	}
	var value string
	if json.Unmarshal(op.Value, &value) != nil {
		var wrapped struct {
			Value string `json:"value"`
		}
		if json.Unmarshal(op.Value, &wrapped) == nil {
			value = wrapped.Value
		}
	}
	if value == "" {
		return "", cluster.Errorf(cluster.Invalid, "%s needs a value that is a text", op.Op).WithHint("remove takes a label away")
	}
	return value, nil
}
