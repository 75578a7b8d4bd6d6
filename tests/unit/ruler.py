#!/usr/bin/env python3
"""What the ruler of `./lab bench --exact` makes of the plugin's accounts: windows, layers, an operation's cost as a slope, what
moved; and where it finds functions. Its plugin is measured by lab.ruler."""
import os
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab.d"))

from duetlab import hotspots, ruler  # noqa: E402  (the path has to be set first)
from duetlab.say import LabError  # noqa: E402


def account(domain, task, clock=0, **counts):
    zero = dict.fromkeys(("xen", "kernel", "user", *ruler.EVENTS), 0)
    return {"domain": domain, "task": task, "clock": clock, **zero, **counts}


def note(text, *accounts):
    return {"note": text, "accounts": list(accounts)}


def window(row, ops, *accounts):
    """As if all had begun with nothing, and a worker had had its clock's tick."""
    return ruler.parse_windows([note(f"begin {row} ops={ops} tasks=work"),
                                note(f"end {row}", account(0, "worker", 1, xen=1), *accounts)])[0]


class Places(unittest.TestCase):
    LINES = ["ffff82d040200010 T other", "ffff82d040200020 t file.c#wanted", "ffff82d040200020 T alias", "--",
             "ffff82d040200050 t next [module]", "ffff82d040200090 t after"]

    def test_a_function_ends_where_the_next_begins(self):
        self.assertEqual(ruler.places(self.LINES, [("clock", "wanted")], "table"), [("clock", 0xffff82d040200020, 0x30)])

    def test_an_unknown_function_is_an_error(self):
        with self.assertRaisesRegex(LabError, "table has no absent"):
            ruler.places(self.LINES, [("clock", "absent")], "table")


class Windows(unittest.TestCase):
    def test_what_was_there_before_does_not_count(self):
        found = ruler.parse_windows([note("begin row ops=10 tasks=work", account(0, "work", xen=5, user=7)),
                                     note("end row", account(0, "work", xen=9, user=8), account(1, "", kernel=3))])
        row, ops, tasks, spent = found[0]
        self.assertEqual((row, ops, tasks), ("row", 10, "work"))
        self.assertEqual((spent[0, "work", 0]["xen"], spent[0, "work", 0]["user"], spent[1, "", 0]["kernel"]), (4, 1, 3))

    def test_an_end_of_another_row_ends_nothing(self):
        self.assertEqual(ruler.parse_windows([note("begin row ops=1"), note("end other")]), [])

    def test_an_error_of_the_plugin_is_told(self):
        with self.assertRaisesRegex(LabError, "no hook"):
            ruler.parse_windows([{"error": "no hook"}])


class Layers(unittest.TestCase):
    def test_each_has_its_own(self):
        spent = window("row", 1, account(3, "", xen=1, kernel=2, user=4, hypercalls=1),
                       account(0, "worker", xen=8, kernel=16, user=32, syscalls=2),
                       account(0, "swapper/0", xen=64, kernel=128), account(0, "sshd", xen=256, kernel=512, user=1024),
                       account(0, "worker/1", 1, xen=2048, kernel=4096), account(ruler.XEN_IDLE, "", xen=8192),
                       account(-1, "", user=1))[3]
        found = ruler.layers(spent, "work")
        self.assertEqual({name: found[name] for name in ("guest", "xen", "kernel", "processes", "clock", "others")},
                         {"guest": 6, "xen": 1 + 8 + 64 + 8192, "kernel": 16 + 128, "processes": 32, "clock": 6145,
                          "others": 1793})
        self.assertEqual((found["hypercalls"], found["syscalls"]), (1, 2))


    def test_a_name_that_nobody_has_is_an_error(self):
        with self.assertRaisesRegex(LabError, "called blkback"):
            ruler.layers(window("row", 1, account(0, "3.xvda-0", kernel=9))[3], "blkback")

    def test_nobody_of_dom0_need_take_part(self):
        self.assertEqual(ruler.layers(window("row", 1, account(1, "", kernel=9))[3], ruler.NOBODY)["guest"], 9)


class Rows(unittest.TestCase):
    def test_what_begins_and_ends_a_run_is_not_in_it(self):
        windows = [window("row", ops, account(1, "", kernel=10000 + 30 * ops), account(0, "work", user=500 + 7 * ops))
                   for ops in (100, 500) * ruler.WINDOWS]
        cost = ruler.rows(windows)["row"]
        self.assertEqual((cost["guest"], cost["processes"], cost["total"]), (30, 7, 37))

    def test_several_windows_of_one_size_have_a_spread(self):
        cost = ruler.rows([window("row", 10, account(1, "", kernel=n)) for n in (1000, 1010, 995)])["row"]
        self.assertEqual((cost["guest"], cost["spread"]), (100, 1.5))

    def test_windows_of_one_size_hold_operations_only(self):
        windows = [window("row", 100, account(1, "", kernel=500))] * ruler.WINDOWS
        self.assertEqual(ruler.rows(windows)["row"]["guest"], 5)

    def test_what_is_in_one_window_of_a_size_is_no_operations(self):
        windows = [window("row", ops, account(1, "", kernel=30 * ops)) for ops in (100, 500) * ruler.WINDOWS]
        windows[2] = window("row", 100, account(1, "", kernel=30 * 100 + 216000))
        self.assertEqual(ruler.rows(windows)["row"]["guest"], 30)

    def test_too_few_windows_of_a_size_are_refused(self):
        windows = [window("row", ops, account(1, "", kernel=30 * ops)) for ops in (100, 500) * ruler.WINDOWS]
        with self.assertRaisesRegex(LabError, "row: 2 of 500 operations"):
            ruler.rows(windows[:-1])


XEN, LINUX = 0xffff82d040200000, 0xffffffff81000000
SYMBOLS = hotspots.Symbols(f"""
{XEN:x} T evtchn_send
{XEN + 0x100:x} t file.c#local
{XEN + 0x108:x} d no_function
{LINUX:x} T do_syscall_64
{LINUX + 0x80:x} t of_a_module [module]
""")


class Functions(unittest.TestCase):
    def test_an_address_is_in_the_function_before_it(self):
        names = [SYMBOLS.name(address) for address in (XEN, XEN + 0xff, XEN + 0x110, LINUX + 0x90)]
        self.assertEqual(names, ["evtchn_send", "evtchn_send", "local", "of_a_module"])

    def test_what_is_before_all_or_far_behind_has_no_name(self):
        self.assertEqual((SYMBOLS.name(XEN - 1), SYMBOLS.name(LINUX + (1 << 20))), ("?", "?"))

    def test_only_the_operations_are_in_it(self):
        spent = window("row", 10, account(0, "worker", profile={f"{LINUX:x}": 100, f"{LINUX + 4:x}": 20, f"{XEN:x}": 30, "1": 40}),
                       account(2, "", profile={f"{LINUX:x}": 50, f"{XEN:x}": 60}), account(0, "sshd", profile={f"{LINUX:x}": 999}),
                       account(0, "worker", 1, profile={f"{LINUX:x}": 999}), account(ruler.XEN_IDLE, "", profile={f"{XEN:x}": 70}))
        self.assertEqual(ruler.functions([spent], SYMBOLS)["row"], {
            ("kernel", "do_syscall_64"): 12, ("xen, dom0", "evtchn_send"): 3, ("processes", "(a program)"): 4,
            ("guest", "do_syscall_64"): 5, ("xen, guest", "evtchn_send"): 6, ("xen, idle", "evtchn_send"): 7})

    def test_what_the_plugin_had_no_place_for_is_told(self):
        found = ruler.functions([window("row", 1, account(0, "work", profile={"0": 5}))], SYMBOLS)["row"]
        self.assertEqual([layer for layer, _ in found], ["lost"])

    def test_several_windows_are_their_mean_and_several_sizes_a_slope(self):
        windows = [window("row", ops, account(1, "", profile={f"{LINUX:x}": insns})) for ops, insns in ((10, 500), (10, 700))]
        self.assertEqual(list(ruler.functions(windows, SYMBOLS)["row"].values()), [60])
        windows.append(window("row", 30, account(1, "", profile={f"{LINUX:x}": 1000})))
        self.assertEqual(list(ruler.functions(windows, SYMBOLS)["row"].values()), [20])

    def test_a_file_has_the_largest_first(self):
        kept = hotspots.lasting({"row": {("kernel", "small"): 5.4, ("kernel", "large"): 9, ("kernel", "none"): 0.3}})
        self.assertEqual(list(kept["row"]["kernel"].items()), [("large", 9), ("small", 5)])


class Runs(unittest.TestCase):
    def test_their_totals_have_a_spread(self):
        self.assertEqual(ruler.spreads([{"row": {"total": n}} for n in (1000, 1010, 995)]), {"row": 1.5})

    def test_they_are_in_the_rulers_lab_also_below_ctest(self):
        with mock.patch.dict(os.environ, {"CTEST_RESOURCE_GROUP_0_LABS": "id:0,slots:1", "DUET_LAB": "test", "DUET_FACTOR": "250"}):
            found = ruler._environment("ruler")
        self.assertEqual((found["DUET_LAB"], found["DUET_FACTOR"]), ("ruler", "250"))
        self.assertNotIn("CTEST_RESOURCE_GROUP_0_LABS", found)


NOTHING = "nothing moved by more than two per cent, or than its windows differ"


class Moved(unittest.TestCase):
    def test_only_what_two_runs_do_not_differ_by(self):
        before = {"row": {"total": 10000, "guest": 10000, "clock": 10, "syscalls": 1.0}, "old": {"total": 1}}
        now = {"row": {"total": 10190, "guest": 10210, "clock": 99, "syscalls": 2.0}, "new": {"total": 1}}
        self.assertEqual(ruler.moved(before, now), ["new: new", "old: gone", "row: guest 10000 -> 10210 (+2.1 %)",
                                                    "row: syscalls 1 -> 2 (+100.0 %)"])

    def test_nothing(self):
        self.assertEqual(ruler.moved({"row": {"total": 1}}, {"row": {"total": 1}}), [NOTHING])

    def test_what_the_windows_of_a_row_differ_by_is_not_told(self):
        before, now = {"row": {"total": 10000, "spread": 1.0}}, {"row": {"total": 11000, "spread": 12.0}}
        self.assertEqual(ruler.moved(before, now), [NOTHING])
        self.assertEqual(ruler.moved(now, before), [NOTHING])
        now["row"]["spread"] = 9.0
        self.assertEqual(ruler.moved(before, now), ["row: total 10000 -> 11000 (+10.0 %)"])


if __name__ == "__main__":
    unittest.main()
