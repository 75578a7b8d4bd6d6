#!/usr/bin/env python3
"""clang-tidy finds nothing in any C file of the tree, with the checks of .clang-tidy.

usage: tidy.py BUILD-FOLDER [--deep]

What takes the time is the analyzer, which follows the paths through a function: of a large one it gives up after so many
steps. The suite gives up after DEPTH; with --deep it goes on to the analyzer's own limit, seven times as far, which takes
three times as long and is for the desk.

A file that was clean is not read again while its preprocessed text, its command line and .clang-tidy are the
same: BUILD-FOLDER/tidy holds a mark for each.
"""
import hashlib
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEPTH = ["-Xclang", "-analyzer-config", "-Xclang", "max-nodes=30000"]
NOISE = ("warnings generated.", "warning generated.")


def key(entry, base):
    """What a verdict on this file depends on; None if it cannot even be preprocessed."""
    words = shlex.split(entry["command"])
    if "-o" in words:
        at = words.index("-o")
        del words[at:at + 2]
    words.remove("-c")
    done = subprocess.run([*words, "-E"], cwd=entry["directory"], capture_output=True, check=False)
    if done.returncode != 0:
        return None
    return hashlib.sha256(base + entry["command"].encode() + done.stdout).hexdigest()


def check(entry, build, base, depth):
    """clang-tidy's findings in one file, '' if there is none."""
    mark = key(entry, base)
    stamp = build / "tidy" / mark if mark else None
    if stamp and stamp.exists():
        return ""
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), entry["file"],
                           *(f"--extra-arg={word}" for word in ["-Wno-unknown-warning-option", *depth])],
                          capture_output=True, text=True, check=False)
    if done.returncode == 0:
        if stamp:
            stamp.touch()
        return ""
    noise = "\n".join(l for l in done.stderr.splitlines() if not l.endswith(NOISE))
    return done.stdout + noise


def main(build, depth):
    root = Path.cwd()
    tracked = set(subprocess.run(["git", "ls-files", "*.c"], capture_output=True, text=True,
                                 check=True).stdout.split())
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    entries = {e["file"]: e for e in commands if os.path.relpath(e["file"], root) in tracked}
    (build / "tidy").mkdir(exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    base = version + Path(".clang-tidy").read_bytes() + " ".join(depth).encode()

    found = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for text in pool.map(lambda e: check(e, build, base, depth), entries.values()):
            if text:
                found += 1
                print(text)
    print(f"{len(entries)} files, findings in {found}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [] if "--deep" in sys.argv[2:] else DEPTH))
