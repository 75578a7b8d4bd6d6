#!/usr/bin/env python3
"""Parent of one lab's QEMU. usage: keeper.py QEMU-COMMAND..., in the lab's state folder.

A lab lives as long as somebody wants it. Whoever starts it holds the other end of the keeper's stdin (the
lease). When that end closes, be it by Ctrl-C, a crash or kill -9, QEMU is killed. If `keep` is written to
it, the lab is the keeper's for good, and `./lab down` ends it with SIGTERM. QEMU dies with the keeper
(parent-death signal). For all its life the keeper holds a lock on the file `alive`.
"""
import fcntl
import os
import select
import signal
import subprocess
import sys

TRANSIENT = ["disk.qcow2", "qmp.sock", "monitor.sock", "gdb.sock", "serial.sock",
             "ssh.sock", "lab.json",
             "deployed.json", "peer.sock", "disk.sock", "shared.img", "ruler.jsonl"]


def watch(child, lease):
    """Return when QEMU has ended or is to be ended."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    pidfd = os.pidfd_open(child.pid)
    sources = [wake_read, pidfd, lease]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if pidfd in ready or wake_read in ready:
            return
        word = os.read(lease, 64)
        if b"keep" not in word:
            return
        sources.remove(lease)


def main(argv):
    alive = open("alive", "w", encoding="ascii")  # held open, and so locked, until the end
    fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alive.write(f"{os.getpid()}\n")
    alive.flush()
    with open("qemu.log", "w", encoding="utf-8") as log:
        child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log)
    try:
        watch(child, sys.stdin.fileno())
    finally:
        child.kill()
        child.wait()
        for name in TRANSIENT:
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass


if __name__ == "__main__":
    main(sys.argv[1:])
