#!/usr/bin/env python3
"""Kills our daemons at random moments, and waits each time for what depends on them to go on.

usage: kill.py SEED KILLS LINUX-DOMID LINUX-DISK DUET-DOMID DUET-DISK ADDRESS LOG START

Who is killed: a disk's worker, the supervisor of the disks, both and all openers, the interface's worker or its
supervisor, the console's worker or its supervisor, everything. One kill in three is followed by another of the
same kind within 300 ms, while the next process takes over. What goes on is seen by events: an operation on the
disk's image and a growing console log by inotify, the network by bytes that come back over one TCP connection to
the guest's port 7, each when the process that serves it is another one than before.

The console's log is compared with what the guest prints (see LINE); what was logged by a worker that was killed before
it had consumed it stands there twice. A state in the store that is not 4 is an error, whenever it is seen.

Prints how long each kind of kill held up what it hit: from the kill to the first event of the successor.
"""
import ctypes
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

FACTOR = int(os.environ.get("DUET_FACTOR", "100")) / 100
LIMIT = 40 * FACTOR          # seconds until everything goes on
BEGINNING = 300 * FACTOR     # until everything has begun: fio takes long to start
TAKEOVER = 0.3               # seconds within which the second kill of a pair falls
WINDOW = 2048                # bytes under way over TCP
LINE = "seq %08d\r\n"        # of the guest's console, from 0
RING = 2048                  # bytes of it that may be logged twice
UID_BASE = 0x70000000
IN_ACCESS, IN_MODIFY = 1, 2
CGROUPS = "/sys/fs/cgroup/system.slice/duet-{}.service/cgroup.procs"
libc = ctypes.CDLL(None, use_errno=True)


def fail(text):
    print(f"FAILED: {text}", file=sys.stderr, flush=True)
    os._exit(1)


def processes(unit):
    """Those of a service: {pid: (name, uid)}."""
    found = {}
    try:
        with open(CGROUPS.format(unit), encoding="ascii") as lines:
            pids = [int(line) for line in lines]
    except OSError:
        pids = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
        except OSError:
            continue
        if not fields["State"].startswith(("Z", "X")):
            found[pid] = (fields["Name"], int(fields["Uid"].split()[0]))
    return found


def pids(unit, name, *uids):
    """Of that name (15 characters are kept) and, if any is given, uid: a worker that is not in its cage yet has 0."""
    return {pid for pid, (n, u) in processes(unit).items() if n == name[:15] and (not uids or u in uids)}


class Watch:
    """Events of a file."""

    def __init__(self, path, mask):
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if libc.inotify_add_watch(self.fd, path.encode(), mask) < 0:
            fail(f"{path}: cannot be watched: {os.strerror(ctypes.get_errno())}")

    def wait(self, seconds):
        ready = select.select([self.fd], [], [], seconds)[0]
        if ready:
            os.read(self.fd, 65536)
        return bool(ready)

    def close(self):
        os.close(self.fd)


class Channel:
    """Something of a guest's that a daemon serves: its worker is `program` in `unit`, with `uid` once it is caged."""

    def __init__(self, title, unit, program, uid):
        self.title, self.unit, self.program, self.uid = title, unit, program, uid

    def workers(self):
        return pids(self.unit, self.program, *([self.uid] if self.uid else []))


class File(Channel):
    """A disk or a console: events of its file."""

    def __init__(self, title, unit, program, uid, path, mask):
        super().__init__(title, unit, program, uid)
        self.path, self.mask = path, mask

    def arm(self):
        self.watch = Watch(self.path, self.mask)

    def event(self, seconds):
        return self.watch.wait(seconds)

    def disarm(self):
        self.watch.close()


class Stream(Channel):
    """Numbered bytes to the guest and back, over one TCP connection."""

    def __init__(self, title, unit, program, uid, address):
        super().__init__(title, unit, program, uid)
        self.sock = socket.create_connection((address, 7), timeout=LIMIT)
        self.came, self.sent, self.back = threading.Event(), 0, 0
        self.done = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        def numbers(first, last):
            words = b"".join(struct.pack(">Q", n) for n in range(first // 8, last // 8 + 1))
            return words[first % 8:][:last - first]

        try:
            while not self.done or self.back < self.sent:
                if not self.done and self.sent - self.back < WINDOW:
                    more = numbers(self.sent, self.sent + 512)
                    self.sock.sendall(more)
                    self.sent += len(more)
                data = self.sock.recv(65536)
                if not data:
                    fail("the guest has closed the TCP connection")
                if data != numbers(self.back, self.back + len(data)):
                    fail(f"what came back over TCP after byte {self.back} is not what was sent")
                self.back += len(data)
                self.came.set()
        except OSError as error:
            fail(f"the TCP connection: {error} after {self.back} bytes")

    def arm(self):
        self.came.clear()

    def event(self, seconds):
        came = self.came.wait(seconds)
        self.came.clear()
        return came

    def disarm(self):
        pass

    def finish(self):
        self.done = True
        self.thread.join(LIMIT)
        if self.thread.is_alive():
            fail(f"only {self.back} of {self.sent} bytes came back over TCP")


class Console(threading.Thread):
    """Compares the log with what the guest prints."""

    def __init__(self, path, start):
        super().__init__(daemon=True)
        self.path, self.file = path, open(path, "rb")
        self.file.seek(start)
        self.at, self.doubled, self.jumps, self.rest = 0, 0, 0, b""
        self.done = False
        self.start()

    def text(self, first, last):
        size = len(LINE % 0)
        lines = "".join(LINE % n for n in range(first // size, last // size + 1)).encode()
        return lines[first % size:][:last - first]

    def more(self):
        """What was logged since; another file takes the place of one that became too large."""
        data = self.file.read(65536)
        if not data and os.stat(self.path).st_ino != os.fstat(self.file.fileno()).st_ino:
            data = self.file.read(65536)
            if not data:
                self.file = open(self.path, "rb")
                data = self.file.read(65536)
        return data

    def compare(self, data, last):
        """Goes on in the text as far as `data` tells; returns what is left, too short to tell yet."""
        while data:
            want = self.text(self.at, self.at + len(data))
            same = len(os.path.commonprefix([want, data]))
            self.at, data = self.at + same, data[same:]
            if not data or (len(data) < 32 and not last):
                return data
            back = self.text(max(0, self.at - RING), self.at + 32)
            place = back.rfind(data[:32])
            if place < 0:
                fail(f"the console's log after byte {self.at}: {self.text(self.at, self.at + 40)!r} was printed, "
                     f"{data[:40]!r} is there")
            self.jumps += 1
            self.doubled += min(RING, self.at) - place
            self.at = max(0, self.at - RING) + place
        return data

    def run(self):
        watch = Watch(self.path, IN_MODIFY)
        while True:
            ended = self.done
            data = self.more()
            if data:
                self.rest = self.compare(self.rest + data, False)
            elif ended:
                break
            elif not watch.wait(0.5):   # also to see that another file is in its place
                watch.close()
                watch = Watch(self.path, IN_MODIFY)

    def finish(self):
        self.done = True
        self.join()
        if self.rest and self.text(self.at, self.at + len(self.rest)) != self.rest:
            self.compare(self.rest, True)


class States(threading.Thread):
    """Every state of the back ends, whenever one is written."""

    def __init__(self, paths):
        super().__init__(daemon=True)
        self.paths = paths
        self.watch = subprocess.Popen(["xenstore-watch", *paths], stdout=subprocess.PIPE, text=True)
        self.start()

    def run(self):
        for line in self.watch.stdout:
            path = line.strip()
            if path in self.paths:
                value = subprocess.run(["xenstore-read", path], capture_output=True, text=True, check=False).stdout
                if value.strip() != "4":
                    fail(f"{path} has become '{value.strip()}'")


def died(victims):
    """Sends SIGKILL to all at once, and waits until they are gone. Returns when it was, and whether there were any."""
    fds = []
    for pid in victims:
        try:
            fds.append(os.pidfd_open(pid))
        except OSError:
            pass
    for fd in fds:
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except OSError:
            pass
    when = time.monotonic()
    for fd in fds:
        if not select.select([fd], [], [], LIMIT)[0]:
            fail(f"a process that was killed is there after {LIMIT:.0f} s")
        os.close(fd)
    return when, bool(fds)


class Kind:
    """A kind of kill: whom, what that hits, and how often it is drawn beside the others."""

    def __init__(self, title, weight, whom, hits):
        self.title, self.weight, self.whom, self.hits = title, weight, whom, hits
        self.pauses = {channel: [] for channel in hits}
        self.count = 0

    def kill(self, rng):
        for channel in self.hits:
            channel.arm()
        before = {channel: channel.workers() for channel in self.hits}
        when, killed = died(self.whom())
        self.count += killed
        if rng.random() < 1 / 3:
            time.sleep(rng.random() * TAKEOVER)
            for channel in self.hits:
                before[channel] |= channel.workers()
            again, killed = died(self.whom())
            when = again if killed else when
            self.count += killed
        for channel in self.hits:
            while True:
                left = when + LIMIT - time.monotonic()
                if left <= 0:
                    fail(f"{channel.title} does not go on within {LIMIT:.0f} s after the kill of: {self.title}; "
                         f"processes now: {processes(channel.unit)}")
                if channel.event(left) and channel.workers() - before[channel]:
                    break
            self.pauses[channel].append(time.monotonic() - when)
            channel.disarm()

    def table(self):
        for channel, pauses in self.pauses.items():
            if pauses:
                p = sorted(1000 * pause for pause in pauses)
                print(f"{self.title:20} {channel.title:14} {self.count:5} {p[0]:7.0f} {p[len(p) // 2]:7.0f} "
                      f"{p[len(p) * 9 // 10]:7.0f} {p[-1]:7.0f}")


def kinds(linux, duet, net, console):
    """A service that starts again costs an emulated processor ten times what a worker does, so it is drawn less often."""
    def of(unit, name, *uids):
        return lambda: pids(unit, name, *uids)

    def everything():
        return {pid for unit in ("block", "net", "console") for pid in processes(unit)}

    return [
        Kind("disk worker", 3, of("block", linux.program, linux.uid, 0), [linux]),
        Kind("disk worker, ours", 4, of("block", duet.program, duet.uid, 0), [duet]),
        Kind("disk supervisor", 1, of("block", "duet-blockd"), [linux, duet]),
        Kind("disk both", 1, lambda: set(processes("block")), [linux, duet]),
        Kind("net worker", 4, of("net", net.program), [net]),
        Kind("net supervisor", 1, of("net", "duet-netd"), [net]),
        Kind("console worker", 1, of("console", console.program), [console]),
        Kind("console supervisor", 1, of("console", "duet-consoled"), [console]),
        Kind("all", 1, everything, [linux, duet, net, console]),
    ]


def main():
    seed, wanted, linux_id, linux_disk, duet_id, duet_disk, address, log, start = sys.argv[1:]
    rng = random.Random(int(seed))
    wanted = int(wanted)
    console = File("console", "console", "duet-console-worker", None, log, IN_MODIFY)
    linux = File("disk, Linux", "block", "duet-block-worker", UID_BASE + int(linux_id), linux_disk, IN_ACCESS | IN_MODIFY)
    duet = File("disk, ours", "block", "duet-block-worker", UID_BASE + int(duet_id), duet_disk, IN_ACCESS | IN_MODIFY)
    net = Stream("TCP both ways", "net", "duet-net-worker", UID_BASE + int(linux_id), address)
    text = Console(log, int(start))
    back = "/local/domain/0/backend"
    States([f"{back}/vbd/{linux_id}/51712/state", f"{back}/vbd/{duet_id}/51712/state",
            f"{back}/vif/{linux_id}/0/state"])
    for channel in (linux, duet, net, console):
        channel.arm()
        if not channel.event(BEGINNING):
            fail(f"{channel.title}: nothing happens, and nobody has been killed yet")
        channel.disarm()
    all_kinds, began = kinds(linux, duet, net, console), time.monotonic()
    killed = 0
    while killed < wanted:
        kind = rng.choices(all_kinds, [kind.weight for kind in all_kinds])[0]
        time.sleep(rng.random() * rng.choice([0, 0.05, 0.5]))    # the moment is random
        before = kind.count
        kind.kill(rng)
        if killed // 50 != (killed + kind.count - before) // 50:
            print(f"{killed + kind.count - before} kills in {time.monotonic() - began:.0f} s", flush=True)
        killed += kind.count - before
    net.finish()
    text.finish()
    print(f"seed {seed}: {killed} kills in {time.monotonic() - began:.0f} s; TCP: {net.back} bytes there and back; console: "
          f"{text.at} bytes, {text.doubled} of them logged twice, in {text.jumps} pieces")
    print(f"{'killed':20} {'pause of':14} {'kills':>5} {'min':>7} {'median':>7} {'90 %':>7} {'max ms':>7}")
    for kind in all_kinds:
        kind.table()
    sys.stdout.flush()
    os._exit(0)


main()
