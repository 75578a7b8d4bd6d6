"""A lab by its name: is it up, bring it up, take it down. Each has a state folder, build/lab/NAME."""
import fcntl
import json
import os
import re
import signal
import time

from . import host, machine, paths
from .dom0 import Dom0
from .say import LabError, step


class Lab:
    """`started` is the machine under our lease when this process brought the lab up, else None."""

    def __init__(self, name, hardware=None):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}", name):
            raise LabError(f"'{name}' is no name for a lab: letters, digits, '-', '_' and '.'")
        self.name = name
        self.folder = paths.LABS / name
        self.hardware = hardware or machine.Machine()
        self.started = None

    def is_up(self):
        """True while a keeper holds its lock."""
        try:
            with open(self.folder / "alive", "r", encoding="ascii") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return (self.folder / "lab.json").exists()
        except FileNotFoundError:
            pass
        return False

    def up(self):
        """Bring the lab up if it is not; Dom0 with its connection open. `started` tells which it was."""
        with host.locked(self.folder / "lock", f"waiting for another ./lab at work on lab '{self.name}'"):
            if not self.is_up():
                host.require(host.LAB_PACKAGES, "the lab")
                machine.snapshot(self.hardware)
                with step(f"start lab '{self.name}'"):
                    self.started = machine.start(self.hardware, self.folder)
                    try:
                        return self._connect()
                    except BaseException:
                        self.release(keep=False)
                        raise
            return self._connect()

    def facts(self):
        """What machine.start() wrote about a lab that is up."""
        return json.loads((self.folder / "lab.json").read_text(encoding="utf-8"))

    def _connect(self):
        facts = self.facts()
        dom0 = Dom0(self.folder, facts["port"], facts["image"])
        dom0.connect()
        return dom0

    def dom0(self):
        """The channel to a lab that is up already."""
        if not self.is_up():
            raise LabError(f"lab '{self.name}' is not up: ./lab up --name {self.name}")
        return self._connect()

    def release(self, keep):
        """End of the command that brought the lab up: hand it to its keeper, or end it."""
        if self.started is None:
            return
        if keep:
            self.started.keep()
        else:
            self.started.end()
        self.started = None

    def reboot(self, patience):
        """Have dom0 power off in good order, within `patience` seconds, and boot it from its disk. Dom0 again."""
        disk, kept = self.folder / "disk.qcow2", self.folder / "kept.qcow2"
        with host.locked(self.folder / "lock", f"waiting for another ./lab at work on lab '{self.name}'"):
            dom0 = self.dom0()
            facts = self.facts()
            if facts.get("partner"):
                raise LabError("reboot: not for one of two hosts, which hold each other's devices")
            kept.unlink(missing_ok=True)
            os.link(disk, kept)  # the keeper removes the disk of a machine that has ended
            try:
                with step("power dom0 off"):
                    dom0.check(["systemctl", "--no-block", "poweroff"])
                    self._wait_for_end(patience)
                os.rename(kept, disk)
                self.hardware = machine.Machine(facts["cpus"], facts["memory"])
                with step("boot Xen and dom0"):
                    self.started = machine.boot_again(self.hardware, self.folder)
            finally:
                kept.unlink(missing_ok=True)
            try:
                return self._connect()
            except BaseException:
                self.release(keep=False)
                raise

    def _wait_for_end(self, patience):
        deadline = time.monotonic() + patience
        while self.is_up():
            if time.monotonic() > deadline:
                raise LabError(f"dom0 has not powered off within {patience:.0f} s; serial log: {self.folder}/serial.log")
            time.sleep(0.2)

    def down(self):
        """Power off at once. True if it was up."""
        if not self.is_up():
            return False
        with open(self.folder / "alive", "r", encoding="ascii") as handle:
            os.kill(int(handle.read()), signal.SIGTERM)
            fcntl.flock(handle, fcntl.LOCK_SH)  # the keeper's end
        return True


def names():
    """All labs that have a state folder."""
    return sorted(p.name for p in paths.LABS.iterdir() if p.is_dir()) if paths.LABS.exists() else []
