#!/bin/bash
# Fuzzes for long, and keeps what it learnt: each target runs for SECONDS, beginning with the inputs of corpus/. Inputs
# that reach something new are added there, the smallest of those that reach the same. A crash ends it and says where the
# input is; it belongs in corpus/ along with the fix.
#
# usage: long.sh SECONDS [NAME...]     (all targets without a NAME; from a built asan preset)
set -euo pipefail
cd "$(dirname "$0")"
programs=../../build/asan/tests/fuzz

[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || { sed -n '/^# usage/s/^# //p' "$0" >&2; exit 2; }
seconds=$1
shift
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(find "$programs" -name 'fuzz_*' ! -name '*.*' -type f -perm -u+x -printf '%f\n' | sed 's/^fuzz_//')

for name in "${names[@]}"; do
    [ -x "$programs/fuzz_$name" ] || { echo "long.sh: $programs/fuzz_$name is not there: build the asan preset" >&2; exit 2; }
    mkdir -p "corpus/$name" "$programs/found/$name"
    before=$(find "corpus/$name" -type f | wc -l)
    echo "$name: $seconds s from $before inputs"
    "$programs/fuzz_$name" -max_total_time="$seconds" -max_len=4096 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$programs/found/$name-" "$programs/found/$name" "corpus/$name"
    "$programs/fuzz_$name" -merge=1 -use_counters=0 -verbosity=0 "corpus/$name" "$programs/found/$name"
    echo "$name: $(find "corpus/$name" -type f | wc -l) inputs now"
done
