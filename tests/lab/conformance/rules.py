"""The rules of device protocols, tried on a back end: runs in dom0 as root. `./lab conformance` and lab.conformance.

A guest of ours breaks the rules (`blkabuse`, `netabuse`), one after the other; what its console says of each is a line of
JSON here, on stdout. Rules come from the guest, so that there is one table of them. Each has a deadline. If the back end or
the guest is of no use afterwards, the guest is made anew, with other devices of the same kind.
"""
import argparse
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

FACTOR = int(os.environ.get("DUET_FACTOR", "100")) / 100
KERNEL = "/usr/lib/duet/duet-guest.gz"
CONSOLES = Path("/var/log/duet/console")
WORK = Path("/var/tmp/duet-conformance")
DISK_MIB = 1
BOOT, WORD, RULE, XL = 60, 20, 90, 120  # seconds: to the prompt, for a quick word, for a rule's result, for the toolstack
USELESS = re.compile(r"of no use any more|not served any more|no answer|attach it")
# What the kernel's watchdogs say of a slow machine is none: "watchdog: BUG: soft lockup", "BUG: workqueue lockup".
DISASTER = re.compile(r"(?<!watchdog: )BUG:(?! workqueue lockup)|Oops|general protection|Kernel panic|refcount_t:|WARNING:|unable to handle|use-after-free")
WORKER_DIED = re.compile(r"worker (killed|exited|ended|died)|5 times in a row|started again")


class Unavailable(Exception):
    """A back end that this host does not have. Its text says why."""


def run(*words, seconds=XL, check=True):
    """A command's output; None if it failed and that is no matter."""
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False,
                          timeout=seconds * FACTOR, stdin=subprocess.DEVNULL)
    if done.returncode != 0 and check:
        raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout if done.returncode == 0 else None


def await_store(path, there, seconds):
    """Whether `there()` becomes true, which is asked when something changes below `path`, in so long."""
    deadline = time.monotonic() + seconds * FACTOR
    with subprocess.Popen(["xenstore-watch", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as watch:
        try:
            while not there():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if select.select([watch.stdout], [], [], left)[0] and not os.read(watch.stdout.fileno(), 4096):
                    return False
            return True
        finally:
            watch.kill()


class Follower:
    """A file that grows, by the line."""

    def __init__(self, path):
        start = path.stat().st_size if path.exists() else 0
        self.tail = subprocess.Popen(["tail", "-c", f"+{start + 1}", "-s", "0.1", "-F", path], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL)
        self.rest = b""

    def lines(self, seconds):
        """What comes, for so long."""
        deadline = time.monotonic() + seconds * FACTOR
        while True:
            *whole, self.rest = re.split(rb"\r?\n", self.rest)
            for line in whole:
                yield line.decode(errors="replace").strip("\r")
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.tail.stdout], [], [], left)[0]:
                return
            data = os.read(self.tail.stdout.fileno(), 65536)
            if not data:
                return
            self.rest += data

    def await_text(self, text, seconds):
        """Whether it comes, within a line or not, in so long."""
        deadline = time.monotonic() + seconds * FACTOR
        while text not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.tail.stdout], [], [], left)[0]:
                return False
            self.rest += os.read(self.tail.stdout.fileno(), 65536)
        return True

    def close(self):
        self.tail.kill()
        self.tail.wait()


class Guest:
    """A guest of ours with these devices, at its prompt."""

    count = 0
    prompt = b"duet# "
    config = [f"kernel = '{KERNEL}'", "memory = 48", "vcpus = 2"]

    def __init__(self, devices):
        Guest.count += 1
        self.name = f"conformance-{os.getpid()}-{Guest.count}"
        self.asked = 0
        self.console = Follower(CONSOLES / f"{self.name}.log")
        config = WORK / "guest.cfg"
        config.write_text("\n".join([f"name = '{self.name}'", *self.config, *devices]))
        try:
            run("xl", "create", "-q", str(config))
            self.domid = run("xl", "domid", self.name).strip()
            if not self.console.await_text(self.prompt, BOOT):
                raise RuntimeError(f"{self.name}: no prompt")
            front = f"/local/domain/{self.domid}/device"
            if devices and not await_store(front, lambda: self.connected(front), BOOT):
                raise RuntimeError(f"{self.name}: its devices are not connected: {run('xenstore-ls', front)}")
        except BaseException:
            self.destroy()
            raise

    @staticmethod
    def connected(front):
        """Whether all its devices are, as the guest says."""
        nodes = [f"{front}/{kind}/{number}/state" for kind in ("vbd", "vif")
                 for number in (run("xenstore-list", f"{front}/{kind}", check=False) or "").split()]
        return bool(nodes) and all((run("xenstore-read", node, check=False) or "").strip() == "4" for node in nodes)

    def terminal(self):
        return run("xenstore-read", f"/local/domain/{self.domid}/console/tty").strip()

    def type(self, line):
        handle = os.open(self.terminal(), os.O_RDWR | os.O_NOCTTY)
        try:
            tty.setraw(handle, termios.TCSANOW)
            os.write(handle, line.encode() + b"\r")
        finally:
            os.close(handle)

    def ask(self, line, seconds):
        """What the guest answers to a command, as lines; None if it did not come to an end, with what came in `said`."""
        self.begin(line)
        return self.finish(seconds)

    def begin(self, line):
        """Type a command whose end finish() waits for."""
        self.asked += 1
        self.said = []
        self.type(f"{line}; echo ov''er-{self.asked}")

    def finish(self, seconds):
        """What the command that was begun has answered, or None, as ask() does. May be called again after None."""
        for text in self.console.lines(seconds):
            if text == f"over-{self.asked}":
                return self.said
            self.said.append(text)
        return None

    def lives(self):
        return run("xl", "domid", self.name, check=False) is not None

    def destroy(self):
        try:
            run("xl", "destroy", self.name, check=False)
        except subprocess.TimeoutExpired:
            pass
        self.console.close()


# ---- the back ends ----

class Backend:
    """What serves the devices of a kind; `device` is "block" or "net"."""

    name = title = device = None
    store_class = None  # for the rules about keys

    def __init__(self):
        self.began = time.time()

    def enter(self):
        """Make it the one that serves. Unavailable if it cannot be."""

    def leave(self):
        """The reverse."""

    def devices(self):
        """The lines of the guest's configuration, with new images."""
        return ["vif = [ 'bridge=xenbr0' ]"]

    def keys(self):
        """What the toolstack would write for a disk, and its script."""
        return {"params": str(WORK / "rw.img"), "mode": "w", "device-type": "disk", "type": "phy", "virtual-device": str(Keys.NUMBER),
                "dev": "xvdr"}

    def alive(self, guest):
        """None, or what shows that it is not."""
        return kernel_says(self.began)


def kernel_says(since):
    text = run("journalctl", "-k", "-q", "-o", "cat", "--since", f"@{int(since)}", check=False) or ""
    return next((f"dom0's kernel: {line}" for line in text.splitlines() if DISASTER.search(line)), None)


def unit_says(unit, since):
    text = run("journalctl", "-q", "-o", "cat", "--since", f"@{int(since)}", "--unit", unit, check=False) or ""
    return next((f"{unit}: {line}" for line in text.splitlines() if WORKER_DIED.search(line)), None)


def images():
    """Two files with the same noise: what is read from them is not all zero."""
    paths = [WORK / "rw.img", WORK / "ro.img"]
    noise = os.urandom(1 << 20) * DISK_MIB
    for path in paths:
        path.unlink(missing_ok=True)
        path.write_bytes(noise)
    return paths


def disks(options, targets):
    return [f"disk = [ 'format=raw,{options}vdev=xvda,access=rw,target={targets[0]}', "
            f"'format=raw,{options}vdev=xvdb,access=r,target={targets[1]}' ]"]


class DuetBlock(Backend):
    name, title, device = "duet", "duet-blockd", "block"
    store_class = "vbd"

    def enter(self):
        run("systemctl", "start", "duet-block.service")

    def devices(self):
        return disks("", images())

    def keys(self):
        image = WORK / "keys.img"
        image.write_bytes(bytes(1 << 20))
        return {**super().keys(), "params": str(image), "script": "/etc/xen/scripts/block"}

    def alive(self, guest):
        return unit_says("duet-block.service", self.began) or kernel_says(self.began)


class DuetNet(Backend):
    name, title, device = "duet", "duet-netd", "net"

    def enter(self):
        run("systemctl", "start", "duet-net.service")

    def alive(self, guest):
        return unit_says("duet-net.service", self.began) or kernel_says(self.began)


class KernelBackend(Backend):
    """Of Linux: a module, in place of a service of ours."""

    name = "linux"
    module = unit = None

    def enter(self):
        if run("modprobe", "-n", self.module, check=False) is None:
            raise Unavailable(f"there is no module {self.module}")
        run("systemctl", "stop", self.unit)
        try:
            run("modprobe", self.module)
        except RuntimeError:
            run("systemctl", "start", self.unit)
            raise

    def leave(self):
        run("modprobe", "-q", "-r", self.module, check=False)
        run("systemctl", "start", self.unit, check=False)


class Blkback(KernelBackend):
    title, device, module, unit = "xen-blkback", "block", "xen-blkback", "duet-block.service"
    store_class = "vbd"

    def __init__(self):
        super().__init__()
        self.loops = []

    def detach(self):
        for loop in self.loops:
            run("losetup", "-d", loop, check=False)
        self.loops = []

    def devices(self):
        self.detach()
        self.loops = [run("losetup", "-f", "--show", str(path)).strip() for path in images()]
        return disks("backendtype=phy,", self.loops)

    def keys(self):
        number = os.stat(self.loops[1]).st_rdev
        return {**super().keys(), "mode": "r", "physical-device": f"{os.major(number):x}:{os.minor(number):x}"}

    def leave(self):
        self.detach()
        super().leave()


class Netback(KernelBackend):
    title, device, module, unit = "xen-netback", "net", "xen-netback", "duet-net.service"


class Qdisk(Backend):
    name, title, device = "qemu", "QEMU qdisk", "block"
    store_class = "qdisk"

    def enter(self):
        if not any(Path(path).exists() for path in ("/usr/libexec/xen-qemu-system-i386", "/usr/lib/xen-4.17/bin/qemu-system-i386",
                                                    "/usr/bin/qemu-system-i386", "/usr/lib/xen/bin/qemu-system-i386")):
            raise Unavailable("no QEMU is installed in dom0")

    def devices(self):
        return disks("backendtype=qdisk,", images())

    def keys(self):
        image = WORK / "keys.img"
        image.write_bytes(bytes(1 << 20))
        return {**super().keys(), "params": f"raw:{image}", "type": "qdisk", "discard-enable": "0"}

    def alive(self, guest):
        if run("pgrep", "-f", f"qemu.* -xen-domid {guest.domid} ", check=False) is None:
            return "QEMU has ended"
        return kernel_says(self.began)


BACKENDS = [DuetBlock, Blkback, Qdisk, DuetNet, Netback]


# ---- the rules ----

class Rule:
    """One, as the guest lists it: `rule WHERE NAME: WHAT [ORIGIN]`."""

    LINE = re.compile(r"rule (rw|ro|net) ([^ :]+): (.*) \[(.*)\]$")

    def __init__(self, where, word, what, origin):
        self.where, self.word, self.what, self.origin = where, word, what, origin
        self.name = word if where != "net" else f"net-{int(word):02d}"

    def command(self, seconds):
        if self.where == "net":
            return f"netabuse eth0 {self.word}"
        return f"blkabuse {'xvdb' if self.where == 'ro' else 'xvda'} {self.word} {seconds}"

    def verdict(self, said):
        """(verdict, evidence) from what the guest said; (None, None) if it said nothing of the rule."""
        begins = self.what if self.where == "net" else self.word
        for line in said:
            if not line.startswith(begins + ": "):
                continue
            text = line[len(begins) + 2:]
            if self.where == "net":
                return "broken" if text.endswith(", WRONG") else "kept", text
            for mark, verdict in (("kept: ", "kept"), ("BROKEN: ", "broken"), ("does not apply: ", "n/a")):
                if text.startswith(mark):
                    return verdict, text[len(mark):]
        return None, None


def list_rules(guest, device):
    said = guest.ask("netabuse eth0 list" if device == "net" else "blkabuse xvda list", WORD) or []
    rules = [Rule(*found.groups()) for found in map(Rule.LINE.match, said) if found]
    if not rules:
        raise RuntimeError(f"the guest lists no rules: {said}")
    return rules


def try_rule(guest, backend, rule, seconds):
    """(verdict, evidence, whether the guest and its devices are of use afterwards)."""
    said = guest.ask(rule.command(seconds), RULE + seconds)
    verdict, evidence = rule.verdict(guest.said)
    useful = said is not None and not any(USELESS.search(line) for line in guest.said)
    if verdict is None:
        # A command that ended without a result has found nothing to try it on.
        verdict = "broken" if said is None else "untried"
        evidence = "; ".join(guest.said[-2:]) if said is not None else f"no word of the guest within {RULE + seconds} s"
        useful = False
        if not guest.lives():
            evidence += "; the guest has ended"
    disaster = backend.alive(guest)
    if disaster is not None:
        verdict, evidence, useful = "broken", f"{evidence}; {disaster}", False
        backend.began = time.time() + 1
    return verdict, evidence, useful


# ---- what a front end may write into the store ----

class Keys:
    """A device whose front end writes nonsense: it must not be connected, and no other device be the worse for it."""

    ANSWER = 10  # seconds until the back end has closed it
    NUMBER = 51984
    GRANTED = ("ring-ref", "8", "event-channel", "1")
    CASES = [
        ("keys-no-ring", "a front end without a ring is refused", ("event-channel", "1")),
        ("keys-no-channel", "a front end without an event channel is refused", ("ring-ref", "8")),
        ("keys-ring-word", "a ring reference that is no number is refused", ("ring-ref", "x", "event-channel", "1")),
        ("keys-ring-negative", "a negative ring reference is refused", ("ring-ref", "-1", "event-channel", "1")),
        ("keys-ring-wide", "a ring reference of more than 32 bits is refused", ("ring-ref", "4294967304", "event-channel", "1")),
        ("keys-ring-foreign", "a ring reference that was not granted is refused", ("ring-ref", "4000000", "event-channel", "1")),
        ("keys-channel-word", "an event channel that is no number is refused", ("ring-ref", "8", "event-channel", "x")),
        ("keys-protocol", "an unknown protocol is refused", (*GRANTED, "protocol", "vax-abi")),
        ("keys-order", "a ring of more pages than offered is refused", ("ring-page-order", "20", "ring-ref0", "8", "event-channel", "1")),
        ("keys-order-missing", "a ring of more pages than there are references is refused", ("ring-page-order", "1", "ring-ref0", "8", "event-channel", "1")),
        ("keys-queues", "more queues than offered are refused", (*GRANTED, "multi-queue-num-queues", "4096")),
    ]

    def __init__(self, case):
        self.name, self.what, self.keys = case
        self.origin = "blkif.h"

    def try_on(self, backend, guest):
        """(verdict, evidence)."""
        front = f"/local/domain/{guest.domid}/data/vbd/{self.NUMBER}"
        back = f"/local/domain/0/backend/{backend.store_class}/{guest.domid}/{self.NUMBER}"
        run("xenstore-write", f"{front}/backend", back, f"{front}/backend-id", "0", f"{front}/state", "1")
        words = {"frontend": front, "frontend-id": guest.domid, "online": "1", **backend.keys(), "state": "1"}
        run("xenstore-write", *[w for key, value in words.items() for w in (f"{back}/{key}", value)])
        try:
            if self.state(back, "2") != "2":
                return "n/a", "the back end does not take a device that xl has not made"
            run("xenstore-write", "--", *[w for key, value in zip(self.keys[::2], self.keys[1::2]) for w in (f"{front}/{key}", value)])
            run("xenstore-write", f"{front}/state", "3")
            state = self.state(back, "456")
            why = run("xenstore-read", f"/local/domain/0/error/backend/{backend.store_class}/{guest.domid}/{self.NUMBER}/error",
                      check=False) or ""
            if state == "4":
                return "broken", "the back end connected"
            if state in ("5", "6"):
                return "kept", f"closed{': ' if why else ''}{why.strip()}"
            return "kept", "the back end waits for another front end"
        finally:
            run("xenstore-write", f"{back}/online", "0", f"{back}/state", "5", check=False)
            run("xenstore-write", f"{front}/state", "6", check=False)
            self.state(back, "6")
            run("xenstore-rm", back, check=False)
            run("xenstore-rm", front, check=False)

    def state(self, back, wanted):
        """The back end's state once it is one of those, or when patience ends."""
        def now():
            return (run("xenstore-read", f"{back}/state", check=False) or "").strip()
        await_store(f"{back}/state", lambda: now() in list(wanted), self.ANSWER)
        return now()


def try_keys(backend, wanted):
    """Whether each was kept."""
    cases = [Keys(case) for case in Keys.CASES if wanted.search(case[0])]
    if not cases or backend.store_class is None:
        return True
    guest, clean = Guest(backend.devices()), True
    try:
        for rule in cases:
            verdict, evidence = rule.try_on(backend, guest)
            disaster = backend.alive(guest)
            if disaster is not None:
                verdict, evidence = "broken", f"{evidence}; {disaster}"
                backend.began = time.time() + 1
            report(backend, rule, verdict, evidence)
            clean = clean and verdict != "broken"
        kept = guest.ask("blkabuse xvda good-page", RULE) is not None and any("kept" in line for line in guest.said)
        rule = Keys(("keys-others", "a device that is fine is served after all of these", ()))
        report(backend, rule, "kept" if kept else "broken", "; ".join(guest.said))
        return clean and kept
    finally:
        guest.destroy()


def report(backend, rule, verdict, evidence):
    print(json.dumps({"backend": backend.name, "title": backend.title, "device": backend.device, "rule": rule.name,
                      "what": rule.what, "origin": rule.origin, "verdict": verdict, "evidence": evidence}), flush=True)


def try_backend(backend, wanted, seconds):
    """Try all rules that `wanted` matches; whether each was kept."""
    guest, clean = None, True
    try:
        backend.enter()
        guest = Guest(backend.devices())
        for rule in list_rules(guest, backend.device):
            if not wanted.search(rule.name):
                continue
            if guest is None:
                guest = Guest(backend.devices())
            verdict, evidence, useful = try_rule(guest, backend, rule, seconds)
            report(backend, rule, verdict, evidence)
            clean = clean and verdict not in ("broken", "untried")
            if not useful:
                guest.destroy()
                guest = None
        if guest is not None:
            guest.destroy()
            guest = None
        clean = try_keys(backend, wanted) and clean
    finally:
        if guest is not None:
            guest.destroy()
        backend.leave()
    return clean


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="+", choices=sorted({b.name for b in BACKENDS}))
    parser.add_argument("--device", choices=["block", "net"])
    parser.add_argument("--rules", type=re.compile, default=re.compile(""))
    parser.add_argument("--seconds", type=int, default=2)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is left is taken down
    WORK.mkdir(parents=True, exist_ok=True)
    status = 0
    for make in BACKENDS:
        if make.name not in args.backends or args.device not in (None, make.device):
            continue
        backend = make()
        try:
            clean = try_backend(backend, args.rules, args.seconds)
        except Unavailable as why:
            print(json.dumps({"backend": backend.name, "title": backend.title, "device": backend.device, "absent": str(why)}),
                  flush=True)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            print(json.dumps({"backend": backend.name, "title": backend.title, "device": backend.device, "error": str(error)}),
                  flush=True)
            status = 1
        else:
            status = status if clean or backend.name != "duet" else 1
    return status


if __name__ == "__main__":
    sys.exit(main())
