#!/bin/bash
# The Debian packages on a host that has never seen Duet: stock/test.sh, in a lab of its own.
# timeout: 600
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
lab=$here/../../../lab
export DUET_LAB=packages
trap '"$lab" down' EXIT

mapfile -t packages < <("$lab" packages)
[ ${#packages[@]} = 5 ] || {
    echo "packages: not five: ${packages[*]}" >&2
    exit 1
}
"$lab" up --bare --cpus 1
"$lab" exec -- mkdir -p /var/tmp/packages
"$lab" put "${packages[@]/#/$here/../../../}" /var/tmp/packages
"$here/../run" "$here/stock" 500
