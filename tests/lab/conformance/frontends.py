"""The rules of device protocols, tried on front ends by a back end that lies: runs in dom0 as root. `./lab conformance`
and lab.hostile-backend.

Each rule is one lie of liar.py's, told to a guest's disk or interface. What may come of it is one of few outcomes, and the
rule says which. Always the guest has to live, its shell to answer, what was asked of the device to end at the latest when
the device is taken away, and the device to be let go of. Then the same device is made again for the next rule. At the end
an honest back end serves the guest. Each result is a line of JSON.
"""
import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import liar
import rules
from liar import CHECKED, CLOSED, CLOSING, CONNECTED, CSUM_BLANK, EXTRA_INFO, INIT_WAIT, MORE_DATA, PAGE, Disk, Interface

SOON, TAKEN = 10 * rules.FACTOR, 20 * rules.FACTOR  # seconds: for an answer, for what a device's end may take
AT, LENGTH = 64, 128                                # KiB: what the guest reads of a disk
KEPT, STORM = 0.7, 2                                # seconds: for how long pages are kept, and an event storm lasts
LOST = re.compile(r"panic|BUG:|Oops|general protection|WARNING:|KASAN|kdi>", re.IGNORECASE)


# ---- the front ends ----

class Ours(rules.Guest):
    """Our guest's."""

    name, title = "duet", "Duet"

    def __init__(self):
        super().__init__([])
        self.store = liar.Store()
        self.path = self.store.read(f"/local/domain/{self.domid}/console/tty").decode()
        self.seen = 0
        self.mark()

    def lives(self):
        return self.store.read(f"/local/domain/{self.domid}/name") is not None

    def terminal(self):
        return self.path

    def mark(self):
        """What is in the console's log so far was looked at."""
        self.seen = (rules.CONSOLES / f"{self.name}.log").stat().st_size

    def log(self):
        """What came since."""
        with open(rules.CONSOLES / f"{self.name}.log", "rb") as file:
            file.seek(self.seen)
            return file.read().decode("latin-1")

    def read_command(self):
        return f"sha256 xvdb {AT}K {LENGTH}K"

    def found(self, said):
        """What the read brought: a hash, or None and why not."""
        hashes = re.findall(r"[0-9a-f]{64}", " ".join(said))
        return (hashes[0], "") if hashes else (None, said[-1] if said else "")

    def up(self):
        """Nothing: the address is in the store."""

    def honest_disk(self):
        return f"sha256 xvdc {AT}K {LENGTH}K"

    def honest_net(self):
        return "ping -c 1 192.168.77.1", r"[1-9][0-9]* received|time[=<]"


class Linux(Ours):
    """The small Linux guest's."""

    name, title = "linux", "Linux"
    prompt = b"linux: ready"
    config = ["kernel = '/usr/lib/duet-lab/vmlinux'", "ramdisk = '/usr/lib/duet-lab/linux.initrd'", "memory = 192", "vcpus = 2",
              "root = '/dev/ram0 quiet nowatchdog mitigations=off tsc=reliable'", "extra = 'console=hvc0'"]

    @staticmethod
    def hash_of(disk):
        return (f"dd if=/dev/{disk} of=/tmp/r bs={AT}k skip=1 count={LENGTH // AT} iflag=direct 2>/tmp/e && sha256sum < /tmp/r "
                "|| cat /tmp/e")

    def read_command(self):
        return self.hash_of("xvdb")

    def up(self):
        self.ask("ip addr add 10.9.8.7/24 dev eth0; ip link set eth0 up", rules.WORD)

    def honest_disk(self):
        return self.hash_of("xvdc")

    def honest_net(self):
        return "ip addr add 192.168.77.7/24 dev eth0; ip link set eth0 up; ping -c 3 192.168.77.1", "[1-3] packets received"


# ---- the rules ----

class Rule:
    """One lie. @tell(device) is called in the device's thread when all is well; @lie replaces how it serves; @keys are in the
    store from the beginning, and with @early nothing is expected to work before. @may: outcomes that are right. Of a disk:
    `read` (the right bytes came), `failed` (the read failed), `failed+closed` (and the device was given up), `waits` (the read
    did not end before the device went). Of an interface: `served`, `closed`, `deaf`."""

    def __init__(self, name, what, may, tell=None, lie=None, keys=None, origin=None, early=False):
        self.name, self.what, self.may, self.origin = name, what, may.split(), origin
        self.tell, self.lie, self.keys, self.early = tell, lie, keys, early


GIVEN_UP = "failed+closed"


def answers(change):
    """A lie for each request: change(device, request)."""
    def lie(disk, request):
        change(disk, request)
        disk.tell()
    return lie


def second(change):
    """Keeps the first request, and lies when the second comes: change(disk, first, second)."""
    def lie(disk, request):
        disk.kept.append(request)
        if len(disk.kept) == 2:
            for kept in disk.kept:
                disk.fill(kept)
            change(disk, *disk.kept)
            disk.tell()
    return lie


def moves(ahead):
    """Answers as it should, and moves the index so far from where it belongs."""
    def lie(disk, request):
        disk.fill(request)
        disk.answer(request.id)
        disk.tell(ahead)
    return lie


def states(*words):
    """The back end's state becomes each of these in turn; "gone" removes it."""
    def tell(device):
        for word in words:
            if word == "gone":
                device.store.remove(f"{device.back}/state")
            else:
                device.say("state", word)
    return tell


def says(**keys):
    """Other keys, while connected, and a state that has it read again."""
    def tell(device):
        for key, value in keys.items():
            device.say(key.replace("_", "-"), value)
        device.say("state", CONNECTED)
    return tell


def late(disk):
    """Closes, and writes answers into a ring that the front end has left."""
    port, mapped = disk.port, disk.mapped
    disk.port, disk.mapped = None, []
    disk.say("state", CLOSING)
    for number in range(40):
        disk.answer(number, number % 6)
    disk.ring.publish(32)
    disk.evtchn.xenevtchn_notify(disk.xce, port)
    disk.port, disk.mapped = port, mapped


def unmade(device):
    """The whole directory goes and comes again."""
    device.store.remove(device.back)
    device.store.at_once(lambda: device.give({"sectors": Disk.SECTORS}))


HUGE, LONG = str((1 << 32) - 1), "9" * 2000
CONTROL = "\x1b[2J\x07\x9b31m\r\n\x00evil"

STATES = [4, 5, 6, 1, 2, 3, 4, 7, 8] * 7
BEYOND_SENSE = "an offer beyond all sense is refused or taken up to what makes sense"

BLOCK = [
    Rule("honest", "an honest back end's data arrives", "read"),
    Rule("id-past", "an answer with an id past the ring gives the device up", GIVEN_UP,
         lie=answers(lambda d, r: d.answer(1 << 40 | r.id))),
    Rule("id-unsent", "an answer with an id that was not sent gives it up", GIVEN_UP,
         lie=second(lambda d, a, b: d.answer((max(a.id, b.id) + 7) % 32))),
    Rule("id-twice", "two answers to one request, in place of another's, give it up", GIVEN_UP,
         lie=second(lambda d, a, b: (d.answer(a.id), d.answer(a.id)))),
    Rule("op-other", "an answer to another operation gives it up", GIVEN_UP, lie=answers(lambda d, r: d.answer(r.id, 1))),
    Rule("op-unknown", "an answer to an operation that nobody defined gives it up", GIVEN_UP,
         lie=answers(lambda d, r: d.answer(r.id, 255))),
    *[Rule(f"status-{name}", "a status that nobody defined is an error", "failed",
           lie=answers(lambda d, r, value=value: d.answer(r.id, 0, value)))
      for name, value in (("error", -1), ("unsupported", -2), ("1", 1), ("minus-3", -3), ("most", 32767), ("least", -32768))],
    Rule("index-33", "more answers than the ring has entries give it up", GIVEN_UP, lie=moves(33)),
    Rule("index-two", "an answer more than there were requests gives it up", GIVEN_UP, lie=moves(31)),
    Rule("index-far", "an index half a round ahead gives it up", GIVEN_UP, lie=moves(1 << 31)),
    Rule("index-back", "an index that goes back gives it up", GIVEN_UP, lie=moves(-2)),
    Rule("unasked", "an answer without a request gives it up", GIVEN_UP, tell=lambda d: (d.answer(3), d.tell())),
    Rule("never", "a request that is never answered ends when the device goes", "waits", lie=lambda d, r: None),
    Rule("kept-pages", "no request ends while its pages are written to", "read failed", lie=lambda d, r: d.keep(r, KEPT), origin="XSA-396"),
    Rule("kicks", "notifications without answers are borne", "read", tell=lambda d: d.kick(STORM), origin="XSA-391"),
    Rule("late", "answers in a ring that was left mean nothing", "read failed failed+closed", tell=late),
    Rule("sectors-none", "a disk without a size is refused", "failed+closed", keys={"sectors": ""}, early=True),
    *[Rule(f"sectors-{name}", "a disk of an impossible size is refused", "failed+closed", keys={"sectors": value}, early=True)
      for name, value in (("0", "0"), ("negative", "-1"), ("64-bits", str((1 << 64) - 1)), ("65-bits", str((1 << 64) + 1)),
                          ("hex", "0x800"), ("blank", " 2048"), ("word", "many"))],
    *[Rule(f"sector-size-{value}", "sectors of an impossible size are refused", "failed+closed", keys={"sector-size": value}, early=True)
      for value in ("0", "3", "513", "8192", "2147483648", "-512")],
    *[Rule(f"offers-{name}", BEYOND_SENSE, "read failed+closed", keys={key: value}, early=True)
      for name, key, value in (("indirect", "feature-max-indirect-segments", HUGE), ("order", "max-ring-page-order", HUGE),
                               ("order-31", "max-ring-page-order", "31"), ("queues", "multi-queue-max-queues", HUGE),
                               ("queues-0", "multi-queue-max-queues", "0"), ("persistent", "feature-persistent", "7"),
                               ("flush", "feature-flush-cache", "-1"), ("discard", "feature-discard", LONG), ("info", "info", CONTROL))],
    Rule("discard-granularity", "a discard granularity of 0 and an alignment beyond the disk harm nothing", "read failed+closed",
         keys={"feature-discard": 1, "discard-granularity": 0, "discard-alignment": 4294967295}, early=True),
    Rule("state-1-4", "a state that goes back to the first and forth is borne", "read failed failed+closed", tell=states(1, 4)),
    Rule("state-2-4", "a connected back end that offers itself anew is borne", "read failed failed+closed waits", tell=states(2, 4)),
    Rule("state-6", "a back end that is closed at once is borne", "read failed failed+closed", tell=states(6)),
    Rule("state-5-4", "a back end that closes and does not is borne", "read failed failed+closed waits", tell=states(5, 4)),
    *[Rule(f"state-{name}", "a state that is none is not obeyed", "read", tell=states(word))
      for name, word in (("9", "9"), ("negative", "-1"), ("word", "four"), ("33-bits", str((1 << 32) + 4)), ("long", LONG),
                         ("control", CONTROL))],
    Rule("state-gone", "a state that is removed ends the device or means nothing", "read failed failed+closed", tell=states("gone")),
    Rule("state-storm", "sixty changes of state at once are borne", "read failed failed+closed waits", tell=states(*STATES)),
    Rule("unmade", "a directory that goes and comes ends the device or means nothing", "read failed failed+closed", tell=unmade),
    Rule("shrinks-to-0", "a disk that shrinks to nothing in use is given up, or fails what is past its end", "failed failed+closed",
         tell=says(sectors=0)),
    Rule("shrinks", "what is past the end of a disk that has shrunk fails", "failed failed+closed", tell=says(sectors=8)),
    Rule("grows", "a disk that grows beyond 64 bits of bytes in use is given up or means nothing", "read failed+closed",
         tell=says(sectors=1 << 63)),
]

BYTES = bytes(range(64))


def sends(*slots, ahead=0):
    """Slots on the receive ring: each a dict of Interface.receive()'s, or a tuple of extra()'s."""
    def tell(device):
        for slot in slots:
            if isinstance(slot, dict):
                device.receive(**slot)
            else:
                device.extra(*slot)
        device.publish(ahead)
    return tell


def transmits(answer, ahead=0):
    """A ring full of frames from the guest, each of which is answered so: that is when a front end looks at the answers."""
    def tell(device):
        device.lie, device.ahead, device.flood = answer, ahead, 300
        device.pour()
    return tell


MORE = {"data": BYTES, "flags": MORE_DATA}
END = {"data": BYTES}
GSO = 1

NET = [
    Rule("honest", "an honest back end's frames arrive", "served"),
    *[Rule(f"rx-id-{wrong}", "an answer with another request's id gives the interface up", "closed",
           tell=sends({"data": Interface.ASK, "wrong": wrong})) for wrong in (1, 255, 256, 32768)],
    Rule("rx-offset", "a frame that begins past its page gives it up", "closed", tell=sends({"status": 60, "offset": PAGE + 1})),
    Rule("rx-end", "a frame that ends past its page gives it up", "closed", tell=sends({"status": 60, "offset": PAGE - 59})),
    Rule("rx-size", "a frame longer than its page gives it up", "closed", tell=sends({"status": PAGE + 1})),
    Rule("rx-size-32767", "a frame of the largest size there is gives it up", "closed", tell=sends({"status": 32767})),
    *[Rule(f"rx-status-{-value}", "a frame that failed is no frame", "served", tell=sends({"status": value}))
      for value in (-1, -2, -32768)],
    Rule("rx-empty", "a frame without bytes is none", "served", tell=sends({"status": 0})),
    Rule("rx-13", "a frame without a header is none", "served", tell=sends({"data": BYTES[:13]})),
    Rule("rx-17-pieces", "a frame of many pieces is taken or dropped", "served", tell=sends(*[MORE] * 16, END)),
    Rule("rx-19-pieces", "a frame of more pieces than there may be is dropped", "served closed", tell=sends(*[MORE] * 18, END)),
    Rule("rx-100-pieces", "a frame of a hundred pieces is dropped, or the interface given up", "served closed",
         tell=sends(*[MORE] * 99, END)),
    Rule("rx-unfinished", "a frame that does not end does not keep the next from coming once it does", "served",
         tell=lambda d: (sends(*[MORE] * 3)(d), sends(END)(d))),
    Rule("rx-failed-pieces", "a frame of which a piece failed is dropped", "served",
         tell=sends(MORE, {"status": -1, "flags": MORE_DATA}, END)),
    Rule("rx-extra-unknown", "extra info of an unknown kind costs the frame, or the interface", "served closed",
         tell=sends({"data": BYTES, "flags": EXTRA_INFO}, (200,))),
    Rule("rx-extra-none", "extra info of kind 0 costs the frame, or the interface", "served closed",
         tell=sends({"data": BYTES, "flags": EXTRA_INFO}, (0,))),
    Rule("rx-extra-endless", "extra info without end costs the frame, or the interface", "served closed",
         tell=sends({"data": BYTES, "flags": EXTRA_INFO}, *[(GSO, 1, 1448, 1)] * 20)),
    *[Rule(f"rx-gso-{size}-{kind}", "segments that make no sense are borne", "served closed",
           tell=sends({"data": Interface.ASK, "flags": EXTRA_INFO | CSUM_BLANK | CHECKED}, (GSO, 0, size, kind)))
      for size, kind in ((0, 1), (1, 1), (65535, 1), (1448, 9), (1448, 2))],
    Rule("rx-blank", "a blank checksum in what has none is borne", "served",
         tell=sends({"data": b"\xff" * 6 + liar.LIAR_MAC + b"\x08\x00E", "flags": CSUM_BLANK}, {"data": b"\xff" * 14, "flags": CSUM_BLANK},
                    {"data": b"\xff" * 6 + liar.LIAR_MAC + b"\x08\x00" + b"\x4f\xff" + bytes(60), "flags": CSUM_BLANK | CHECKED})),
    Rule("rx-ahead", "more frames than there were buffers give it up", "closed", tell=sends(END, ahead=256)),
    Rule("rx-far", "an index half a round ahead gives it up", "closed", tell=sends(END, ahead=1 << 31)),
    Rule("rx-back", "an index that goes back gives it up", "closed", tell=sends(END, ahead=-2)),
    Rule("tx-id", "an answer to a frame that was not sent gives it up", "closed", tell=transmits(lambda d, n: d.sent(n ^ 0x4000, 0))),
    Rule("tx-twice", "two answers to one frame give it up", "closed", tell=transmits(lambda d, n: d.sent(n & ~1, 0))),
    Rule("tx-null", "answers to extra info that was not sent give it up", "closed", tell=transmits(lambda d, n: d.sent(n, 1))),
    *[Rule(f"tx-status-{name}", "a status that nobody defined loses a frame at most", "served",
           tell=transmits(lambda d, n, value=value: d.sent(n, value))) for name, value in (("error", -1), ("5", 5), ("most", 32767))],
    Rule("tx-ahead", "more answers than frames give it up", "closed", tell=transmits(Interface.honest, ahead=300)),
    Rule("tx-never", "frames that are never answered block the interface and nothing else", "served deaf closed",
         tell=transmits(lambda d, n: None)),
    Rule("kicks", "notifications without frames are borne", "served", tell=lambda d: d.kick(STORM), origin="XSA-391"),
    *[Rule(f"copy-{name}", "a back end that does not copy is refused", "closed", keys={"feature-rx-copy": value}, early=True)
      for name, value in (("0", "0"), ("empty", ""), ("negative", "-1"), ("word", "yes"))],
    *[Rule(f"offers-{name}", BEYOND_SENSE, "served closed", keys={key: value}, early=True)
      for name, key, value in (("queues-0", "multi-queue-max-queues", "0"), ("queues-negative", "multi-queue-max-queues", "-1"),
                               ("queues-word", "multi-queue-max-queues", "many"), ("mtu-0", "mtu", "0"), ("mtu-67", "mtu", "67"),
                               ("mtu-huge", "mtu", HUGE), ("mtu-long", "mtu", LONG), ("sg", "feature-sg", "2"),
                               ("gso", "feature-gso-tcpv4", CONTROL))],
    Rule("carrier-word", "a carrier that is no number means none", "served deaf closed", keys={"carrier": "up"}, early=True),
    Rule("ip-long", "an address of two thousand characters is none", "served deaf", keys={"ip": "1" * 2000}, early=True),
    Rule("ip-control", "what is no address is not written to a terminal as it is", "served deaf", keys={"ip": CONTROL}, early=True),
    Rule("state-1-4", "a state that goes back to the first and forth is borne", "served closed", tell=states(1, 4)),
    Rule("state-2-4", "a connected back end that offers itself anew is borne", "served deaf closed", tell=states(2, 4)),
    Rule("state-6", "a back end that is closed at once is borne", "served deaf closed", tell=states(6)),
    Rule("state-storm", "sixty changes of state at once are borne", "served deaf closed", tell=states(*STATES)),
    Rule("unmade", "a directory that goes and comes ends the interface or means nothing", "served closed deaf", tell=unmade),
]


# ---- trying them ----

def broken_by(guest):
    """None, or what shows that the guest came to harm."""
    if not guest.lives():
        return "the guest has ended"
    text = guest.log()
    found = LOST.search(text)
    raw = re.search(r"\x1b\[2J|\x07|\x9b", text)
    if found:
        return f"the guest says: {text[found.start() - 60:found.end() + 100]!r}"
    return f"the back end's bytes are on the guest's terminal: {text[raw.start() - 60:raw.end() + 20]!r}" if raw else None


def answers_still(guest):
    return guest.ask("echo still here", rules.WORD) is not None and "still here" in guest.said


def given_up(device):
    return device.state in (CLOSING, CLOSED)


class Trial:
    """One rule tried on one device of a guest."""

    def __init__(self, guest, rule):
        self.guest, self.rule, self.device = guest, rule, None
        guest.mark()

    def begin(self, make):
        self.guest.store.remove(self.error_of(make))
        self.device = make(int(self.guest.domid), self.rule.keys)
        return self.device.until(lambda: self.device.state == CONNECTED and self.device.port is not None or given_up(self.device), SOON)

    def error_of(self, kind):
        return f"/local/domain/{self.guest.domid}/error/device/{kind.kind}/{kind.NUMBER}/error"

    def why(self):
        text = self.guest.store.read(self.error_of(self.device))
        return text.decode(errors="replace") if text and given_up(self.device) else ""

    def end(self):
        """None, or what shows that the device was not let go of."""
        if self.device.error is not None:
            return f"the liar failed: {self.device.error!r}"
        if not self.device.dismiss(TAKEN):
            return f"the front end keeps the device that is taken away: its state is {self.device.state}"
        return None

    def result(self, outcome, told, problems):
        """(verdict, evidence)."""
        problems = [p for p in [*problems, broken_by(self.guest)] if p]
        if outcome not in self.rule.may:
            problems.insert(0, f"not one of: {', '.join(self.rule.may)}")
        return "broken" if problems else "kept", "; ".join([outcome, *[t for t in told if t], *problems])


def read_all(guest, rule):
    """The read's lines; None if it does not end. Done again while it brings what it should not bring any more: what the back
    end says is looked at a little later."""
    deadline = time.monotonic() + SOON
    while True:
        guest.begin(guest.read_command())
        said = guest.finish(SOON / 2 if "waits" in rule.may else SOON)
        if said is None or guest.found(said)[0] is None or "read" in rule.may or time.monotonic() > deadline:
            return said


def read_withheld(guest, device):
    """Begins the read, which does not end; nothing of it is there when this returns."""
    guest.begin(guest.read_command())
    device.until(lambda: device.served, SOON)


def try_disk(guest, rule):
    trial = Trial(guest, rule)
    if not trial.begin(Disk):
        return trial.result("never connected", [], [trial.end()])
    device = trial.device
    if rule.tell is not None:
        device.do(rule.tell)
    device.lie = rule.lie
    said = read_all(guest, rule) if rule.may != ["waits"] else read_withheld(guest, device)
    ended, waited = time.monotonic(), said is None
    failed = not waited and guest.found(said)[0] is None
    closed = failed and (given_up(device) or ("failed" not in rule.may and device.until(lambda: given_up(device), SOON)))
    why = trial.why()
    problems = [trial.end()]
    said = guest.finish(TAKEN) if waited else said
    if said is None:
        return trial.result("the read never ended", [why], problems)
    found, text = guest.found(said)
    right = hashlib.sha256(Disk.content(AT << 10, LENGTH << 10)).hexdigest()
    if rule.name == "kept-pages" and (device.let_go is None or ended < device.let_go):
        problems.append("the read ended while its pages were mapped")
    elif found not in (None, right) and rule.name != "kept-pages":
        problems.append("WRONG DATA was delivered")
    if not answers_still(guest):
        problems.append("the guest's shell does not answer")
    outcome = "waits" if waited else GIVEN_UP if closed else "failed" if failed else "read"
    return trial.result(outcome, [text, why], problems)


def try_net(guest, rule):
    trial = Trial(guest, rule)
    if not trial.begin(Interface):
        return trial.result("never connected", [], [trial.end()])
    device = trial.device
    if not given_up(device):
        guest.up()
        if not rule.early and not asked(device):
            return trial.result("deaf before any lie", [], [trial.end()])
        if rule.tell is not None:
            device.do(rule.tell)
            device.until(lambda: not device.flood or given_up(device), SOON)
    if rule.may == ["closed"]:
        device.until(lambda: given_up(device), SOON)
    heard = not given_up(device) and asked(device, SOON / 5 if "deaf" in rule.may else SOON)
    outcome = "closed" if given_up(device) else "served" if heard else "deaf"
    why = trial.why()
    problems = [trial.end()]
    if not answers_still(guest):
        problems.append("the guest's shell does not answer")
    return trial.result(outcome, [why], problems)


def asked(device, seconds=SOON):
    """Whether the guest answers to who asks for its address; it may not be ready for the first question."""
    before, deadline = device.replies, time.monotonic() + seconds
    while time.monotonic() < deadline and not given_up(device):
        device.do(lambda d: d.ask() if d.port is not None and (d.held or d.collect() or d.held) else None)
        device.until(lambda: device.replies > before or given_up(device), 0.3 * rules.FACTOR)
        if device.replies > before:
            return True
    return False


def honest_disk(guest):
    """The daemon of this host serves the same guest."""
    image = rules.WORK / "honest.img"
    image.write_bytes(Disk.content(0, Disk.SECTORS * 512))
    rules.run("xl", "block-attach", guest.domid, f"format=raw,vdev=xvdc,access=rw,target={image}")
    front = f"/local/domain/{guest.domid}/device/vbd/51744/state"
    if not rules.await_store(front, lambda: (rules.run("xenstore-read", front, check=False) or "").strip() == "4", rules.BOOT):
        return "broken", "it does not connect"
    found, text = guest.found(guest.ask(guest.honest_disk(), rules.RULE) or [])
    right = hashlib.sha256(Disk.content(AT << 10, LENGTH << 10)).hexdigest()
    return ("kept", "read") if found == right else ("broken", text or "wrong data")


def honest_net(guest):
    rules.run("xl", "network-attach", guest.domid, "bridge=xenbr0", "ip=192.168.77.7")
    front = f"/local/domain/{guest.domid}/device/vif/0/state"
    if not rules.await_store(front, lambda: (rules.run("xenstore-read", front, check=False) or "").strip() == "4", rules.BOOT):
        return "broken", "it does not connect"
    command, sign = guest.honest_net()
    deadline = time.monotonic() + rules.BOOT * rules.FACTOR
    while time.monotonic() < deadline:
        if any(re.search(sign, line) for line in guest.ask(command, rules.RULE) or []):
            return "kept", "served"
    return "broken", "; ".join(guest.said)


def report(guest, device, rule, verdict, evidence, seconds=0):
    printable = evidence.encode("unicode_escape").decode()
    print(json.dumps({"backend": type(guest).name, "title": guest.title, "device": f"{device}-front", "rule": f"{rule.name}",
                      "what": rule.what, "origin": rule.origin or {"block": "blkif.h", "net": "netif.h"}[device], "verdict": verdict, "evidence": printable,
                      "seconds": round(seconds, 1)}), flush=True)
    return verdict == "kept"


def try_front_end(make, wanted, devices):
    """All rules that `wanted` matches; whether each was kept."""
    guest, clean = None, True
    try:
        for device, table, attempt, honest in (("block", BLOCK, try_disk, honest_disk), ("net", NET, try_net, honest_net)):
            chosen = [rule for rule in table if wanted.search(rule.name)] if device in devices else []
            for rule in chosen:
                guest = guest or make()
                began = time.monotonic()
                try:
                    verdict, evidence = attempt(guest, rule)
                except (RuntimeError, OSError) as error:
                    verdict, evidence = "untried", str(error)
                clean = report(guest, device, rule, verdict, evidence, time.monotonic() - began) and clean
                if verdict == "untried" or verdict != "kept" and not (guest.lives() and answers_still(guest) and broken_by(guest) is None):
                    guest.destroy()
                    guest = None
            if chosen and guest is not None:
                rule = Rule("honest-after", "an honest back end serves the guest after all of these", "")
                clean = report(guest, device, rule, *honest(guest)) and clean
    finally:
        if guest is not None:
            guest.destroy()
    return clean


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frontends", nargs="+", choices=[make.name for make in (Ours, Linux)])
    parser.add_argument("--device", choices=["block", "net"])
    parser.add_argument("--rules", type=re.compile, default=re.compile(""))
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is left is taken down
    rules.WORK.mkdir(parents=True, exist_ok=True)
    status = 0
    for make in (Ours, Linux):
        if make.name not in args.frontends:
            continue
        try:
            clean = try_front_end(make, args.rules, [args.device] if args.device else ["block", "net"])
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            print(json.dumps({"backend": make.name, "title": make.title, "device": "front", "error": str(error)}), flush=True)
            status = 1
        else:
            status = status if clean or make is not Ours else 1
    return status


if __name__ == "__main__":
    sys.exit(main())
