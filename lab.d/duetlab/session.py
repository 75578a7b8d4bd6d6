"""`./lab run`: our guest and its console, for a user at a terminal or for a script on stdin."""
import os
import subprocess
import sys

from .say import LabError, note, step

CONFIG = "/usr/share/duet/xl/guest.cfg"
KERNEL = "/usr/lib/duet/duet-guest.gz"
PROMPT = b"duet# "
DOMAIN = "duet"

# The demonstration disk: ext4 with real files, so that there is something to look at.
DEMO_DISK = """
set -e
disk=$(sed -n 's/.*target=\\([^,"'"'"' ]*\\).*/\\1/p' %(config)s | head -n 1)
if [ -n "$disk" ] && [ ! -e "$disk" ]; then
    mkdir -p "$(dirname "$disk")"
    mke2fs -q -t ext4 -d /usr/share/zoneinfo "$disk.part" 64M
    mv "$disk.part" "$disk"
fi
"""


def run(dom0, terminal):
    """Create the guest unless it runs, and attach to its console; an exit status."""
    name = _name(dom0)
    if not _runs(dom0, name):
        with step("make the demonstration disk"):
            dom0.check(["bash", "-c", DEMO_DISK % {"config": CONFIG}])
        with step(f"xl create {CONFIG}"):
            dom0.check(["xl", "create", CONFIG])
    console = f"exec xl console {name}"
    if terminal:
        note("Ctrl-] leaves the console")
        return dom0.execute(console, tty=True)
    return _typed(dom0, name)


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


def _typed(dom0, name):
    """Type stdin's lines, each when the prompt is there; show the guest's output. Ends when the last
    command is done or the guest has ended."""
    # A pipe that stays open: xl console would leave at the end of its input.
    console = subprocess.Popen(dom0.argv(f"exec xl console {name}"), cwd=dom0.folder,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    tail = b""
    try:
        while data := os.read(console.stdout.fileno(), 65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            tail = (tail + data)[-len(PROMPT):]
            if tail == PROMPT:
                line = sys.stdin.buffer.readline()
                if not line:
                    sys.stdout.buffer.write(b"\n")
                    return 0
                tail = b""
                console.stdin.write(line.rstrip(b"\n") + b"\r")
                console.stdin.flush()
        return 0
    finally:
        console.terminate()
        console.wait()
