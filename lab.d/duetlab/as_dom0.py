"""`./lab dom0`: Xen with our guest kernel in the place of dom0's Linux, its serial line on stdio.

The machine has no disk and no network, but it has a device behind a bridge, so that the kernel's walk over the PCI
buses leads somewhere. It ends when the kernel turns it off.
"""
import os
import re
import subprocess
import sys
import tempfile
import threading

from . import build, host, image, machine, paths, typist
from .qmp import Qmp
from .say import LabError, note

KERNEL = paths.BUILD / "release/guest-kernel/duet-guest.gz"
LOG = paths.BUILD / "log/dom0.log"
XEN_MEMORY = 512  # MiB of the machine beside dom0's
LEAVE = "0x1d"    # Ctrl-]: QEMU's escape character on a terminal
GRACE = 5         # seconds between the end of the serial line's output and QEMU's
OFF = b"Entering ACPI S5 state"
DOOMED = re.compile(rb"Panic on CPU|Hardware Dom0 (crashed|halted)")


def run(memory, cpus, commands, timeout, log):
    """Boot, with `commands` run first of all. From a terminal the keyboard is the guest's; else the lines of
    stdin are typed at its prompt, and after the last the power button is pressed. An exit status: 0 if
    the machine turned itself off, 1 if not, 124 if it was not done in `timeout` seconds."""
    host.require({**host.LAB_PACKAGES, **host.BUILD_PACKAGES}, "the lab")
    build.build("release")
    img = image.ensure()
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.BUILD, prefix="dom0-") as folder:
        argv = command_line(img, folder, memory, cpus, commands, terminal, log.resolve())
        pipe = None if terminal else subprocess.PIPE
        if terminal:
            note("Ctrl-] x pulls the plug")
        # QEMU ends with us, whatever ends us.
        qemu = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=pipe, stdout=pipe)
        late = threading.Event()
        timer = threading.Timer(timeout or 0, lambda: (late.set(), qemu.kill()))
        try:
            if timeout:
                timer.start()
            if not terminal:
                typist.type_lines(qemu, b"\n", lambda: press_button(folder), DOOMED)
            status = finish(qemu, terminal)
        finally:
            timer.cancel()
            qemu.kill()
            qemu.wait()
    if late.is_set():
        note(f"the machine still ran after {timeout:g} s; serial log: {log}")
        return 124
    return judge(log, status)


def command_line(img, folder, memory, cpus, commands, terminal, log):
    """QEMU's."""
    if '"' in commands:
        raise LabError("dom0: a double quote cannot stand in --run: the kernel's command line has it around it")
    words = f'run="{commands}"' if commands else ""
    xen = machine.XEN_ARGS.format(cpus=cpus, dom0_mem=memory)
    stdio = f"stdio,id=serial,logfile={str(log).replace(',', ',,')},signal=off"
    return [
        "qemu-system-x86_64", "-machine", "q35", *machine.accelerator(img), "-smp", str(cpus),
        "-m", f"{memory + XEN_MEMORY}M", "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", f"{img}/xen", "-append", xen,
        "-initrd", f"{KERNEL} {words}".strip().replace(",", ",,"),
        "-device", "pcie-root-port,id=bus1,chassis=1", "-device", "virtio-rng-pci,bus=bus1",
        "-chardev", stdio + (",mux=on" if terminal else ""), "-echr", LEAVE, "-serial", "chardev:serial",
        "-qmp", f"unix:{os.path.relpath(folder)}/qmp.sock,server=on,wait=off",
    ]


def press_button(folder):
    with Qmp(folder) as qmp:
        qmp.run("system_powerdown")
    return True


def finish(qemu, terminal):
    """QEMU's exit status, of its own where the machine has turned itself off."""
    if not terminal:
        # Its output has ended, or Xen halts: what is to come comes at once.
        try:
            return qemu.wait(GRACE)
        except subprocess.TimeoutExpired:
            qemu.kill()
    return qemu.wait()


def judge(log, status):
    """The exit status, from what Xen said last and from QEMU's own."""
    text = log.read_bytes()
    if status == 0 and OFF in text:
        return 0
    note(f"the machine was not turned off by dom0; serial log: {log}")
    return 1
