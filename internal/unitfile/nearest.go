package unitfile

import "strings"

// nearestMax is the longest word that a likely meaning is looked for, in bytes.
const nearestMax = 64

// nearest returns the candidate that a mistyped word most likely means, or "".
// Case does not count, and about one letter in four may be wrong.
func nearest(word string, candidates []string) string {
	if len(word) > nearestMax {
		return ""
	}
	best, bestDistance := "", len(word)/4+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace to get from a to b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
