#!/usr/bin/env python3
"""Every lock of the guest kernel has a row in kern/lockorder.def, and every row a lock.

The witness of the debug kernel says the same, but only of locks that are taken while it runs.
"""
import re
import sys
from pathlib import Path

KERNEL = Path("guest-kernel")
ROW = re.compile(r'LOCK_CLASS\(\s*(\w+),\s*(\w+),\s*"([^"]+)",\s*(?:ONE|PAIR),\s*"([^"]+)"')
MADE = {
    "SPIN": re.compile(r'(?:\bSPINLOCK|\bROSTER|\bspin_init)\((?:[^;"()]*,)?\s*"([^"]+)"\)'),
    "MUTEX": re.compile(r'(?:\bmutex_init\([^;"]*|struct mutex \w+ = \{\.waiters = WAITQ\([^;"]*)"([^"]+)"\)'),
}
NOBODY_MAKES = {"(wait queue)"}  # the class of all wait queues, whatever their names


def main():
    found = []
    rows = {}
    for name, kind, lock, where in ROW.findall((KERNEL / "kern/lockorder.def").read_text(encoding="utf-8")):
        if (kind, lock) in rows:
            found.append(f"lockorder.def: two rows for {lock}")
        rows[kind, lock] = where
        if not (KERNEL / where).exists():
            found.append(f"lockorder.def: {name}: there is no {where}")
    made = set()
    for path in sorted(KERNEL.rglob("*.c")):
        text = path.read_text(encoding="utf-8")
        for kind, pattern in MADE.items():
            for lock in pattern.findall(text):
                made.add((kind, lock))
                if (kind, lock) not in rows:
                    found.append(f'{path}: "{lock}" ({kind}) has no row in kern/lockorder.def')
    for kind, lock in rows:
        if kind in MADE and lock not in NOBODY_MAKES and (kind, lock) not in made:
            found.append(f'lockorder.def: nobody makes "{lock}" ({kind})')
    print("\n".join(found) or f"{len(rows)} classes of locks, {len(made)} are made")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
