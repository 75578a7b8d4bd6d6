#!/usr/bin/env python3
"""A function of the guest kernel has a name of its own: a backtrace line or `break NAME` means one place.

Usage: names.py [BUILD]. Fails if a static function's name recurs in another file of guest-kernel, static or not. A name
that recurs takes its file's prefix (evtchn_fifo_mask). A static inline stub of a header that stands for a public
function when a feature is off is that function, not another one. It tries itself on two pieces of source first."""
import collections
import re
import subprocess
import sys

# .clang-format has the name of a definition on its first line, at the left margin, and the brace on one of its own.
DEFINITION = re.compile(r"^([^\s#/*}][^=;{}()\n]*?)\b(\w+)\([^;{}]*\)\s*\n\{", re.M)


def clashes(texts):
    """@texts: path to source. Return: for each name that means more than one place, the files that define it."""
    static, public = collections.defaultdict(set), collections.defaultdict(set)
    for path, text in texts.items():
        for kind, name in DEFINITION.findall(text):
            (static if kind.startswith("static") else public)[name].add(path)
    found = {}
    for name, files in static.items():
        files = {f for f in files if not (f.endswith(".h") and public[name])} | public[name]
        if len(files) > 1 and not name.startswith("__"):
            found[name] = sorted(files)
    return found


def main():
    a, b = "static int find(int x)\n{\n}\n", "void find(void)\n{\n}\nstatic void own(void)\n{\n}\n"
    if list(clashes({"a.c": a, "b.c": a})) != ["find"] or list(clashes({"a.c": a, "b.c": b})) != ["find"] or clashes({"b.c": b}):
        print("names.py: does not see a name that recurs")
        return 1
    paths = subprocess.check_output(["git", "ls-files", "guest-kernel/*.c", "guest-kernel/*.h"], text=True).split()
    texts = {}
    for path in paths:
        with open(path, encoding="utf-8") as f:
            texts[path] = f.read()
    found = clashes(texts)
    for name, files in sorted(found.items()):
        print(f"{name}: defined in {' and '.join(files)}")
    return 1 if found else 0


sys.exit(main())
