"""`./lab run`: our guest and its console, for a user at a terminal or for a script on stdin."""
import subprocess
import sys

from . import typist
from .say import LabError, note, step

CONFIG = "/usr/share/duet/xl/guest.cfg"
KERNEL = "/usr/lib/duet/duet-guest.gz"
DOMAIN = "duet"

# The demonstration disk: ext4 with real files, so that there is something to look at.
DEMO_DISK = """
set -e
disk=$(sed -n 's/.*target=\\([^,"'"'"' ]*\\).*/\\1/p' %(config)s | head -n 1)
if [ -n "%(shared)s" ]; then
    mke2fs -q -F -t ext4 -d /usr/share/zoneinfo %(shared)s 64M
    exit
fi
if [ -n "$disk" ] && [ ! -e "$disk" ]; then
    mkdir -p "$(dirname "$disk")"
    mke2fs -q -t ext4 -d /usr/share/zoneinfo "$disk.part" 64M
    mv "$disk.part" "$disk"
fi
"""


def run(dom0, terminal, shared=None):
    """Create the guest unless it runs, and attach to its console; an exit status. Its disk is the one that
    its configuration names, or the device `shared`."""
    name = _name(dom0)
    fresh = not _runs(dom0, name)
    if fresh:
        with step("make the demonstration disk"):
            dom0.check(["bash", "-c", DEMO_DISK % {"config": CONFIG, "shared": shared or ""}])
        with step(f"xl create {CONFIG}"):
            more = [f"disk=['format=raw,vdev=xvda,access=rw,target={shared}']"] if shared else []
            dom0.check(["xl", "create", CONFIG, *more])
    if terminal:
        note("Ctrl-] leaves the console")
        return dom0.execute(f"exec xl console {name}", tty=True)
    return _typed(dom0, name, fresh)


def _name(dom0):
    """The guest's name in its configuration; LabError if dom0 has no guest to run."""
    for file, origin in ((KERNEL, "guest-kernel/"), (CONFIG, "configs/xl/")):
        if subprocess.run(dom0.argv(f"test -e {file}"), cwd=dom0.folder, check=False,
                          stdin=subprocess.DEVNULL).returncode != 0:
            raise LabError(f"dom0 has no {file}: the build of {origin} did not install it")
    found = dom0.check(["sed", "-n", r"s/^name *= *[\"']\(.*\)[\"'].*/\1/p", CONFIG]).strip()
    return found or DOMAIN


def _runs(dom0, name):
    return subprocess.run(dom0.argv(f"xl domid {name}"), cwd=dom0.folder, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL).returncode == 0


def _typed(dom0, name, fresh):
    """Type stdin's lines, each when the prompt is there; show the guest's output. Ends when the last
    command is done or the guest has ended. A guest that is not fresh may be at its prompt already: it
    gets an empty line first."""
    # On a terminal in dom0: without one, xl console only shows.
    with dom0.running(f"exec xl console {name}", tty=True, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE) as console:
        seen = b"\n" if fresh else typist.type_line(console, b"")
        if typist.type_lines(console, seen, last=lambda: False):
            return console.wait()
        sys.stdout.buffer.write(b"\n")
        return 0
