"""`./lab bench --exact`: what an operation costs in instructions of the whole machine, and for whom they were.

A plugin of QEMU's emulator counts (lab.d/ruler), told by marks in dom0 what to look at and when to write down its
accounts. A benchmark of tests/bench/exact marks the begin and the end of each window with the row it belongs to and the
number of operations in it. Windows of one size hold operations only. A row with windows of several sizes is one whose
windows hold more: the cost is the slope between the smallest and the largest, so what begins and ends a run is not in
it. docs/bench.md says what is counted and what is not.
"""
import json
import os
import re
import shutil
import statistics
import subprocess

from . import host, hotspots, machine, paths, source, suite
from .say import LabError, note, run_logged, step

PACKAGES = {
    "gcc": "builds the plugin",
    "pkg-config": "finds its library",
    "libglib2.0-dev": "part of the plugins' interface",
    "libc6-dev": "a static program in dom0",
    "xz-utils": "unpacks the source that has the interface's header",
}
QEMU = (10, 0)  # from which on a plugin can read what is in the machine's memory
FOLDER = paths.LAB_D / "ruler"
BUILT = paths.BUILD / "ruler"
SCRIPTS = paths.ROOT / "tests/bench/exact"
KEPT = paths.ROOT / "docs/bench"
LAST = paths.BUILD / "bench"
MARK = "/usr/lib/duet-lab/mark"
XEN_SYMBOLS, LINUX_SYMBOLS = "/proc/xen/xensyms", "/proc/kallsyms"
MODULES = "/run/duet-lab-kallsyms"  # a benchmark that unloads modules leaves a copy here of what was while they were there
LIMIT = "3600"  # seconds, of a benchmark

CFLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"]

# Functions that the plugin is to know: kind, symbol. What is of Xen is looked up in Xen's own table, the rest in Linux'.
XEN_HOOKS = [
    ("vcpu", "context_switch"), ("hypercall", "pv_hypercall"), ("event", "evtchn_send"), ("grant", "gnttab_copy"),
    ("xen-clock", "apic_timer_interrupt"), ("xen-clock", "timer_softirq_action"),
]
LINUX_HOOKS = [
    ("task", "__switch_to_asm"), ("init-task", "init_task"), ("syscall", "do_syscall_64"),
    ("bytes-rsi", "_copy_to_iter"), ("bytes-rsi", "_copy_from_iter"), ("bytes-rdx", "copy_page_from_iter_atomic"),
    ("linux-clock", "xen_timer_interrupt"), ("linux-clock", "run_timer_softirq"), ("linux-clock", "rcu_core_si"),
    ("linux-clock", "run_rebalance_domains"),
]

# dom0's tasks in whose time interrupts arrive and their work is done.
IDLE = re.compile(r"swapper/\d+$|ksoftirqd/\d+$")
# A domain below 0 is one not known yet: before Xen has switched for the first time.
NOBODY = "^$"  # of dom0's tasks takes part
XEN_IDLE = 0x7fff  # the domain that a processor without work belongs to

LAYERS = ("guest", "xen", "kernel", "processes")
APART = ("clock", "others")
WINDOWS = 3  # of each size at least, of which the median is taken
EVENTS = ("hypercalls", "syscalls", "task-switches", "vcpu-switches", "events", "grant-copies", "grant-bytes",
          "kernel-bytes")


def plugin():
    """The plugin's path, built if need be, with the header of the QEMU that will load it."""
    host.require({**host.LAB_PACKAGES, **PACKAGES}, "the ruler")
    if machine.qemu_version() < QEMU:
        raise LabError(f"the ruler needs QEMU {QEMU[0]}, which is in bookworm-backports: an older one shows a plugin no memory")
    header = source.header("qemu-system-x86", "qemu", "include/qemu/qemu-plugin.h")
    flags = subprocess.run(["pkg-config", "--cflags", "glib-2.0"], capture_output=True, text=True, check=True).stdout
    library = BUILT / f"ruler-{paths.digest(FOLDER, header.name)}.so"
    if not library.exists():
        run_logged("build the ruler", ["gcc", *CFLAGS, "-shared", "-fPIC", "-fvisibility=hidden", f"-I{header}",
                   *flags.split(), "-o", str(library) + ".part", str(FOLDER / "ruler.c")],
                   paths.BUILD / "log/ruler.log", cwd=_made(BUILT))
        os.rename(str(library) + ".part", library)
    return library


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Ruler:
    """The ruler of a lab that was started with the plugin. `dom0` is the channel to it."""

    def __init__(self, dom0, profile=False):
        self.dom0 = dom0
        self.profile = profile
        self.file = dom0.folder / "ruler.jsonl"
        if not self.file.exists():
            raise LabError("this lab was not started with the ruler: ./lab down, then ./lab bench --exact")
        self._lay()

    def _lay(self):
        """Put the program that marks into dom0, and tell the plugin by it where everything is."""
        program = _made(BUILT) / "mark"
        run_logged("build mark", ["gcc", *CFLAGS, "-static", "-o", str(program), str(FOLDER / "mark.c")],
                   paths.BUILD / "log/mark.log")
        if self.dom0.copy([program], MARK, True) != 0:
            raise LabError("dom0 did not take the program that marks")
        with step("look up Xen's and Linux' functions"):
            hooks = [*self._places(XEN_SYMBOLS, XEN_HOOKS), *self._places(LINUX_SYMBOLS, LINUX_HOOKS)]
        self.dom0.check([MARK, *(f"hook {kind} {begin:x} {size:x}" for kind, begin, size in hooks),
                         *(["profile"] if self.profile else []), "go"])

    def _places(self, table, hooks):
        """(kind, address, size) of each; of what has several parts (a compiler's .cold), the first."""
        names = "|".join(re.escape(symbol) for _, symbol in hooks)
        lines = self.dom0.check(["grep", "-E", "-A", "8", f"[ #]({names})$", table]).splitlines()
        return places(lines, hooks, table)

    def windows(self, seen):
        """What was noted since line `seen` of the plugin's file, as (row, ops, options, accounts)."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return parse_windows([json.loads(line) for line in lines[seen:]])

    def symbols(self):
        """Of Xen, of Linux and of the modules it has or had."""
        return hotspots.Symbols(self.dom0.check(["sh", "-c", f"cat {XEN_SYMBOLS} {LINUX_SYMBOLS}; ! test -e {MODULES} || cat {MODULES}"]))

    def lines(self):
        """How many lines the plugin has written."""
        return len(self.file.read_text(encoding="utf-8").splitlines())


def places(lines, hooks, table):
    """(kind, address, size) of each of `hooks`, from a table of symbols as Linux and Xen print it, Xen a static one after
    its file's name and a `#`. A function ends where the next symbol begins."""
    symbols = [(int(words[0], 16), words[2].rpartition("#")[2]) for words in (line.split() for line in lines) if len(words) >= 3]
    found = []
    for kind, symbol in hooks:
        begins = [address for address, name in symbols if name == symbol]
        if not begins:
            raise LabError(f"{table} has no {symbol}: the ruler does not know this version")
        ends = [address for address, _ in symbols if address > begins[0]]
        found.append((kind, begins[0], min(ends) - begins[0] if ends else 1))
    return found


def parse_windows(notes):
    """Pairs of the notes `begin ROW ops=N [tasks=REGEX]` and `end ROW`: (row, ops, regex, accounts), where an account is
    (domain, task, clock) -> what was counted in between."""
    found, begun = [], None
    for each in notes:
        if "note" not in each:
            raise LabError(f"the ruler's plugin says: {each.get('error', each)}")
        word, row, *options = each["note"].split()
        if word == "begin":
            begun = (row, dict(option.split("=", 1) for option in options), _accounts(each))
        elif word == "end" and begun and begun[0] == row:
            options, before = begun[1:]
            spent = {key: {name: value - before.get(key, {}).get(name, 0) for name, value in counts.items()}
                     for key, counts in _accounts(each).items()}
            for a in each["accounts"]:
                spent[_key(a)]["profile"] = a.get("profile", {})
            found.append((row, int(options.get("ops", 1)), options.get("tasks", NOBODY), spent))
            begun = None
    return found


def _key(account):
    return account["domain"], account["task"], account["clock"]


def _accounts(each):
    return {_key(a): {k: v for k, v in a.items() if k not in ("domain", "task", "clock", "profile")} for a in each["accounts"]}


def _insns(counts):
    return counts["xen"] + counts["kernel"] + counts["user"]


def layers(accounts, tasks):
    """One window's accounts by layer. The sum is of what the operations cost: dom0's tasks that match `tasks` and its
    interrupts, the guests, and Xen for all of these. Apart are the clocks' work and dom0's other tasks, of which there is the more
    the longer it takes."""
    wanted = re.compile(tasks)
    if tasks != NOBODY and not any(domain == 0 and wanted.match(task) and _insns(counts) > 0
                                   for (domain, task, _), counts in accounts.items()):
        raise LabError(f"no task of dom0 that took part is called {tasks}: what it did would be missing in the sum")
    total = dict.fromkeys((*LAYERS, *APART, *EVENTS), 0)
    for key, counts in accounts.items():
        apart = _apart(key, wanted)
        if apart:
            total[apart] += _insns(counts)
            continue
        total["xen"] += counts["xen"]
        if key[0] == 0:
            total["kernel"] += counts["kernel"]
            total["processes"] += counts["user"]
        else:
            total["guest"] += counts["kernel"] + counts["user"]
        for name in EVENTS:
            total[name] += counts[name]
    return total


def _apart(key, wanted):
    """Whether an account is apart from the sum: in which of APART it is, or None."""
    domain, task, clock = key
    if clock:
        return "clock"
    return "others" if domain < 0 or (domain == 0 and not wanted.match(task) and not IDLE.match(task)) else None


def functions(windows, symbols):
    """Of each row {(layer, function): instructions per operation}; the clock's and others' are not in it."""
    return hotspots.functions([(row, ops, {key: counts["profile"] for key, counts in accounts.items()
                                           if not _apart(key, re.compile(tasks))})
                               for row, ops, tasks, accounts in windows], symbols)


def rows(windows):
    """What an operation costs in each row. Of windows of one size: their median, and as `spread` how far they differ, in per
    cent of it. Of several sizes: the slope between the medians of the smallest and of the largest. A single window may have a
    rare event in it that is no operation's, so there have to be enough of each size for the median to leave it out."""
    by_row = {}
    for row, ops, tasks, accounts in windows:
        by_row.setdefault(row, {}).setdefault(ops, []).append(layers(accounts, tasks))
    for row, sizes in by_row.items():
        few = [f"{len(several)} of {ops} operations" for ops, several in sizes.items() if len(several) < WINDOWS]
        if few:
            raise LabError(f"{row}: {', '.join(few)}: windows of a size have to be {WINDOWS} at least")
    return {row: _cost(sizes) for row, sizes in by_row.items()}


def _cost(sizes):
    low, high = min(sizes), max(sizes)
    small, large = _median(sizes[low]), _median(sizes[high])
    if low == high:  # all that is in such a window are operations
        low, small = 0, dict.fromkeys(large, 0)
    cost = {name: (large[name] - small[name]) / (high - low) for name in large}
    cost = {"total": sum(cost[name] for name in LAYERS), **cost}
    if len(sizes) == 1 and len(sizes[high]) > 1:
        totals = [sum(each[name] for name in LAYERS) / high for each in sizes[high]]
        cost["spread"] = _spread(totals)
    return cost


def _spread(totals):
    """How far they differ: (largest - smallest) / median, per cent."""
    return 100 * (max(totals) - min(totals)) / statistics.median(totals)


def _median(several):
    return {name: statistics.median(each[name] for each in several) for name in several[0]}


def show(table):
    """Print a table of rows."""
    heads = ("total", "spread", *LAYERS, *APART, "hyperc.", "syscalls", "tasks", "vcpus", "events", "copies", "copied", "k. bytes")
    names = ("total", *LAYERS, *APART, *EVENTS)
    width = max(len(row) for row in table)
    print(f"{'per operation':{width}} " + " ".join(f"{head:>9}" for head in heads))
    for row, cost in table.items():
        cells = (f"{cost[n]:9.0f}" if n not in EVENTS or n.endswith("bytes") else f"{cost[n]:9.2f}" for n in names)
        spreads = f"{cost['spread']:7.2f} %" if "spread" in cost else ""
        print(f"{row:{width}} {next(cells)} {spreads:>9} " + " ".join(cells))


def spreads(tables):
    """How far the total of each row differs over several runs."""
    return {row: round(_spread([table[row]["total"] for table in tables]), 2) for row in tables[0]}


def show_spreads(tables):
    """Print it, with the totals."""
    width = max(len(row) for row in tables[0])
    print(f"\n{'total, ' + str(len(tables)) + ' runs':{width}} {'smallest':>10} {'median':>10} {'largest':>10} {'spread':>8}")
    for row, percent in spreads(tables).items():
        totals = [table[row]["total"] for table in tables]
        print(f"{row:{width}} {min(totals):10.0f} {statistics.median(totals):10.0f} {max(totals):10.0f} {percent:6.2f} %")


def medians(tables):
    """One table out of several: of each figure the median."""
    return {row: {name: round(value, 2) for name, value in _median([table[row] for table in tables]).items()}
            for row in tables[0]}


def bench(dom0, lab, wanted, repeat, keep, profile=False):
    """Run benchmarks of tests/bench/exact, all or those named, NAME or NAME:PART, `repeat` times each, up to the first that
    fails; an exit status. The figures go to build/bench/NAME.json, and with `keep` to docs/bench as well; with `profile`, in
    which of Xen's and Linux' functions they are to build/bench/profile/NAME.json, of the last time."""
    known = suite.benchmarks(SCRIPTS, wanted)
    ruler = Ruler(dom0, profile)
    commit = _commit()
    for stem in wanted or known:
        tables = []
        for number in range(1, repeat + 1):
            note(f"benchmark {stem}" + (f", run {number} of {repeat}" if repeat > 1 else ""))
            seen = ruler.lines()
            script, _, part = stem.partition(":")
            status = subprocess.run([paths.ROOT / "tests/lab/run", known[script], LIMIT, *part.split()], check=False,
                                    env=_environment(lab)).returncode
            if status != 0:
                return status
            windows = ruler.windows(seen)
            tables.append(rows(windows))
            show(tables[-1])
        if profile:
            _write_profile(stem, functions(windows, ruler.symbols()))
        result = {"commit": commit, "runs": len(tables), "rows": medians(tables)}
        if repeat > 1:
            show_spreads(tables)
            result["spreads"] = spreads(tables)
        for folder in (LAST, KEPT) if keep else (LAST,):
            file = _made(folder) / f"{stem.replace(':', '-')}.json"
            file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            note(f"figures: {file.relative_to(paths.ROOT)}")
    return 0


def _write_profile(stem, table):
    hotspots.show(table)
    file = _made(LAST / "profile") / f"{stem.replace(':', '-')}.json"
    file.write_text(json.dumps(hotspots.lasting(table), indent=1) + "\n", encoding="utf-8")
    note(f"functions: {file.relative_to(paths.ROOT)}")


def _environment(lab):
    """For tests/lab/run: the lab is ours, also where a test of ctest, which has given it another one, has started us."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("CTEST_RESOURCE_GROUP")}, "DUET_LAB": lab}


def _commit():
    """What is measured. A tree that git does not know is measured as well."""
    if not shutil.which("git"):
        return "unknown"
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, cwd=paths.ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _git(*words):
    done = subprocess.run(["git", *words], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def compare(revision, wanted):
    """Print what moved from the figures that a revision has in docs/bench to those of the last run here, or where there
    was none, to docs/bench as it is now; an exit status."""
    files = {file.stem: file for folder in (KEPT, LAST) for file in sorted(folder.glob("*.json"))}
    kept = _git("ls-tree", "--name-only", revision, f"{KEPT.relative_to(paths.ROOT)}/").split()
    stems = [stem for stem in files if f"{KEPT.relative_to(paths.ROOT)}/{stem}.json" in kept and (not wanted or stem in wanted)]
    if not stems:
        raise LabError(f"there are no figures that {revision} has as well: ./lab bench --exact --keep NAME makes them")
    for stem in stems:
        now = json.loads(files[stem].read_text(encoding="utf-8"))
        before = json.loads(_git("show", f"{revision}:{KEPT.relative_to(paths.ROOT)}/{stem}.json"))
        print(f"{stem}: {before['commit']} -> {now['commit']}")
        for line in moved(before["rows"], now["rows"]):
            print(f"  {line}")
    return 0


def moved(before, now):
    """Lines that tell which figures of two tables differ by more than what two runs of one commit do: by more than two per
    cent, and in a row whose windows differ by more, by more than that."""
    lines = [f"{row}: new" for row in now if row not in before] + [f"{row}: gone" for row in before if row not in now]
    for row in now:
        noise = max(2, now[row].get("spread", 0), before.get(row, {}).get("spread", 0)) / 100
        for name, value in now[row].items():
            old = before.get(row, {}).get(name)
            least = 0.05 if name in EVENTS else 50
            if name in (*APART, "spread") or old is None or abs(value - old) <= max(noise * abs(old), least):
                continue
            change = f"{100 * (value - old) / old:+.1f} %" if old else "from nothing"
            lines.append(f"{row}: {name} {old:g} -> {value:g} ({change})")
    return lines or ["nothing moved by more than two per cent, or than its windows differ"]
