#!/bin/bash
# Runs two commands side by side and fails if one does.
set -u
bash -c "$1" & first=$!
bash -c "$2" & second=$!
wait $first; a=$?
wait $second; b=$?
exit $((a | b))
