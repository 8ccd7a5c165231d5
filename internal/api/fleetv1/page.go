package fleetv1

import (
	"encoding/base64"
	"net/http"
	"strings"

	"argosy/internal/cluster"
)

// row names a row of a listing: where a page ended.
type row struct {
	list string // units, states or machines
	unit cluster.UnitName
	node cluster.NodeID
}

// token makes the token of the page after a row.
func (r row) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(r.list + " " + string(r.unit) + " " + string(r.node)))
}

// pageOf reads the token of a request; without one the first page is meant,
// which follows the zero row. The row itself need not exist any more.
func pageOf(r *http.Request, list string) (row, error) {
	text := r.URL.Query().Get("nextPageToken")
	if text == "" {
		return row{list: list}, nil
	}
	bytes, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	fields := strings.Split(string(bytes), " ")
	if err != nil || len(fields) != 3 || fields[0] != list {
		return row{}, cluster.Errorf(cluster.Invalid, "%s is no nextPageToken of this listing", clip(text)).
			WithHint("begin again without one")
	}
	return row{list, cluster.UnitName(fields[1]), cluster.NodeID(fields[2])}, nil
}

// page cuts a listing that was asked for with one row more than a page has. last
// names the row that the next page follows.
func page[T any](rows []T, last func(T) row) ([]T, string) {
	if len(rows) <= pageMax {
		return rows, ""
	}
	return rows[:pageMax], last(rows[pageMax-1]).token()
}
