#!/usr/bin/env python3
"""Files that do the same job for different classes do not become copies of each other again.

Usage: alike.py [BUILD]. Prints for each pair of files how many lines they share, and fails above the pair's limit. What is
alike belongs into the room that both stand on (backend-daemons/lib, guest-kernel/xendev).

Counted are lines of code: comments, includes, braces that stand alone and empty lines are dropped, the prefix of the class
(blk_, net_, ...) is folded away, and the longest common subsequence of lines is set against the shorter file. Lines that
stand in every C file say nothing about two of them ("int err;", "return err;"), but are counted all the same: a limit
leaves room for them. It tries itself on two pieces of source first."""
import re
import sys

DAEMONS, KERNEL = "backend-daemons/", "guest-kernel/io/"
# The pair, and per cent that may be alike.
PAIRS = [
    (DAEMONS + "block/device.c", DAEMONS + "net/device.c", 10),
    (DAEMONS + "block/worker.c", DAEMONS + "net/worker.c", 10),
    (DAEMONS + "block/device_xs.c", DAEMONS + "net/device_xs.c", 10),
    (DAEMONS + "block/main.c", DAEMONS + "net/main.c", 10),
    (DAEMONS + "block/main.c", DAEMONS + "console/main.c", 10),
    (DAEMONS + "net/main.c", DAEMONS + "console/main.c", 10),
    (DAEMONS + "block/worker.c", DAEMONS + "console/worker.c", 10),
    (DAEMONS + "net/worker.c", DAEMONS + "console/worker.c", 10),
    (KERNEL + "xvbd/xvbd_xs.c", KERNEL + "xennetf/xennetf_xs.c", 27),
]
# So few lines say nothing, however short a file is.
FLOOR = 5
# Words that mean the class, longest first; folded whatever their case.
PREFIX = re.compile(r"\b(?:struct |enum )?(blk|net|cons|xvbd|xennetf|xnf|block|vbd|vif)(?=_|d\b|\b)", re.I)
COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|/\*.*?\*/|//[^\n]*', re.S)


def lines(text):
    """@text: C source. Return: its lines of code, with classes folded."""
    text = COMMENT.sub(lambda m: m.group() if m.group().startswith('"') else " ", text)
    found = []
    for line in text.splitlines():
        line = " ".join(line.split())
        if line and not line.startswith("#include") and line not in ("{", "}", "};"):
            found.append(PREFIX.sub("C", line))
    return found


def common(a, b):
    """Return: the length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        corner = 0
        for j, y in enumerate(b, 1):
            corner, row[j] = row[j], corner + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def share(a, b):
    """@a, @b: source. Return: lines alike, lines of the shorter, per cent."""
    a, b = lines(a), lines(b)
    alike, shorter = common(a, b), min(len(a), len(b))
    return alike, shorter, 100 * alike / max(shorter, 1)


def main():
    a = '#include "x.h"\n/* one */\nint blk_a(struct blk_device *d)\n{\n    return blk_b(d);\n}\nint one;\n'
    b = '#include "x.h"\n/* two */\nint net_a(struct net_device *d)\n{\n    return net_b(d);\n}\nint two;\n'
    if share(a, b)[:2] != (2, 3):
        print("alike.py: does not see what is alike")
        return 1
    status = 0
    print(f"{'alike':>5} {'of':>4} {'%':>5} {'limit':>5}")
    for left, right, limit in PAIRS:
        with open(left, encoding="utf-8") as f, open(right, encoding="utf-8") as g:
            alike, shorter, percent = share(f.read(), g.read())
        print(f"{alike:5} {shorter:4} {percent:5.1f} {limit:5}  {left} {right}")
        if percent > limit and alike > FLOOR:
            print(f"{left} and {right}: {percent:.1f} % of their lines are alike, more than {limit} %")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
