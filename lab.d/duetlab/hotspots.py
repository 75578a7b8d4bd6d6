"""`./lab bench --exact --profile`: which functions of Xen and Linux an operation's instructions were executed in.

With it the ruler's plugin notes what was executed of each block of code, for each account, since the note before. Here
the blocks of a row's windows become functions, by the tables of symbols that Xen and dom0's Linux have of themselves. A
guest's kernel is told apart by its account; if it is the same build as dom0's, its functions have names as well. A
program's do not. A function of a module that is no longer loaded, or a system-call filter's, has no name either, unless the
benchmark has kept the table.
"""
import bisect

TOP = 25  # functions of a row that are shown
LEAST = 0.5  # per cent of the row, of one that is
XEN = range(0xffff82d000000000, 0xffff82e000000000)
KERNELS = 0x8000000000000000
LOST = 0  # the address that the plugin has for what found no place
RESERVED = 0x7ff0  # from here on no guest's number; a processor without work has one


class Symbols:
    """Functions by address, from tables as Linux and Xen print them; Xen a static one after its file's name and a `#`."""

    def __init__(self, text):
        found = {}
        for words in (line.split() for line in text.splitlines()):
            if len(words) >= 3 and words[1] in "tTwW":
                found.setdefault(int(words[0], 16), words[2].rpartition("#")[2])
        self.begins = sorted(found)
        self.names = [found[begin] for begin in self.begins]

    def name(self, address):
        """That of the function which an address is in, of the nearest before it."""
        at = bisect.bisect_right(self.begins, address) - 1
        return self.names[at] if at >= 0 and address - self.begins[at] < 1 << 16 else "?"


def place(domain, address, symbols):
    """(layer, function) of a block of code that was executed for a domain: the layers are the ruler's, Xen's by whom it worked
    for."""
    dom0 = domain == 0
    if address == LOST:
        return "lost", "(in no table of the plugin's)"
    if address in XEN:
        return "xen, dom0" if dom0 else "xen, idle" if domain >= RESERVED else "xen, guest", symbols.name(address)
    layer = "guest" if not dom0 else "kernel" if address >= KERNELS else "processes"
    return layer, symbols.name(address) if address >= KERNELS else "(a program)"


def functions(windows, symbols):
    """Of windows (row, ops, {account: {address: instructions}}), for each row {(layer, function): instructions per operation}:
    of windows of one size the mean; of several sizes the slope between the means of the smallest and of the largest."""
    sizes = {}
    for row, ops, profiles in windows:
        sizes.setdefault(row, {}).setdefault(ops, []).append(_by_function(profiles, symbols))
    return {row: _cost(by_ops) for row, by_ops in sizes.items()}


def _by_function(profiles, symbols):
    found = {}
    for (domain, _, _), profile in profiles.items():
        for address, insns in profile.items():
            where = place(domain, int(address, 16), symbols)
            found[where] = found.get(where, 0) + insns
    return found


def _cost(by_ops):
    low, high = min(by_ops), max(by_ops)
    large, small = _mean(by_ops[high]), _mean(by_ops[low]) if low != high else {}
    return {where: (insns - small.get(where, 0)) / (high - low if small else high) for where, insns in large.items()}


def _mean(several):
    return {where: sum(each.get(where, 0) for each in several) / len(several) for where in set().union(*several)}


def show(table):
    """Print the functions of each row that had the most, and what each layer had."""
    for row, found in table.items():
        total = sum(found.values())
        print(f"\n{row}: {total:.0f} instructions per operation")
        for layer in sorted({layer for layer, _ in found}):
            print(f"  {sum(n for (other, _), n in found.items() if other == layer):9.0f}  {layer}")
        most = sorted(found.items(), key=lambda item: -item[1])[:TOP]
        for (layer, name), insns in most:
            if insns >= total * LEAST / 100:
                print(f"  {insns:9.0f}  {100 * insns / total:5.1f} %  {layer:10}  {name}")


def lasting(table):
    """The same for a file: {row: {layer: {function: instructions}}}, the largest first, without what is next to nothing."""
    kept = {}
    for row, found in table.items():
        for (layer, name), insns in sorted(found.items(), key=lambda item: -item[1]):
            if insns >= 1:
                kept.setdefault(row, {}).setdefault(layer, {})[name] = round(insns)
    return kept
