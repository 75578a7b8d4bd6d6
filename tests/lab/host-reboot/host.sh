#!/bin/bash
# dom0 powers off with ten guests, and boots again: before/test.sh, the power, after/test.sh, in a lab of
# its own.
# timeout: 900
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
lab=$here/../../../lab
export DUET_LAB=reboot
trap '"$lab" down' EXIT

"$lab" up --cpus 1
"$here/../run" "$here/before" 400
# xendomains has five minutes for its guests, whatever the machine.
"$lab" reboot --patience "$((400 * ${DUET_FACTOR:-100} / 100))"
"$here/../run" "$here/after" 400
