"""dom0's image: Debian 12 with Xen, made by mmdebstrap and kept in the cache under its recipe's hash.

An image is a folder with `dom0.raw` (root disk), `xen` (the hypervisor), `vmlinux`, `initrd` (what
QEMU loads) and the ssh keys. mmdebstrap works in a temporary folder, in a mount namespace of its own, and the
folder is removed whatever happens. The finished image appears by one rename.
"""
import os
import shutil
import subprocess
import sys
import time

from . import host, paths
from .say import note, run_logged

RECIPE = paths.LAB_D / "dom0"
KEEP_DAYS = 14
GIGABYTES = 4  # free space that a build needs, downloads and temporary folder together

# What a Debian guest's root disk holds; dom0 is built on top of it.
GUEST_PACKAGES = {
    "systemd-sysv": "init",
    "udev": "device nodes, modules",
    "kmod": "modprobe",
    "e2fsprogs": "file systems of guests and tests",
    "iproute2": "ip",
    "procps": "ps, pgrep, sysctl",
}

DOM0_PACKAGES = {
    "linux-image-amd64": "kernel of dom0 and of Linux guests, modules of the peers",
    "initramfs-tools": "the stock initrd of a Debian guest",
    "xen-hypervisor-4.17-amd64": "the hypervisor; QEMU loads it from outside",
    "xen-utils-4.17": "xl, libxl, xenstored, lsevtchn",
    "xen-utils-common": "hotplug scripts, wrappers",
    "xenstore-utils": "xenstore-ls, xenstore-read, ...",
    "openssh-server": "the channel from ./lab",
    "openssh-sftp-server": "./lab put, ./lab get",
    "dbus": "systemctl's and journald's companion",
    "bridge-utils": "brctl, for the stock vif scripts",
    "iptables": "the stock vif scripts",
    "openvswitch-switch": "the bridge of the stock vif-openvswitch, for VLANs; started by the test that wants it",
    "ethtool": "offloads of dom0's interfaces, off where a test looks at the wire",
    "iputils-ping": "network tests",
    "busybox-static": "small guests, and a shell when all else is broken",
    "fio": "disk load and measurement",
    "iperf3": "network load and measurement",
    "iperf": "peer of our guest's own iperf",
    "dnsmasq-base": "addresses and names for guests",
    "curl": "peer of our guest's web server",
    "wrk": "load on it",
    "tcpdump": "what is on a wire",
    "strace": "what a daemon does",
    "gdb": "why it died",
    "lsof": "who holds a device",
    "less": "reading logs in ./lab shell",
    "socat": "ptys and sockets of consoles in tests",
    "python3-minimal": "pygrub, test programs",
    "grub-xen-bin": "peer: GRUB's own block frontend",
    "qemu-system-xen": "peer: qdisk; never started by the lab",
    "qemu-utils": "serves qcow2, vhd and vmdk images to the block daemon",
    "liburing2": "block daemon",
    "libseccomp2": "daemons",
    "libcap-ng0": "daemons",
    "libsystemd0": "daemons",
    "libinih1": "daemons",
    "libcjson1": "tools",
    "libnbd0": "block daemon",
    "libmicrohttpd12": "daemons, once metrics are switched on",
    "libncurses6": "tools",
    "libelf1": "tools",
}

# Never read in dom0; leaving them out halves the image and the time that depmod takes.
EXCLUDED = [
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
    *(f"/lib/modules/*/kernel/{name}/*" for name in (
        "sound", "drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/infiniband",
        "drivers/staging", "drivers/iio", "drivers/hwmon", "drivers/usb", "drivers/net/ethernet",
        "drivers/scsi", "drivers/ata", "drivers/isdn", "drivers/bluetooth", "drivers/mmc",
        "drivers/mtd", "drivers/input/touchscreen", "drivers/input/joystick", "drivers/video",
        "drivers/comedi", "drivers/firewire", "drivers/thunderbolt", "drivers/leds",
        "drivers/power", "drivers/platform", "drivers/rtc", "drivers/i2c", "drivers/edac",
        "net/bluetooth", "net/wireless", "net/mac80211", "net/batman-adv", "net/can", "net/nfc",
        "fs/ocfs2", "fs/gfs2", "fs/ceph", "fs/cifs", "fs/smb", "fs/nfs", "fs/nfsd", "fs/xfs",
        "fs/btrfs", "fs/f2fs", "fs/jfs", "fs/reiserfs")),
]


def key():
    """Of all that decides what is in an image, but not of the day it is made."""
    return paths.digest(RECIPE, *GUEST_PACKAGES, *DOM0_PACKAGES, *EXCLUDED)


def folder():
    return paths.cache() / f"image-{key()}"


def ensure():
    """The folder of the image, built now if the cache does not have it."""
    image = folder()
    if image.exists():
        os.utime(image)
        return image
    host.require(host.LAB_PACKAGES, "the lab")
    host.require_space(paths.cache(), GIGABYTES, "dom0's image")
    with host.locked(paths.cache() / "image.lock", "waiting for another ./lab that builds the image"):
        if not image.exists():
            prune()
            _build(image)
    return image


def prune():
    """Remove images and snapshots that nobody has used for KEEP_DAYS."""
    for old in [*paths.cache().glob("image-*"), *paths.cache().glob("boot-*")]:
        if old.stat().st_mtime < time.time() - KEEP_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)


def _build(image):
    host.privileged([])
    note("building dom0's image: once per recipe, a few minutes")
    part = image.with_suffix(".part")
    _discard(part)
    part.mkdir(parents=True)
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "duet-lab", "-f",
                        part / "id_ed25519"], check=True)
        sources = part / "lab.sources"
        entries = [e for e in host.debian_sources() if not e[1].endswith("-backports")]
        sources.write_text(host.source_text(entries), encoding="utf-8")
        hook = f'{sys.executable} {RECIPE}/customize.py "$1" {part} ' + " ".join(DOM0_PACKAGES)
        run_logged("make dom0's root file system", host.privileged([
            "env", f"TMPDIR={part}", "mmdebstrap", "--mode=root", "--format=null",
            "--variant=minbase", f"--include={','.join(GUEST_PACKAGES)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
            "--dpkgopt=force-unsafe-io", "--aptopt=APT::Install-Recommends false",
            *(f"--aptopt={line}" for line in host.fetch_options()),
            f"--customize-hook={hook}",
            "bookworm", "-", sources,
        ]), paths.BUILD / "log/image.log", explain=host.offline)
        if os.geteuid() != 0:
            subprocess.run(host.privileged(["chown", "-R", f"{os.getuid()}:{os.getgid()}", part]),
                           check=True)
        part.rename(image)
    except BaseException:
        _discard(part)
        raise


def _discard(part):
    """Remove an unfinished image: mmdebstrap's files are root's, if it was killed before it removed them."""
    if part.exists():
        subprocess.run(host.privileged(["rm", "-rf", "--one-file-system", str(part)]), check=False)
