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

# By function, in a run of its own, since noting each block takes time: the program's instructions, the way into Linux for
# each system call, and Xen's for it, all by name; and nothing that found no place.
if ! "$root/lab" bench --exact --bare --name ruler --profile self > "$out" 2>&1; then
    cat "$out" >&2
    exit 1
fi
python3 - "$root/build/bench/profile/self.json" << 'PYTHON'
import json
import sys

work = json.load(open(sys.argv[1], encoding="utf-8"))["work"]
print({layer: list(functions.items())[:3] for layer, functions in work.items()})
wrong = [f"{layer} {name}: {work.get(layer, {}).get(name)}" for layer, name, low, high in (
    ("processes", "(a program)", 1000, 1030), ("kernel", "do_syscall_64", 5, 200), ("xen, dom0", "lstar_enter", 20, 1000))
    if not low <= work.get(layer, {}).get(name, 0) <= high]
if wrong or "lost" in work:
    sys.exit(f"ruler: FAILED: per round {'; '.join(wrong)}, lost {work.get('lost')}")
PYTHON
