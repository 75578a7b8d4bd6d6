"""A back end that lies, to try front ends with: runs in dom0 as root, see frontends.py.

A Device is one disk or interface: its keys in the store, the pages of its rings, its event channel, and a thread that
serves it. It is honest until it is told a lie. What it does then is only what any back end can do: write its own
directory, write to pages that were granted to it, notify. Its directory is below backend/liar, so that no daemon takes it
for its own; the front end reads that from its own directory, as for any device.
"""
import ctypes
import errno
import os
import queue
import select
import struct
import threading
import time

PAGE = 4096
INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED = 2, 3, 4, 5, 6
CHECKED, CSUM_BLANK, MORE_DATA, EXTRA_INFO = 1, 2, 4, 8  # NETRXF_*
GUEST_IP, LIAR_IP = bytes([10, 9, 8, 7]), bytes([10, 9, 8, 1])
GUEST_MAC, LIAR_MAC = bytes.fromhex("00163e424242"), bytes.fromhex("feffffffffff")
READ, OKAY = 0, 0
CRITICAL = 9  # of xentoollog_level


def library(name):
    return ctypes.CDLL(name, use_errno=True)


def failed(what):
    raise OSError(ctypes.get_errno(), what)


def quiet():
    """A logger for Xen's libraries: that a page was taken back is no news."""
    stderr = ctypes.c_void_p.in_dll(library(None), "stderr")
    create = library("libxentoollog.so.1").xtl_createlogger_stdiostream
    create.restype = ctypes.c_void_p
    return ctypes.c_void_p(create(stderr, CRITICAL, 0))


class Store:
    """A connection to xenstored."""

    class Permission(ctypes.Structure):
        _fields_ = [("id", ctypes.c_uint), ("perms", ctypes.c_int)]

    NONE, CAN_READ = 0, 1

    def __init__(self):
        self.lib = library("libxenstore.so.4")
        for name, result in (("xs_open", ctypes.c_void_p), ("xs_read", ctypes.c_void_p), ("xs_write", ctypes.c_bool),
                             ("xs_rm", ctypes.c_bool), ("xs_watch", ctypes.c_bool), ("xs_check_watch", ctypes.c_void_p),
                             ("xs_set_permissions", ctypes.c_bool), ("xs_close", None)):
            getattr(self.lib, name).restype = result
        self.handle = ctypes.c_void_p(self.lib.xs_open(ctypes.c_ulong(0)))
        if not self.handle:
            failed("xenstored")
        self.lib.xs_transaction_start.restype = ctypes.c_uint32
        self.lib.xs_transaction_end.restype = ctypes.c_bool
        self.libc = library(None)
        self.txn = 0

    def at_once(self, change):
        """Do `change`, which writes, as one transaction."""
        done = False
        while not done:
            self.txn = self.lib.xs_transaction_start(self.handle)
            try:
                change()
            finally:
                done = self.lib.xs_transaction_end(self.handle, ctypes.c_uint32(self.txn), False)
                self.txn = 0
            if not done and ctypes.get_errno() != errno.EAGAIN:
                failed("transaction")

    def read(self, path):
        size = ctypes.c_uint()
        found = self.lib.xs_read(self.handle, ctypes.c_uint32(self.txn), path.encode(), ctypes.byref(size))
        if not found:
            return None
        value = ctypes.string_at(found, size.value)
        self.libc.free(ctypes.c_void_p(found))
        return value

    def write(self, path, value):
        value = value if isinstance(value, bytes) else str(value).encode()
        if not self.lib.xs_write(self.handle, ctypes.c_uint32(self.txn), path.encode(), value, len(value)):
            failed(path)

    def remove(self, path):
        self.lib.xs_rm(self.handle, ctypes.c_uint32(self.txn), path.encode())

    def own(self, path, owner, reader):
        """Make `path` the domain `owner`'s; `reader` may read it."""
        perms = (self.Permission * 2)(self.Permission(owner, self.NONE), self.Permission(reader, self.CAN_READ))
        if not self.lib.xs_set_permissions(self.handle, ctypes.c_uint32(self.txn), path.encode(), perms, 2):
            failed(path)

    def watch(self, path):
        """A descriptor that becomes readable when something below `path` changes: then call events()."""
        if not self.lib.xs_watch(self.handle, path.encode(), b"liar"):
            failed(path)
        return self.lib.xs_fileno(self.handle)

    def events(self):
        while event := self.lib.xs_check_watch(self.handle):
            self.libc.free(ctypes.c_void_p(event))

    def close(self):
        self.lib.xs_close(self.handle)


class Ring:
    """A ring in a page of the guest's, from the back end's side."""

    def __init__(self, address, entry):
        self.address, self.entry = address, entry
        self.size = 1 << (((PAGE - 64) // entry).bit_length() - 1)
        self.req_prod, self.req_event, self.rsp_prod, self.rsp_event = (
            ctypes.c_uint32.from_address(address + 4 * i) for i in range(4))
        self.cons = self.prod = 0

    def at(self, index):
        return self.address + 64 + index % self.size * self.entry

    def take(self, length):
        """The next request's bytes, or None; then an event is asked for."""
        if self.req_prod.value == self.cons:
            self.req_event.value = self.cons + 1
            if self.req_prod.value == self.cons:
                return None
        self.cons = (self.cons + 1) & 0xffffffff
        return ctypes.string_at(self.at(self.cons - 1), length)

    def put(self, response):
        ctypes.memmove(self.at(self.prod), response, len(response))
        self.prod = (self.prod + 1) & 0xffffffff

    def publish(self, ahead=0):
        self.rsp_prod.value = (self.prod + ahead) & 0xffffffff


class Device(threading.Thread):
    """What is the same for disks and interfaces."""

    kind = ready = NUMBER = None  # the class in the store; the front end's state that says "my rings are there"; the name

    def __init__(self, domid, keys, front_keys):
        super().__init__(daemon=True)
        self.domid = domid
        self.front = f"/local/domain/{domid}/device/{self.kind}/{self.NUMBER}"
        self.back = f"/local/domain/0/backend/liar/{domid}/{self.NUMBER}"
        self.store = Store()
        self.gnttab, self.evtchn = library("libxengnttab.so.1"), library("libxenevtchn.so.1")
        for function in (self.gnttab.xengnttab_open, self.gnttab.xengnttab_map_grant_ref, self.evtchn.xenevtchn_open):
            function.restype = ctypes.c_void_p
        self.xgt = ctypes.c_void_p(self.gnttab.xengnttab_open(quiet(), 0))
        self.xce = ctypes.c_void_p(self.evtchn.xenevtchn_open(quiet(), 0))
        self.port = None
        self.mapped = []         # pages that stay
        self.lie = None          # what to do in place of the honest thing
        self.offers_again = True  # when a front end has closed
        self.state = None        # the front end's
        self.served = 0          # how many requests were seen
        self.cond = threading.Condition()
        self.orders = queue.Queue()
        self.wake = os.eventfd(0)
        self.alive_still = True
        self.error = None
        self.store.at_once(lambda: (self.give(keys), self.give_front(front_keys)))
        self.watching = self.store.watch(self.front)
        self.start()

    def give(self, keys):
        """The directory, as honest as `keys` are."""
        self.store.write(self.back, b"")
        self.store.own(self.back, 0, self.domid)
        for key, value in {"frontend": self.front, "frontend-id": self.domid, "online": 1, **keys, "state": INIT_WAIT}.items():
            self.say(key, value)

    def give_front(self, keys):
        self.store.write(self.front, b"")
        self.store.own(self.front, self.domid, 0)
        for key, value in {"backend": self.back, "backend-id": 0, **keys, "state": 1}.items():
            self.store.write(f"{self.front}/{key}", value)

    def say(self, key, value):
        self.store.write(f"{self.back}/{key}", value)

    # ---- what the caller does, from another thread ----

    def do(self, order, seconds=200):
        """Have the thread run order(device); its result."""
        done = threading.Event()
        box = []

        def carry():
            try:
                box.append(order(self))
            finally:
                done.set()
        self.orders.put(carry)
        os.eventfd_write(self.wake, 1)
        if not done.wait(seconds) or not box:
            raise RuntimeError(f"the liar did not do what it was told: {self.error}")
        return box[0]

    def until(self, condition, seconds):
        """Whether `condition()` comes true in so long."""
        with self.cond:
            return self.cond.wait_for(condition, seconds)

    def dismiss(self, seconds):
        """Take the device away as a toolstack does; whether the front end let go of it."""
        self.offers_again = False
        self.do(lambda d: (d.say("online", 0), d.say("state", CLOSING)))
        gone = self.until(lambda: self.state in (None, CLOSED), seconds)
        self.do(Device.disconnect)
        self.do(lambda d: (d.store.remove(d.front), d.store.remove(d.back)))
        self.alive_still = False
        os.eventfd_write(self.wake, 1)
        self.join(10)
        self.store.close()
        self.gnttab.xengnttab_close(self.xgt)
        self.evtchn.xenevtchn_close(self.xce)
        return gone

    # ---- the thread ----

    def run(self):
        notified = self.evtchn.xenevtchn_fd(self.xce)
        try:
            while self.alive_still:
                ready, _, _ = select.select([self.watching, notified, self.wake], [], [])
                if self.wake in ready:
                    os.eventfd_read(self.wake)
                    while not self.orders.empty():
                        self.orders.get()()
                if self.watching in ready:
                    self.store.events()
                    self.look()
                if notified in ready:
                    port = self.evtchn.xenevtchn_pending(self.xce)
                    self.evtchn.xenevtchn_unmask(self.xce, port)
                    if self.port is not None:
                        self.serve()
                with self.cond:
                    self.cond.notify_all()
        except Exception as error:  # the caller asks what became of it
            self.error = error
            raise

    def look(self):
        """The front end's state, and what is due."""
        text = self.store.read(f"{self.front}/state")
        state = int(text) if text is not None and text.isdigit() else None
        if state == self.state:
            return
        self.state = state
        if state == self.ready and self.port is None:
            self.connect()
        elif state == CLOSED and self.offers_again:
            self.disconnect()
            self.say("state", CLOSED)
        elif state == 1 and self.offers_again:
            self.disconnect()
            self.say("state", INIT_WAIT)

    def number_at(self, key):
        return int(self.store.read(f"{self.front}/{key}"))

    def map(self, gref, writable=True):
        """A page of the guest's; None if it was not granted, or is no more: who was lied to takes its pages back."""
        return self.gnttab.xengnttab_map_grant_ref(self.xgt, self.domid, gref, 3 if writable else 1)

    def unmap(self, page):
        self.gnttab.xengnttab_unmap(self.xgt, ctypes.c_void_p(page), 1)

    def map_ring(self, gref, entry):
        page = self.map(gref)
        if page is None:
            failed(f"the ring's grant {gref}")
        self.mapped.append(page)
        return Ring(page, entry)

    def bind(self, remote):
        port = self.evtchn.xenevtchn_bind_interdomain(self.xce, self.domid, remote)
        if port < 0:
            failed("event channel")
        return port

    def notify(self):
        self.evtchn.xenevtchn_notify(self.xce, self.port)

    def kick(self, seconds):
        """Notify without a reason, over and over for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.notify()

    def disconnect(self):
        if self.port is not None:
            self.evtchn.xenevtchn_unbind(self.xce, self.port)
            self.port = None
        while self.mapped:
            self.unmap(self.mapped.pop())


class Disk(Device):
    """A disk whose every record says where it is."""

    kind, ready, NUMBER, SECTORS = "vbd", INITIALISED, 51728, 2048

    class Request:
        def __init__(self, raw):
            self.op, self.nsegs, _, self.id, self.sector = struct.unpack_from("<BBHxxxxQQ", raw)
            self.segments = [struct.unpack_from("<IBBxx", raw, 24 + 8 * i) for i in range(min(self.nsegs, 11))]

    def __init__(self, domid, keys=None):
        self.ring = None
        self.kept = []       # requests that are not answered yet, if the lie wants them
        self.let_go = None   # when keep() let go of pages last
        honest = {"sectors": self.SECTORS, "sector-size": 512, "info": 0}
        super().__init__(domid, {**honest, **(keys or {})}, {"virtual-device": self.NUMBER, "device-type": "disk"})

    @staticmethod
    def content(offset, length):
        return b"".join(b"lies %026x\n" % at for at in range(offset, offset + length, 32))

    def connect(self):
        self.ring = self.map_ring(self.number_at("ring-ref"), 112)
        self.port = self.bind(self.number_at("event-channel"))
        self.say("state", CONNECTED)

    def serve(self):
        while self.port is not None and (raw := self.ring.take(112)) is not None:
            self.served += 1
            (self.lie or Disk.honest)(self, Disk.Request(raw))

    def fill(self, request):
        """The data of a read."""
        offset = request.sector * 512
        for gref, first, last in request.segments if request.op == READ else []:
            page, length = self.map(gref), (last - first + 1) * 512
            if page is not None:
                ctypes.memmove(page + first * 512, self.content(offset, length), length)
                self.unmap(page)
            offset += length

    def answer(self, number, op=READ, status=OKAY):
        self.ring.put(struct.pack("<QBxhxxxx", number, op, status))

    def tell(self, ahead=0):
        self.ring.publish(ahead)
        self.notify()

    def honest(self, request):
        self.fill(request)
        self.answer(request.id, request.op)
        self.tell()

    def keep(self, request, seconds):
        """Answers, and keeps the pages mapped for so long; writes to them at the end of it."""
        pages = [page for page in (self.map(gref) for gref, _, _ in request.segments) if page is not None]
        self.fill(request)
        self.answer(request.id)
        self.tell()

        def let_go():
            for page in pages:
                ctypes.memset(page, 0x5a, PAGE)
                self.unmap(page)
            self.let_go = time.monotonic()
        threading.Timer(seconds, let_go).start()


class Interface(Device):
    """An interface on whose other side is a host that asks for the guest's address."""

    kind, ready, NUMBER = "vif", CONNECTED, 0

    def __init__(self, domid, keys=None):
        self.tx = self.rx = None
        self.replies = 0  # answers of the guest to who asks for its address
        self.held = []    # buffers to send to the guest with: (id, gref)
        self.flood = 0    # how many more questions it is to be asked as soon as there are buffers
        self.ahead = 0    # how far the transmit ring's index is from where it belongs
        honest = {"feature-rx-copy": 1, "ip": "10.9.8.7/24"}
        mac = ":".join(f"{byte:02x}" for byte in GUEST_MAC)
        super().__init__(domid, {**honest, **(keys or {})}, {"handle": 0, "mac": mac})

    def connect(self):
        self.tx = self.map_ring(self.number_at("tx-ring-ref"), 12)
        self.rx = self.map_ring(self.number_at("rx-ring-ref"), 8)
        self.port = self.bind(self.number_at("event-channel"))
        self.held = []
        self.say("state", CONNECTED)

    def serve(self):
        self.collect()
        told = False
        while self.port is not None and (raw := self.tx.take(12)) is not None:
            gref, offset, flags, number, size = struct.unpack("<IHHHH", raw)
            self.served += 1
            if size >= 42:
                page = self.map(gref, writable=False)
                frame = ctypes.string_at(page + offset, 42) if page is not None else b""
                if page is not None:
                    self.unmap(page)
                self.replies += frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02"
            (self.lie or Interface.honest)(self, number)
            told = True
        if told:
            self.tx.publish(self.ahead)
            self.notify()
        self.pour()

    def pour(self):
        """As much of the flood as there are buffers for."""
        self.collect()
        while self.flood and self.held:
            self.receive(self.ASK)
            self.flood -= 1
        self.publish()

    def honest(self, number):
        self.sent(number, 0)

    def sent(self, number, status):
        self.tx.put(struct.pack("<Hh", number, status))

    def collect(self):
        while (raw := self.rx.take(8)) is not None:
            self.held.append(struct.unpack("<HxxI", raw))

    def receive(self, data=b"", flags=0, status=None, offset=0, wrong=0):
        """One slot to the guest, in the next of its buffers. Not published."""
        self.collect()
        number, gref = self.held.pop(0)
        page = self.map(gref) if data else None
        if page is not None:
            ctypes.memmove(page + offset, data, len(data))
            self.unmap(page)
        self.rx.put(struct.pack("<HHHh", (number + wrong) & 0xffff, offset, flags, len(data) if status is None else status))

    def extra(self, kind, flags=0, size=0, gso=0):
        """A slot with extra info, which takes a buffer as well."""
        self.collect()
        self.held.pop(0)
        self.rx.put(struct.pack("<BBHBBH", kind, flags, size, gso, 0, 0))

    def publish(self, ahead=0):
        self.rx.publish(ahead)
        self.notify()

    ASK = (b"\xff" * 6 + LIAR_MAC + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" + LIAR_MAC + LIAR_IP + bytes(6) + GUEST_IP
           + bytes(18))

    def ask(self):
        """Who has the guest's address?"""
        self.receive(self.ASK)
        self.publish()
