"""The hypervisor of hosts that migrate: Debian's Xen, built from Debian's source with log-dirty mode.

`xl migrate` moves a guest while it runs, and asks Xen which pages the guest writes meanwhile. For a PV guest that
is part of shadow paging, which Debian's binary leaves out (CONFIG_SHADOW_PAGING), so it refuses to migrate any PV
guest. Here Xen is built once with that option and otherwise with Debian's own settings, and kept in the cache. Labs of
one host run Debian's binary.
"""
import os
import shutil

from . import host, paths, source
from .say import LabError, run_logged

PACKAGES = {
    "bison": "Xen's configuration",
    "flex": "Xen's configuration",
    "python3": "Xen's build",
}
OPTION = "CONFIG_SHADOW_PAGING"
RELEASE = "4.17."
GIGABYTES = 1  # free space that the build needs


def folder():
    return paths.cache() / f"xen-{paths.digest(OPTION, RELEASE)}"


def ensure():
    """The path of the hypervisor, as QEMU loads it; built now if the cache does not have it."""
    target = folder()
    if not target.exists():
        host.require({**host.BUILD_PACKAGES, **PACKAGES}, "a hypervisor that migrates guests")
        host.require_space(paths.cache(), GIGABYTES, "the hypervisor's build")
        with host.locked(paths.cache() / "xen.lock", "waiting for another ./lab that builds the hypervisor"):
            if not target.exists():
                _build(target)
    os.utime(target)
    return target / "xen"


def _build(target):
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        xen = source.unpack("xen", RELEASE, part)[1] / "xen"
        config = (xen.parent / "debian/xen-kconfig").read_text(encoding="utf-8")
        (xen / ".config").write_text(f"{config}\n{OPTION}=y\n", encoding="utf-8")
        log = paths.BUILD / "log"
        make = ["make", "-C", str(xen), "XEN_TARGET_ARCH=x86_64"]
        run_logged("configure Xen", [*make, "olddefconfig"], log / "configure-xen.log")
        if f"{OPTION}=y" not in (xen / ".config").read_text(encoding="utf-8").splitlines():
            raise LabError(f"this source of Xen does not know {OPTION}: {xen}")
        run_logged("build Xen with log-dirty mode (once)", [*make, f"-j{os.cpu_count()}"], log / "build-xen.log")
        (part / "out").mkdir()
        shutil.copy(xen / "xen", part / "out/xen")
        (part / "out").rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
