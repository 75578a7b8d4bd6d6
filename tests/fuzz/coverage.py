#!/usr/bin/env python3
"""Measures which lines of the gates the kept inputs reach, and writes the table into README.md.

usage: coverage.py PROGRAM.coverage...     (cmake --build --preset asan --target fuzz_coverage)

Each program is a target, fuzz_NAME, built for clang's coverage; it runs the inputs of corpus/NAME, and no others.
A line counts when any target reaches it. What is measured is what a guest's or a worker's bytes pass: the files
of GATES, but for the functions of ELSEWHERE, which need a kernel or only write, and which unit tests cover.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GATES = {
    "backend-daemons/block": ["gate.c", "queue.c", "device_xs.c", "image.c"],
    "backend-daemons/net": ["gate.c", "frame.c", "tx.c", "rx.c", "ctrl.c", "hash.c", "mcast.c", "device_xs.c"],
    "backend-daemons/console": ["cons_ring.c", "replay.c", "console.c", "link.c", "name.c"],
    "backend-daemons/lib": ["ring.c", "inflight.c", "keys.c", "crew.c", "life.c"],
    "guest-kernel": ["io/xennetf/xnf_gate.c", "io/xennetf/xnf_flow.c", "net/httpd/request.c", "fs/ext.c",
                     "fs/ext_map.c"],
}
ELSEWHERE = {
    "inflight_create", "inflight_is_sealed", "inflight_state", "inflight_open",  # descriptors: unit.block_inflight
    "life_deadline_ms", "life_phase_name",                                       # for people: unit.life
    "blk_device_xs_publish_connected", "blk_device_xs_publish_size",             # written: unit.block_device
    "net_device_xs_publish_features", "net_device_xs_publish_carrier",           # written: unit.net_device
}


def run(*command, **more):
    """A command's output; ends with its own words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"coverage.py: {command[0]}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def profile(programs, folder):
    """Runs the programs with their corpora; returns the merged profile."""
    for program in programs:
        name = Path(program).name.removeprefix("fuzz_").removesuffix(".coverage")
        run(program, "-runs=0", str(HERE / "corpus" / name), cwd=folder,
            env={**os.environ, "LLVM_PROFILE_FILE": f"{folder}/{name}.profraw"})
    run("llvm-profdata", "merge", "-o", f"{folder}/all", *map(str, Path(folder).glob("*.profraw")))
    return f"{folder}/all"


def reached(programs, merged):
    """For each file: which of its lines that have code were reached, as a dict of line to bool."""
    objects = [word for program in programs[1:] for word in ("-object", program)]
    files = [str(ROOT / folder / name) for folder, names in GATES.items() for name in names]
    text = run("llvm-cov", "show", programs[0], *objects, f"-instr-profile={merged}", *files)
    lines, current, seen = {}, None, {}
    for line in text.splitlines():
        if line.startswith("/") and line.endswith(":"):
            current = seen.setdefault(os.path.realpath(line[:-1]), {})
        elif current is not None and (found := re.match(r"\s*(\d+)\|\s*([\d.]+[kMGTE]?)\|", line)):
            number = int(found[1])
            current[number] = current.get(number, False) or found[2] != "0"
    lines.update(seen)
    return lines


def skipped(path):
    """Lines of the functions of ELSEWHERE in a file."""
    out, inside = set(), False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not inside and (found := re.match(r"[a-z].*?\b(\w+)\(", line)) and found[1] in ELSEWHERE:
            inside = True
        if inside:
            out.add(number)
            inside = line != "}"
    return out


def main(programs):
    if not programs:
        sys.exit(__doc__.split("usage: ")[1].splitlines()[0])
    with tempfile.TemporaryDirectory() as folder:
        lines = reached(programs, profile(programs, folder))
    rows, total, hit, left = [], 0, 0, []
    for folder, names in GATES.items():
        for name in names:
            path = ROOT / folder / name
            out = skipped(path)
            counted = {n: good for n, good in lines[str(path)].items() if n not in out}
            good = sum(counted.values())
            total, hit = total + len(counted), hit + good
            rows.append(f"| `{folder}/{name}` | {len(counted)} | {100 * good / len(counted):.1f} % |")
            left += [f"{folder}/{name}:{n}" for n, one in sorted(counted.items()) if not one]
    rows.append(f"| all | {total} | {100 * hit / total:.1f} % |")
    table = "\n".join(["| file | lines | reached |", "|---|---|---|", *rows])
    readme = HERE / "README.md"
    head, _, rest = readme.read_text(encoding="utf-8").partition("<!-- coverage.py -->\n")
    tail = rest.partition("<!-- end -->")[2]
    readme.write_text(f"{head}<!-- coverage.py -->\n{table}\n<!-- end -->{tail}", encoding="utf-8")
    print(table)
    print("not reached:", " ".join(left))


main(sys.argv[1:])
