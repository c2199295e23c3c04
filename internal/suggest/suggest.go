// Package suggest finds what somebody meant who has mistyped a name.
package suggest

import "strings"

// Closest returns the candidate that word most likely was meant to be, or "" if
// none is near. Upper and lower case are the same.
func Closest(word string, candidates []string) string {
	const longest = 64 // what is longer was not mistyped, and would take long
	if len(word) < 2 || len(word) > longest {
		return ""
	}
	best, least := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if len(c) > longest || c == word {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters that must be inserted, left out, replaced, or
// exchanged with their neighbour to make one word of the other.
func distance(from, to string) int {
	before, row := make([]int, len(to)+1), make([]int, len(to)+1)
	next := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		next[0] = i + 1
		for j := range len(to) {
			cost := 1
			if from[i] == to[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && from[i] == to[j-1] && from[i-1] == to[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(to)]
}
