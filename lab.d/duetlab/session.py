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

DRIVER = "driver"
DRIVER_CONFIG = "/usr/share/duet/xl/driver.cfg"
DRIVER_LIMIT = 300  # seconds for it to start
ADDRESS = "192.168.77.92/24"  # of a guest that it serves; dom0 is 192.168.77.1

# A driver domain that has the guest's disk; done when it serves.
DRIVER_DOMAIN = """
set -e
xl domid %(driver)s > /dev/null 2>&1 && exit
duet-driver-domain build --compress=none /var/lib/duet/driver
disk=$(sed -n 's/.*target=\\([^,"'"'"' ]*\\).*/\\1/p' %(guest)s | head -n 1)
log=/var/log/duet/console/%(driver)s.log
from=$(stat -c %%s $log 2> /dev/null || echo 0)
xl create %(config)s "disk=['format=raw,vdev=xvda,access=rw,target=$disk']"
timeout %(limit)s sh -c 'until tail -c "+$1" "$2" | grep -q "^driver-domain: started"; do sleep 0.2; done' - $((from + 1)) $log
"""


def run(dom0, terminal, shared=None, driver=False):
    """Create the guest unless it runs, and attach to its console; an exit status. Its disk is the one that
    its configuration names, or the device `shared`. With `driver` a driver domain has that disk and the
    host's bridge, and serves the guest."""
    name = _name(dom0)
    fresh = not _runs(dom0, name)
    if fresh:
        with step("make the demonstration disk"):
            dom0.check(["bash", "-c", DEMO_DISK % {"config": CONFIG, "shared": shared or ""}])
        more = [f"disk=['format=raw,vdev=xvda,access=rw,target={shared}']"] if shared else []
        if driver:
            more = _driver_domain(dom0)
        with step(f"xl create {CONFIG}"):
            dom0.check(["xl", "create", CONFIG, *more])
        if driver:
            _show_devices(dom0, name)
    if terminal:
        note("Ctrl-] leaves the console")
        return dom0.execute(f"exec xl console {name}", tty=True)
    return _typed(dom0, name, fresh)


def _driver_domain(dom0):
    """Start a driver domain unless it runs; the guest's configuration for its devices."""
    with step(f"build a driver domain and start it with {DRIVER_CONFIG}"):
        dom0.check(["bash", "-c", DRIVER_DOMAIN % {"driver": DRIVER, "guest": CONFIG, "config": DRIVER_CONFIG,
                                                   "limit": DRIVER_LIMIT}])
    return [f"disk=['format=raw,vdev=xvda,access=rw,backend={DRIVER},target=/dev/xvda']",
            f"vif=['bridge=xenbr0,backend={DRIVER}']", f"extra='ip={ADDRESS}'"]


def _show_devices(dom0, name):
    """Who serves whom, once the guest's devices are connected."""
    domid = dom0.check(["xl", "domid", name]).strip()
    for device in ("vbd/51712", "vif/0"):
        dom0.check(["xenbus", "wait", "-t", str(DRIVER_LIMIT), f"/local/domain/{domid}/device/{device}/state", "4"])
    print(dom0.check(["xenbus", "devices"]), end="", flush=True)


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
