#!/usr/bin/env python3
"""Puts each fault of faults.toml into a copy of the tree, and shows after how many schedules the simulation finds it.

usage: faults.py [--check] [--record] [--schedules N] [FAULT...]

The copy and the way a text is replaced are those of tests/mutation/mutate.py.

  --check        only look whether each fault's text stands exactly once in its file; takes no time
  --record       put what was found into the table of README.md
  --schedules N  give up after so many (100000)

Exit status: 0 if each fault was found, 1 if not, 2 for wrong usage.
"""
import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mutation"))
import mutate  # pylint: disable=wrong-import-position

README = HERE / "README.md"
BEGIN, END = "<!-- faults.py -->\n", "<!-- end -->"
SIM = mutate.COPY / "build/asan/tests/sim/duet-sim"
SECONDS = 1200


def load(wanted):
    """The faults of the table, all or those named."""
    table = tomllib.loads((HERE / "faults.toml").read_text(encoding="utf-8"))
    unknown = [name for name in wanted if name not in table]
    if unknown:
        sys.exit(f"faults.py: faults.toml has no fault '{unknown[0]}'")
    faults = []
    for name, row in table.items():
        if not wanted or name in wanted:
            faults.append(mutate.Guard(name, row | {"tests": []}))
            faults[-1].seed = row.get("seed", 1)
    return faults


def build():
    """The simulation in the copy. Whether it could be built."""
    status, text = mutate.quietly(["cmake", "--build", "--preset", "asan", "--target", "build_sim"], mutate.COPY)
    if status != 0:
        print(text[-2000:])
    return status == 0


def search(seed, schedules):
    """Run it from that seed on: the seed that finds something, and what; None if none does."""
    try:
        done = subprocess.run([SIM, "--seed", str(seed), "--schedules", str(schedules)], capture_output=True, text=True,
                              check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None
    found = re.search(r"^seed (\d+): (.*)$", done.stderr, re.M)
    return (int(found.group(1)), found.group(2)) if found else None


def attempt(fault, schedules):
    """One fault: what search() says; None also if it does not build."""
    path = mutate.COPY / fault.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(fault.old, fault.new), encoding="utf-8")
    try:
        return search(fault.seed, schedules) if build() else None
    finally:
        path.write_text(whole, encoding="utf-8")


def record(rows):
    """Puts rows into README.md's table."""
    head, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    lines = ["| fault | what it is | found in schedule | as |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {what} | {seed} | {text} |" for name, what, seed, text in rows]
    README.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--schedules", type=int, default=100000)
    parser.add_argument("faults", nargs="*")
    options = parser.parse_args()
    faults = load(options.faults)
    if not mutate.check(faults):
        return 1
    if options.check:
        print(f"{len(faults)} faults, each can be put where the table says")
        return 0
    mutate.copy_tree()
    mutate.quietly(["cmake", "--preset", "asan", f"-DLWIP_SOURCE={mutate.lwip()}"], mutate.COPY)
    rows, good = [], True
    for fault in faults:
        found = attempt(fault, options.schedules)
        good = good and found is not None
        seed, text = found or ("NOT FOUND", "")
        text = re.sub(r"^/\S*/(\w+\.c:\d+)", r"\1", text)[:110]
        rows.append((fault.name, fault.what, seed, text))
        print(f"{fault.name:24} {seed:>10}  {text}", flush=True)
    if options.record:
        record(rows)
    print(f"{len(rows)} faults put in, {sum(row[2] != 'NOT FOUND' for row in rows)} found")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
