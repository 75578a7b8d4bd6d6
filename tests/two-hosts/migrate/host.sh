#!/bin/bash
# A guest moves by `xl migrate`: first to another domain of the same host, then to the second of two hosts,
# while it writes to a disk that both have and while somebody types at its console. Every line that was typed and
# every block that was written arrives, the console's log goes on, and in the end only the second host has the disk
# open. on-first/test.sh does this, in dom0 of the first host, for each kind of guest.
# timeout: 1500
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
lab=$here/../../../lab
pair=${DUET_PAIR:-two} # DUET_PAIR: two hosts that are up, and stay so

if [ -z "${DUET_PAIR:-}" ]; then
    trap '"$lab" down --name "$pair"' EXIT
    "$lab" up --two-hosts --name "$pair"
fi
"$lab" deploy --two-hosts --name "$pair"
DUET_LAB=$pair "$here/../../lab/run" "$here/on-first" 700
