#!/bin/bash
# No unit of ours is more exposed than docs/security.md says, by the count of `systemd-analyze security`, and each keeps its
# supervisor from the OOM killer. Usage: units.sh [BUILD]. It tries itself first on a unit without any protection.
set -euo pipefail
command -v systemd-analyze > /dev/null || { echo "units.sh: systemd-analyze is missing"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# exposure UNIT: ten times what systemd-analyze says of it.
exposure() {
    systemd-analyze security --offline=true --no-pager "$1" 2> "$work/err" |
        sed -n 's/.*Overall exposure level for [^ ]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p' | sed 's/^0*//' | grep . || {
        cat "$work/err"
        return 1
    }
}

# kept_from_oom_killer UNIT: whether its supervisor goes after processes of the usual score, which are its workers', too.
kept_from_oom_killer() {
    grep -q '^OOMScoreAdjust=-[1-9]' "$1"
}

printf '[Service]\nExecStart=/bin/true\n' > "$work/bare.service"
[ "$(exposure "$work/bare.service")" -gt 90 ] || { echo "units.sh: a bare unit is not seen as exposed"; exit 1; }
! kept_from_oom_killer "$work/bare.service" || { echo "units.sh: a bare unit passes for kept from the OOM killer"; exit 1; }

status=0
for unit in configs/systemd/duet-{block,net,console,driver}.service.in; do
    name=$(basename "$unit" .in)
    limit=$(sed -n "s/^| \`$name\` | \([0-9]*\)\.\([0-9]\) |.*/\1\2/p" docs/security.md | sed 's/^0*//')
    [ -n "$limit" ] || { echo "docs/security.md has no row for $name"; status=1; continue; }
    sed 's#@[A-Z_]*@#/usr#' "$unit" > "$work/$name"
    found=$(exposure "$work/$name")
    echo "$name: exposure $found, limit $limit (tenths)"
    [ "$found" -le "$limit" ] || { echo "$name is more exposed than docs/security.md says"; status=1; }
    kept_from_oom_killer "$unit" || { echo "$name: the OOM killer may take the supervisor first"; status=1; }
done
exit $status
