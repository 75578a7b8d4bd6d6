#!/bin/bash
# clang-tidy finds nothing in any C file of the tree, with the checks of .clang-tidy.
# usage: tidy.sh BUILD-FOLDER
set -euo pipefail
files=$(git ls-files '*.c' | grep -E '^(guest-kernel|backend-daemons|xenbus-tools|tests)/' || true)
known=$(mktemp)
trap 'rm -f "$known"' EXIT
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$1/compile_commands.json" | sort -u > "$known"

status=0
while read -r file; do
    grep -qxF "$PWD/$file" "$known" && echo "$PWD/$file"
done <<< "$files" \
    | xargs --no-run-if-empty -P "$(nproc)" -n 1 clang-tidy --quiet -p "$1" \
        --extra-arg=-Wno-unknown-warning-option 2> >(grep -vE '^[0-9]+ warnings? generated|^Suppressed' >&2) \
    || status=1
exit $status
