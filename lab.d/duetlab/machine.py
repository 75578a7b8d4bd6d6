"""The QEMU machine: accelerator, command line, boot, snapshot, start from it, end.

dom0 is booted only once. The first lab boots Xen and dom0 on a RAM file, stops, writes the devices' state
beside it and keeps all three (RAM, state, disk overlay) in the cache. Every lab then maps the RAM file
privately, loads the state and goes on from there with an overlay of its own.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import host, hypervisor, image, paths
from .qmp import Qmp
from .say import LabError, note, step

BOOT_TIMEOUT = 600  # seconds; about 40 with TCG on two cores that are free
PROBE_TIMEOUT = 20  # seconds; with KVM two suffice
SHARED_MIB = 1024   # size of the disk that two hosts share
READY = "duet-lab: dom0 is ready"
DOOMED = re.compile(r"Panic on CPU|Kernel panic|duet-lab: cannot load")

# PV guests' floating-point state is corrupted under TCG while XSAVE is on. ERMS and FSRM promise fast moves of bytes,
# by which Linux then copies; TCG moves them one by one.
TCG_CPU = "max,-xsave,-xsaveopt,-avx,-avx2,-f16c,-pku,-erms,-fsrm"
XEN_ARGS = ("console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all noreboot bootscrub=0 "
            "dom0_mem={dom0_mem}M,max:{dom0_mem}M dom0_max_vcpus={cpus} spec-ctrl=no xpti=no")
LINUX_ARGS = "console=hvc0 net.ifnames=0 mitigations=off quiet loglevel=4 systemd.show_status=no"


class Machine:
    """What a lab is made of. `cpus` are the machine's and dom0's, `memory` and `dom0_mem` are MiB. One of two
    hosts (pair.py) has `partner`, the name of the other one's lab, and is the `first` of them or not. `ruler` is the path
    of the plugin that counts what the machine does (ruler.py), or None."""

    def __init__(self, cpus=2, memory=5120, dom0_mem=1024, partner=None, first=True, ruler=None):
        self.cpus = cpus
        self.memory = memory
        self.dom0_mem = dom0_mem
        self.partner = partner
        self.first = first
        self.ruler = ruler


def qemu_version():
    out = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True)
    return tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)", out.stdout).groups())


def tcg_cpu():
    return TCG_CPU if qemu_version() >= (8, 0) else TCG_CPU + ",-smap,-smep"


def accelerator(img):
    """QEMU's options for accelerator and processor: KVM where Xen boots on it, else TCG."""
    if kvm_works(img):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", tcg_cpu()]


def kvm_works(img):
    """Whether Xen and Linux boot under KVM here: tried once per boot of this machine."""
    if os.environ.get("DUET_LAB_ACCEL") == "tcg" or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    verdict = paths.cache() / f"kvm-{paths.digest(boot, str(qemu_version()))}"
    if not verdict.exists():
        with tempfile.TemporaryDirectory(dir=paths.cache(), prefix="probe-") as folder:
            answer = _probe_kvm(img, Path(folder))
        note("KVM runs Xen here" if answer == "yes" else f"KVM does not run Xen here, taking TCG: {answer}")
        verdict.write_text(answer + "\n", encoding="utf-8")
    return verdict.read_text(encoding="utf-8").strip() == "yes"


def refuse_kvm(img, reason):
    """From now on kvm_works() says no, until this machine boots again."""
    kvm_works(img)
    for verdict in paths.cache().glob("kvm-*"):
        verdict.write_text(f"no: {reason}\n", encoding="utf-8")


def _probe_kvm(img, folder):
    """"yes", or why not, from a boot of Xen and Linux up to the initrd."""
    xen = XEN_ARGS.format(cpus=1, dom0_mem=512)
    running = Running(folder, [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "1024M",
        "-nodefaults", "-display", "none", "-no-reboot", *firmware(img, xen, LINUX_ARGS + " lab.probe"),
        "-chardev", "file,id=serial,path=serial.log", "-serial", "chardev:serial",
        "-qmp", "unix:qmp.sock,server=on,wait=off"])
    try:
        with step("try KVM with a boot of Xen"):
            running.wait_serial("duet-lab: probe ok", PROBE_TIMEOUT)
        return "yes"
    except LabError as error:
        return str(error).splitlines()[0].partition(";")[0]
    finally:
        running.end()


def firmware(img, xen, linux, binary=None):
    """What QEMU loads: the hypervisor (the image's, or `binary`) with dom0's kernel and initrd as modules."""
    return ["-kernel", str(binary or f"{img}/xen"), "-append", xen,
            "-initrd", f"{img}/vmlinux {linux.replace(',', ',,')},{img}/initrd"]


def pair_hardware(machine, plugged):
    """The two devices more that each of two hosts has: a disk that both share, and a network between them.
    The disk is a file of the first host's QEMU, which serves it to the second one's (serve_disk). At boot,
    when a snapshot is made for whatever pair there will be, nothing is plugged in yet."""
    disk, net = f"driver=null-co,size={SHARED_MIB << 20},read-zeroes=on", "hubport,hubid=0"
    if plugged:
        other = f"../{machine.partner}"
        net = f"dgram,local.type=unix,local.path=peer.sock,remote.type=unix,remote.path={other}/peer.sock"
        disk = ("driver=file,filename=shared.img,locking=off,cache.no-flush=on" if machine.first else
                f"driver=nbd,server.type=unix,server.path={other}/disk.sock,export=shared")
    return ["-blockdev", f"{disk},node-name=shared", "-device", "virtio-blk-pci,drive=shared,share-rw=on",
            "-netdev", f"{net},id=peer", "-device", "virtio-net-pci,netdev=peer,romfile="]


def serve_disk(qmp):
    """The first host's QEMU serves the shared disk."""
    qmp.run("nbd-server-start", addr={"type": "unix", "data": {"path": "disk.sock"}})
    qmp.run("block-export-add", type="nbd", id="shared", **{"node-name": "shared"}, writable=True)


def hardware(machine, img, ram, plugged=False):
    """The part of the command line that makes the machine, the same devices at boot and at each start.
    `ram` is the -object text of its memory."""
    binary = hypervisor.ensure() if machine.partner else None
    xen = XEN_ARGS.format(cpus=machine.cpus, dom0_mem=machine.dom0_mem)
    return [
        "qemu-system-x86_64", "-machine", "q35,memory-backend=ram", *accelerator(img),
        "-smp", str(machine.cpus), "-m", f"{machine.memory}M", "-object", ram,
        "-nodefaults", "-display", "none", "-no-reboot", *firmware(img, xen, LINUX_ARGS, binary),
        "-blockdev", "driver=file,filename=disk.qcow2,node-name=file,cache.no-flush=on",
        "-blockdev", "driver=qcow2,file=file,node-name=disk,cache.no-flush=on,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk",
        # Nothing gets out; one address answers TCP's echo port, so that there is traffic on eth0's wire.
        "-netdev", "user,id=net,restrict=on,guestfwd=tcp:10.0.2.100:7-cmd:cat", "-device", "virtio-net-pci,netdev=net,romfile=",
        "-chardev", "socket,id=serial,path=serial.sock,server=on,wait=off,logfile=serial.log",
        "-serial", "chardev:serial",
        "-qmp", "unix:qmp.sock,server=on,wait=off",
        "-monitor", "unix:monitor.sock,server=on,wait=off",
        "-chardev", "socket,id=gdb,path=gdb.sock,server=on,wait=off", "-gdb", "chardev:gdb",
        *(pair_hardware(machine, plugged) if machine.partner else []),
    ]


def memory_file(machine, file, share):
    return f"memory-backend-file,id=ram,size={machine.memory}M,mem-path={file},share={share}"


class Running:
    """A QEMU under its keeper, in `folder`. Ends with this process unless keep() is called."""

    def __init__(self, folder, argv):
        self.folder = folder
        (folder / "serial.log").unlink(missing_ok=True)
        keeper = [sys.executable, "-B", str(Path(__file__).with_name("keeper.py"))]
        self._process = subprocess.Popen([*keeper, *argv], cwd=folder, stdin=subprocess.PIPE,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         start_new_session=True)

    def qmp(self):
        deadline = time.monotonic() + 20
        while True:
            try:
                return Qmp(self.folder)
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise LabError(f"QEMU does not start: {self.log()}") from None
                time.sleep(0.02)

    def log(self):
        file = self.folder / "qemu.log"
        return file.read_text(errors="replace").strip() if file.exists() else ""

    def wait_serial(self, wanted, timeout, doomed=DOOMED):
        """Wait for a text on the serial line."""
        deadline = time.monotonic() + timeout
        file = self.folder / "serial.log"
        while True:
            text = file.read_text(errors="replace") if file.exists() else ""
            if wanted in text:
                return
            tail = "\n".join(text.splitlines()[-15:])
            if doomed.search(text):
                raise LabError(f"the Xen host died at boot; serial log: {file}\n{tail}")
            if self._process.poll() is not None or "KVM internal error" in self.log():
                raise LabError(f"QEMU ended at boot: {self.log().partition(chr(10))[0]}\n{tail}")
            if time.monotonic() > deadline:
                raise LabError(f"no '{wanted}' within {timeout} s; serial log: {file}\n{tail}")
            time.sleep(0.1)

    def keep(self):
        self._process.stdin.write(b"keep\n")
        self._process.stdin.flush()

    def end(self):
        self._process.stdin.close()
        self._process.wait()


def overlay(folder, backing, kind):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", kind,
                    str(folder / "disk.qcow2")], check=True)


def snapshot(machine):
    """The folder of a booted machine in the cache, booted now if it is not there."""
    img = image.ensure()
    try:
        return _snapshot(machine, img)
    except LabError as error:
        if not kvm_works(img):
            raise
        note(f"KVM ran Xen but not dom0, taking TCG: {error}")
        refuse_kvm(img, "dom0 did not come up")
        return _snapshot(machine, img)


def _snapshot(machine, img):
    parts = hardware(machine, img, memory_file(machine, "ram", "on"))
    key = paths.digest(img.name, "\0".join(parts), str(qemu_version()))
    folder = paths.cache() / f"boot-{key}"
    if not folder.exists():
        host.require_space(paths.cache(), 3, "the snapshot of the booted host")
        with host.locked(paths.cache() / "boot.lock", "waiting for another ./lab that boots the host"):
            if not folder.exists():
                _boot(machine, img, folder)
    os.utime(folder)
    return folder


def _boot(machine, img, folder):
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    overlay(part, img / "dom0.raw", "raw")
    running = Running(part, hardware(machine, img, memory_file(machine, "ram", "on")))
    try:
        with step("boot Xen and dom0 (once per image)"):
            running.wait_serial(READY, BOOT_TIMEOUT)
        with step("keep the booted host"), running.qmp() as qmp:
            qmp.run("stop")
            capabilities = [{"capability": c, "state": True} for c in ("x-ignore-shared", "events")]
            qmp.run("migrate-set-capabilities", capabilities=capabilities)
            qmp.run("migrate", uri="exec:cat > vm.state")
            qmp.migration()
            os.rename(part / "disk.qcow2", part / "base.qcow2")
    except BaseException:
        running.end()
        if (part / "serial.log").exists():
            shutil.copy(part / "serial.log", paths.BUILD / "log/boot-failed.log")
        shutil.rmtree(part, ignore_errors=True)
        raise
    running.end()
    part.rename(folder)


def start(machine, folder):
    """A running machine in the state folder `folder`, started from the snapshot; paused no longer.
    Its ssh port is written to lab.json there."""
    booted = snapshot(machine)
    img = image.folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "disk.qcow2").unlink(missing_ok=True)
    overlay(folder, booted / "base.qcow2", "qcow2")
    argv = hardware(machine, img, memory_file(machine, booted / "ram", "off"), plugged=True)
    if machine.partner and machine.first:
        with open(folder / "shared.img", "wb") as shared:
            shared.truncate(SHARED_MIB << 20)
    if machine.ruler:
        argv += ["-plugin", f"{str(machine.ruler).replace(',', ',,')},out=ruler.jsonl"]
    running = Running(folder, [*argv, "-incoming", "defer"])
    try:
        with running.qmp() as qmp:
            capabilities = [{"capability": c, "state": True} for c in ("x-ignore-shared", "events")]
            qmp.run("migrate-set-capabilities", capabilities=capabilities)
            qmp.run("migrate-incoming", uri=f"exec:cat {booted}/vm.state")
            qmp.migration()
            port = forward_ssh(qmp)
            qmp.run("cont")
            if machine.partner and machine.first:
                serve_disk(qmp)
        write_facts(machine, folder, img, port)
    except BaseException:
        running.end()
        raise
    return running


def forward_ssh(qmp):
    """A port of this machine leads to dom0's ssh from now on."""
    qmp.monitor("hostfwd_add net tcp:127.0.0.1:0-:22")
    found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", qmp.monitor("info usernet"))
    if not found:
        raise LabError("QEMU opened no port for ssh")
    return int(found[1])


def write_facts(machine, folder, img, port):
    facts = {"port": port, "image": str(img), "cpus": machine.cpus, "memory": machine.memory, "partner": machine.partner}
    (folder / "lab.json").write_text(json.dumps(facts), encoding="utf-8")


def boot_again(machine, folder):
    """A machine that boots from the disk in `folder`, as it was when it was turned off."""
    img = image.folder()
    ram = f"memory-backend-ram,id=ram,size={machine.memory}M"
    running = Running(folder, hardware(machine, img, ram))
    try:
        running.wait_serial(READY, BOOT_TIMEOUT)
        with running.qmp() as qmp:
            write_facts(machine, folder, img, forward_ssh(qmp))
    except BaseException:
        running.end()
        raise
    return running
