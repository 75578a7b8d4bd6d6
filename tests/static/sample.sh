#!/bin/bash
# Each daemon takes every key that the shipped duet.conf shows, once its # is taken away. Usage: sample.sh [BUILD]. It tries
# itself first on a remark that the parser would take as part of a value.
set -euo pipefail
build=${1:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# uncomment: titles and keys stand right behind their #, prose behind a blank.
uncomment() {
    sed 's/^#\([[a-z]\)/\1/'
}

# accepted FILE: by all three daemons.
accepted() {
    "$build/backend-daemons/block/duet-blockd" --config "$1" --check &&
        "$build/backend-daemons/console/duet-consoled" --config "$1" --check &&
        "$build/backend-daemons/net/duet-netd" --config "$1" --check
}

printf '#[block]\n#iops = 500  # requests\n' | uncomment > "$work/wrong.conf"
! accepted "$work/wrong.conf" 2> "$work/said" || { echo "sample.sh: a wrong line passes"; exit 1; }
grep -q iops "$work/said" || { echo "sample.sh: the wrong line is not named"; cat "$work/said"; exit 1; }

uncomment < configs/duet.conf > "$work/duet.conf"
[ "$(grep -c '^[a-z-]* = ' "$work/duet.conf")" -ge 8 ] || { echo "sample.sh: hardly any keys in configs/duet.conf"; exit 1; }
accepted "$work/duet.conf"
