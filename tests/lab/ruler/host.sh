#!/bin/bash
# The ruler (`./lab bench --exact`) measures what is known: a program in dom0 that executes a thousand instructions and one
# system call per round. It finds these in the program, apart from what Linux and Xen do for the call, and no more system
# calls; nothing of a guest, where there is none. Three runs agree to two per cent.
# timeout: 240
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../../..
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# --bare: nothing of Duet is measured, and bringing it into dom0 takes longer than all the rest.
if ! "$root/lab" bench --exact --bare --name ruler --repeat 3 self > "$out" 2>&1; then
    cat "$out" >&2
    exit 1
fi
cat "$out"
python3 - "$root/build/bench/self.json" << 'PYTHON'
import json
import sys

found = json.load(open(sys.argv[1], encoding="utf-8"))
cost = {**found["rows"]["work"], "spread of the runs": found["spreads"]["work"]}
limits = {"processes": (1000, 1030), "syscalls": (0.99, 1.02), "kernel": (20, 2000), "xen": (100, 3000), "guest": (0, 0),
          "grant-copies": (0, 0), "events": (0, 0.02), "spread of the runs": (0, 2)}
wrong = [f"{name} {cost[name]}, not {low} to {high}" for name, (low, high) in limits.items() if not low <= cost[name] <= high]
if wrong:
    sys.exit("ruler: FAILED: per round " + "; ".join(wrong))
PYTHON
