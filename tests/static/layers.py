#!/usr/bin/env python3
"""The rooms stand on one another as their READMEs say, and in no other way.

Usage: layers.py [BUILD] checks the tree (and itself, on a copy with deliberate mistakes); layers.py --draw prints the
picture that docs/kernel.md shows.

The tables in guest-kernel/README.md and backend-daemons/README.md are the only places where the arrows are written
down. A row names a room (a folder; a folder without a row belongs to the room around it) and what it stands on.
Rooms whose second column is `core` form the core: they may use one another, and every other room may use them.
The check fails on an #include that has no arrow, on an arrow that nothing needs, on a room that stands on one
above it in the table (so that there is no circle), on headers that include one another in a circle, and on a
picture that does not show this table."""
import os
import re
import shutil
import sys
import tempfile

KERNEL = "guest-kernel"
DAEMONS = "backend-daemons"
TOOLS = "xenbus-tools"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ROW = re.compile(r"^\| `([\w./-]+)/` \|([^|]*)\|", re.M)
WIDTH = 100


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def sources(root, top):
    """The C and assembly files below a folder, relative to the root."""
    for folder, _, names in sorted(os.walk(os.path.join(root, top))):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".S")):
                yield os.path.relpath(os.path.join(folder, name), root)


class Table:
    """What a README says: the rooms from the top down, and what each stands on."""

    def __init__(self, root, top):
        self.top, self.core, self.on = top, [], {}
        self.errors = []
        for room, cell in ROW.findall(read(os.path.join(root, top, "README.md"))):
            names = re.findall(r"[\w/-]+", cell)
            if names == ["core"]:
                self.core.append(room)
            self.on[room] = set() if names in (["core"], ["nothing"]) else set(names)
        order = list(self.on)
        if not order:
            self.errors.append(f"{top}/README.md: has no table of rooms")
        for room, below in self.on.items():
            for other in sorted(below):
                if other not in self.on:
                    self.errors.append(f"{top}/README.md: {room} stands on {other}, which is no room")
                elif order.index(other) <= order.index(room):
                    self.errors.append(f"{top}/README.md: {room} stands on {other}, which is not below it")
                elif other in self.core:
                    self.errors.append(f"{top}/README.md: {room}: every room may use the core, do not list it")

    def room_of(self, path):
        """The room of a file, by the nearest folder around it that has a row; None: it has none."""
        folder = os.path.dirname(os.path.relpath(path, self.top))
        while folder and folder not in self.on:
            folder = os.path.dirname(folder)
        return folder or None

    def allows(self, room, other):
        return room == other or other in self.core or other in self.on[room]


def resolve_kernel(known, path, name):
    """Kernel includes are relative to guest-kernel, or to the file. None: lwIP's, or Xen's."""
    for candidate in (f"{KERNEL}/{name}", os.path.join(os.path.dirname(path), name)):
        candidate = os.path.normpath(candidate)
        if candidate in known:
            return [candidate]
    return []


def resolve_daemon(known, path, name):
    """The daemons' include path is short: a name is the file's neighbour, or anybody's of that name (lib's first)."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if beside in known:
        return [beside]
    found = [k for k in known if k.endswith("/" + name)]
    return [k for k in found if k.startswith(f"{DAEMONS}/lib/")] or found


def check_arrows(root, table, tops, resolve):
    """The includes of all files against the table. Return: the complaints, and the includes between headers."""
    errors, used, graph = list(table.errors), set(), {}
    known = {path for top in tops for path in sources(root, top)}
    for path in sorted(known):
        room = table.room_of(path)
        if room is None:
            errors.append(f"{path}: lies in no room of {table.top}/README.md")
            continue
        for name in INCLUDE.findall(read(os.path.join(root, path))):
            targets = resolve(known, path, name)
            graph.setdefault(path, []).extend(targets)
            others = [table.room_of(t) for t in targets]
            used.update((room, o) for o in others)
            if others and not any(o is not None and table.allows(room, o) for o in others):
                errors.append(f'{path}: includes "{name}": {table.top}/README.md does not let {room} stand on {others[0]}')
    for room, below in table.on.items():
        errors += [f"{table.top}/README.md: {room} stands on {o} for nothing" for o in sorted(below) if (room, o) not in used]
    return errors, graph


def circle(graph):
    """Headers that include one another in a circle, or None."""
    state = {}

    def visit(path, trail):
        if state.get(path) == "done" or not path.endswith(".h"):
            return None
        if path in trail:
            return trail[trail.index(path):] + [path]
        for target in graph.get(path, []):
            found = visit(target, trail + [path])
            if found:
                return found
        state[path] = "done"
        return None

    for path in sorted(graph):
        found = visit(path, [])
        if found:
            return found
    return None


def levels(table):
    """The rooms above the core by height: each one above all that it stands on."""
    height = {}
    for room in reversed(list(table.on)):
        if room not in table.core:
            height[room] = 1 + max((height[o] for o in table.on[room]), default=0)
    return height


def draw(table):
    """The picture of the kernel's layers: one line a room, the lowest at the bottom, the core under all."""
    height = levels(table)
    bar = "    +" + "-" * (WIDTH - 2) + "+"
    lines = []
    for level in range(max(height.values()), 0, -1):
        lines.append(bar)
        for room in [r for r in table.on if height.get(r) == level]:
            below = [o for o in table.on if o in table.on[room]]
            if len(below) > 6:
                missing = [o for o in table.on if o not in table.core and o != room and height[o] < level and o not in below]
                text = "all below" + (" but " + ", ".join(missing) if missing else "")
            else:
                text = ", ".join(below) or "the core alone"
            lines.append(f"    | {room:<12} on {text}".ljust(WIDTH + 3) + "|")
    lines += [bar, f"    | the core: {', '.join(table.core)}".ljust(WIDTH + 3) + "|", bar]
    return "\n".join(lines) + "\n"


def check(root):
    """All complaints about a tree."""
    kernel, daemons = Table(root, KERNEL), Table(root, DAEMONS)
    errors, graph = check_arrows(root, kernel, [KERNEL], resolve_kernel)
    more, _ = check_arrows(root, daemons, [DAEMONS, TOOLS], resolve_daemon)
    errors += more
    found = circle(graph)
    if found:
        errors.append("headers include one another: " + " -> ".join(found))
    if not errors and draw(kernel) not in read(os.path.join(root, "docs/kernel.md")):
        errors.append("docs/kernel.md: its picture is not of guest-kernel/README.md: see layers.py --draw")
    return errors


def mistakes():
    """Deliberate mistakes: the file, a line put in front of it or a change to it, and what must be said."""
    first = lambda line: lambda text: line + "\n" + text
    return [
        (f"{KERNEL}/kern/log.c", first('#include "shell/shell.h"'), "does not let kern stand on shell"),
        (f"{KERNEL}/psm/trap.c", first('#include "kdi/kdi.h"'), "does not let psm stand on kdi"),
        (f"{KERNEL}/xenbus/xs_ops.c", first('#include "../xendev/xendev.h"'), "does not let xenbus stand on xendev"),
        (f"{KERNEL}/kern/types.h", first('#include "kern/lock.h"'), "headers include one another"),
        (f"{DAEMONS}/block/gate.c", first('#include "../net/gate.h"'), "does not let block stand on net"),
        (f"{DAEMONS}/lib/log.c", first('#include "../net/gate.h"'), "does not let lib stand on net"),
        (f"{DAEMONS}/console/console.h", first('#include "pairs.h"'), "does not let console stand on ../xenbus-tools"),
        (f"{KERNEL}/README.md", lambda t: t.replace("| `fs/` | io |", "| `fs/` | io, xenbus |"), "fs stands on xenbus for nothing"),
        (f"{KERNEL}/README.md", lambda t: t.replace("| `io/` | |", "| `io/` | net |"), "io stands on net, which is not below it"),
        (f"{KERNEL}/README.md", lambda t: re.sub(r"\| `fs/` .*\n", "", t), "lies in no room"),
        ("docs/kernel.md", lambda t: t.replace("| the core:", "| a core:"), "its picture is not"),
    ]


def check_self(root):
    """Each deliberate mistake, made in a copy of the tree, is complained about."""
    errors = []
    with tempfile.TemporaryDirectory() as copy:
        for top in (KERNEL, DAEMONS, TOOLS):
            shutil.copytree(os.path.join(root, top), os.path.join(copy, top))
        os.mkdir(os.path.join(copy, "docs"))
        shutil.copy(os.path.join(root, "docs/kernel.md"), os.path.join(copy, "docs"))
        for path, change, expected in mistakes():
            whole = os.path.join(copy, path)
            before = read(whole)
            after = change(before)
            with open(whole, "w", encoding="utf-8") as f:
                f.write(after)
            said = check(copy)
            if after == before or not any(expected in line for line in said):
                errors.append(f"layers.py: a deliberate mistake in {path} is not seen as '{expected}', but as {said}")
            with open(whole, "w", encoding="utf-8") as f:
                f.write(before)
    return errors


def main():
    if sys.argv[1:] == ["--draw"]:
        print(draw(Table(".", KERNEL)), end="")
        return 0
    errors = check(".") or check_self(".")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
