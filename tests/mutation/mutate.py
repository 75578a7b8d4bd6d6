#!/usr/bin/env python3
"""Takes each guard of the daemons and the kernel out in turn and shows which test turns red.

usage: mutate.py [--check] [--lab] [--json FILE] [--record] [GUARD...]

guards.toml names the guards: the text in a source file that is the guard, what stands there without it, and the
tests of which at least one has to fail then. Each guard is taken out in a copy of the tree, never in the tree
itself. The copy is built and the tests are run. A guard whose tests stay green is a finding: either nothing proves
it, or it guards nothing.

  --check      only look whether each guard's text stands exactly once in its file; takes no time
  --lab        also guards that only tests on the hypervisor prove (a lab boots for each)
  --json FILE  write the table there as well
  --record     put what was found into the table of README.md

Exit status: 0 if every guard that was tried turned a test red, 1 if not, 2 for wrong usage.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUARDS = Path(__file__).with_name("guards.toml")
README = Path(__file__).with_name("README.md")
COPY = ROOT / "build/mutation"
BEGIN, END = "<!-- mutate.py -->\n", "<!-- end -->"


class Guard:
    """One row of guards.toml."""

    def __init__(self, name, row):
        self.name = name
        self.file = row["file"]
        self.old = row["old"]
        self.new = row["new"]
        self.tests = row["tests"]
        self.what = row["what"]

    @property
    def in_lab(self):
        """Whether only the hypervisor proves it."""
        return all(test.startswith("lab.") for test in self.tests)

    def fault(self):
        """Why the row does not fit the tree; None if it does."""
        path = ROOT / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text(encoding="utf-8").count(self.old)
        return None if count == 1 else f"its text stands {count} times in {self.file}, not once"


def load(wanted):
    """The guards of the table, all or those named."""
    table = tomllib.loads(GUARDS.read_text(encoding="utf-8"))
    unknown = [name for name in wanted if name not in table]
    if unknown:
        sys.exit(f"mutate.py: guards.toml has no guard '{unknown[0]}'")
    return [Guard(name, row) for name, row in table.items() if not wanted or name in wanted]


def check(guards):
    """Whether the table fits the tree; says where it does not."""
    faults = [(guard, guard.fault()) for guard in guards]
    for guard, fault in faults:
        if fault:
            print(f"{guard.name}: {fault}")
    return not any(fault for _, fault in faults)


def quietly(command, cwd, limit=1800):
    """Run; exit status and output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=limit)
    return done.returncode, done.stdout + done.stderr


def copy_tree():
    """A copy of the tracked and new files of the tree; its build folder stays from run to run."""
    COPY.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, COPY / name
        if source.is_file() and (not target.exists() or target.read_bytes() != source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)  # a time of its own: an older one would pass for built
            shutil.copymode(source, target)
    if not (COPY / ".git").exists():
        quietly(["git", "init", "-q"], COPY)


def target(test):
    """CMake's name of what has to be built for a test that needs no lab."""
    kind, name = test.split(".", 1)
    return {"unit": f"test_{name}", "fuzz": f"build_fuzz_{name}", "sim": "build_sim"}[kind]


def run_unit(tests):
    """Build and run unit and fuzz tests and the simulation in the copy: None if it does not build, else the names that failed."""
    status, text = quietly(["cmake", "--build", "--preset", "asan", "-j", str(os.cpu_count()), "--target",
                            *map(target, tests)], COPY)
    if status != 0:
        print(text[-2000:])
        return None
    failed = []
    for test in tests:
        status, _ = quietly(["ctest", "--test-dir", "build/asan", "-R", f"^{test.replace('.', chr(92) + '.')}$",
                             "--no-tests=error"], COPY)
        if status != 0:
            failed.append(test)
            break
    return failed


def run_lab(tests):
    """The same for tests on the hypervisor, by the copy's own ./lab."""
    for test in tests:
        status, text = quietly(["./lab", "test", "-R", f"^{test.replace('.', chr(92) + '.')}$"], COPY, 3600)
        if "tests passed" not in text:
            print(text[-2000:])
            return None
        if status != 0:
            return [test]
    return []


def attempt(guard):
    """Take one guard out. Returns the test that turned red, '' if none did, None if it does not build."""
    path = COPY / guard.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(guard.old, guard.new), encoding="utf-8")
    try:
        unit = [test for test in guard.tests if not test.startswith("lab.")]
        failed = run_unit(unit) if unit else run_lab(guard.tests)
    finally:
        path.write_text(whole, encoding="utf-8")
    return None if failed is None else "".join(failed)


def record(rows):
    """Puts rows into README.md's table, whose other rows stay; a guard that is no more leaves it."""
    head, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    old, _, tail = rest.partition(END)
    known = dict(re.findall(r"^\| `(\S+)` \| .* \| `?([^|`]+)`? \|$", old, re.M))
    known.update({row["guard"]: row["red"] for row in rows})
    lines = ["| guard | what it guards | turned red without it |", "|---|---|---|"]
    for guard in load([]):
        red = known.get(guard.name)
        if red:
            lines.append(f"| `{guard.name}` | {guard.what} | " + (f"`{red}` |" if red.islower() else f"{red} |"))
    README.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + tail, encoding="utf-8")


def lwip():
    """The folder of lwIP's source that the tree's own build was told."""
    for line in (ROOT / "build/release/CMakeCache.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("LWIP_SOURCE"):
            return line.partition("=")[2]
    return ""


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lab", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("guards", nargs="*")
    options = parser.parse_args()
    guards = load(options.guards)
    if not check(guards):
        return 1
    if options.check:
        print(f"{len(guards)} guards, each stands where the table says")
        return 0
    copy_tree()
    quietly(["cmake", "--preset", "asan", f"-DLWIP_SOURCE={lwip()}"], COPY)
    rows, good = [], True
    for guard in guards:
        if guard.in_lab and not options.lab:
            continue
        began = time.monotonic()
        found = attempt(guard)
        verdict = {None: "DOES NOT BUILD", "": "NOTHING TURNED RED"}.get(found, found)
        good = good and bool(found)
        rows.append({"guard": guard.name, "what": guard.what, "file": guard.file, "red": verdict})
        print(f"{guard.name:32} {verdict:40} {time.monotonic() - began:5.0f} s  {guard.what}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.record:
        record(rows)
    print(f"{len(rows)} guards taken out, {sum(bool(row['red'].islower()) for row in rows)} turned a test red")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
