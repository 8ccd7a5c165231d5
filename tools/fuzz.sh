#!/bin/bash
# Runs every fuzz target for a while: fuzz.sh 30s
set -eu
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include=*_test.go internal | sort | while read -r file; do
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$file"); do
		echo "== $target ($(dirname "$file"))"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-30s}" "./$(dirname "$file")"
	done
done
