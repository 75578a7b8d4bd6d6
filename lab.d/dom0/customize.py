#!/usr/bin/env python3
"""mmdebstrap's customize hook: ROOT holds a minimal Debian; leave dom0's image in OUT.

usage: customize.py ROOT OUT PACKAGE...

In this order: the Debian guest's disk is made from what is there; dom0's packages are added; kernel,
hypervisor and the two initrds are laid out; dom0's own disk is made. Runs as root.
"""
import gzip
import lzma
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUEST_DISK = "600M"
DOM0_DISK = "16G"  # sparse; room for the images that tests make
LAB_LIB = "usr/lib/duet-lab"

DOM0_MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"]
GUEST_MODULES = ["xen-blkfront", "xen-netfront", "crc32c_generic", "ext4", "tun", "loop"]

GUEST_MASKED = ["getty@tty1.service", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer",
                "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "ldconfig.service"]
MASKED = [*GUEST_MASKED, "xen.service", "xendomains.service", "serial-getty@hvc0.service",
          "systemd-timesyncd.service", "systemd-networkd-wait-online.service",
          "openvswitch-switch.service", "ovs-vswitchd.service", "ovsdb-server.service", "ovs-record-hostname.service"]
# What these would generate units from, dom0 does not have, and each costs every daemon-reload its start.
GENERATORS = ["cryptsetup", "debug", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local",
              "run", "system-update", "sysv", "veritysetup"]
ENABLED = ["xenstored.service", "xen-init-dom0.service", "lab-ready.service",
           "systemd-networkd.service", "ssh.service"]


def run(*argv, **kwargs):
    print("+", *argv, flush=True)
    subprocess.run([str(a) for a in argv], check=True, **kwargs)


def overlay(source, root):
    """Copy a tree of files into `root`, owned by root, whatever the checkout's owner and umask."""
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        target = root / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)


def mke2fs(root, image, size, *options):
    """A disk image of `root` without what mmdebstrap mounted in it, nor apt's downloads: seen through a
    plain bind mount, in a mount namespace that ends with the command."""
    script = ('mount --bind "$0" /mnt && mount -t tmpfs none /mnt/var/lib/apt/lists && '
              'mount -t tmpfs none /mnt/var/cache/apt && exec mke2fs -q -t ext4 -d /mnt "$@"')
    run("unshare", "--mount", "sh", "-c", script, root,
        "-E", "lazy_itable_init=1,lazy_journal_init=1", *options, image, size)


def guest_disk(root, image):
    """The root disk of a Debian guest: what is in `root` now, with the guest's own files."""
    saved = {name: (root / name).read_bytes() for name in ("etc/fstab", "etc/hostname")
             if (root / name).exists()}
    before = {p for p in (root / "etc").rglob("*")}
    overlay(HERE / "guest", root)
    run("chroot", root, "systemctl", "enable", "-q", "serial-getty@hvc0.service")
    run("chroot", root, "systemctl", "mask", "-q", *GUEST_MASKED)
    run("chroot", root, "passwd", "-d", "root")
    mke2fs(root, image, GUEST_DISK)
    for path in sorted({p for p in (root / "etc").rglob("*")} - before, reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, data in saved.items():
        (root / name).write_bytes(data)


def carve_vmlinux(bzimage):
    """The ELF inside a bzImage (boot protocol: payload_offset at 0x248, its length at 0x24c)."""
    data = bzimage.read_bytes()
    start = (data[0x1f1] + 1) * 512 + int.from_bytes(data[0x248:0x24c], "little")
    payload = data[start:start + int.from_bytes(data[0x24c:0x250], "little") - 4]
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload)
    return subprocess.run(["zstd", "-dc"], input=payload, stdout=subprocess.PIPE, check=True).stdout


def module_closure(modules, names):
    """Paths of `names` and all they depend on, in loading order, by modules.dep."""
    depends = {}
    for line in (modules / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, needs = line.partition(":")
        depends[Path(path).name.removesuffix(".ko").replace("_", "-")] = (path, needs.split())
    builtin = (modules / "modules.builtin").read_text(encoding="utf-8").replace("_", "-")
    order = []
    for name in (n.replace("_", "-") for n in names):
        if f"/{name}.ko" in builtin:
            continue
        path, needs = depends[name]
        for each in [*reversed(needs), path]:
            if each not in order:
                order.append(each)
    return order


def cpio_entry(name, mode, data=b"", rdev=(0, 0)):
    """One member of a newc archive, as the kernel's initramfs format wants it."""
    head = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0]
    text = b"070701" + b"".join(b"%08X" % field for field in head) + name.encode() + b"\0"
    return text + b"\0" * (-len(text) % 4) + data + b"\0" * (-len(data) % 4)


def initrd(root, init, names):
    """An initramfs: busybox, `init`, and the modules `names` with what they need."""
    modules = next((root / "lib/modules").iterdir())
    order = module_closure(modules, names)
    parts = [cpio_entry(d, stat.S_IFDIR | 0o755)
             for d in ("bin", "dev", "proc", "sys", "root", "modules.d")]
    parts.append(cpio_entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1)))
    parts.append(cpio_entry("bin/busybox", stat.S_IFREG | 0o755, (root / "bin/busybox").read_bytes()))
    parts.append(cpio_entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox"))
    parts.append(cpio_entry("init", stat.S_IFREG | 0o755, init.read_bytes()))
    for path in order:
        parts.append(cpio_entry("modules.d/" + Path(path).name, stat.S_IFREG | 0o644,
                                (modules / path).read_bytes()))
    listing = "".join(Path(p).name + "\n" for p in order).encode()
    parts.append(cpio_entry("modules", stat.S_IFREG | 0o644, listing))
    parts.append(cpio_entry("TRAILER!!!", 0))
    return b"".join(parts)


def add_packages(root, packages):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive",
                   "APT_CONFIG": os.environ["MMDEBSTRAP_APT_CONFIG"]}
    (root / "etc/initramfs-tools/conf.d").mkdir(parents=True, exist_ok=True)
    # The initramfs is for Debian guests alone: what their disk needs, for a quick start under emulation.
    (root / "etc/initramfs-tools/conf.d/lab").write_text("COMPRESS=gzip\nMODULES=list\n",
                                                         encoding="utf-8")
    modules = root / "usr/share/initramfs-tools/modules.d"
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "lab").write_text("xen-blkfront\next4\n", encoding="utf-8")
    run("apt-get", "-q", "-y", "--no-install-recommends", "-o", f"DPkg::Chroot-Directory={root}",
        "install", *packages, env=environment)


def configure(root, out):
    """dom0's own settings: units, network, ssh keys."""
    overlay(HERE / "root", root)
    run("chroot", root, "systemctl", "mask", "-q", *MASKED)
    run("chroot", root, "systemctl", "enable", "-q", *ENABLED)
    generators = root / "etc/systemd/system-generators"
    generators.mkdir(parents=True, exist_ok=True)
    for name in GENERATORS:
        (generators / f"systemd-{name}-generator").symlink_to("/dev/null")
    run("chroot", root, "systemctl", "set-default", "-q", "multi-user.target")
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(out / "id_ed25519.pub", root / "root/.ssh/authorized_keys")
    host_key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8").split()
    (out / "known_hosts").write_text(f"duet-dom0 {host_key[0]} {host_key[1]}\n", encoding="utf-8")
    for kind in ("rsa", "ecdsa"):
        for file in (root / "etc/ssh").glob(f"ssh_host_{kind}_key*"):
            file.unlink()
    (root / "etc/machine-id").write_text("d0e7d0e7d0e7d0e7d0e7d0e7d0e7d0e7\n", encoding="utf-8")


def main(root, out, *packages):
    root, out = Path(root), Path(out)
    disk = out / "debian.ext4"
    guest_disk(root, disk)
    add_packages(root, packages)
    configure(root, out)

    lib = root / LAB_LIB
    lib.mkdir(parents=True)
    kernel = next((root / "boot").glob("vmlinuz-*"))
    vmlinux = carve_vmlinux(kernel)
    (out / "vmlinux").write_bytes(vmlinux)
    (lib / "vmlinux").write_bytes(vmlinux)
    (lib / "linux.initrd").write_bytes(initrd(root, HERE / "initrd/guest-init", GUEST_MODULES))
    (out / "initrd").write_bytes(initrd(root, HERE / "initrd/dom0-init", DOM0_MODULES))
    xen = next((root / "boot").glob("xen-4.17-amd64.gz"))
    (out / "xen").write_bytes(gzip.decompress(xen.read_bytes()))
    (lib / "vmlinuz").symlink_to("/boot/" + kernel.name)
    (lib / "debian.initrd").symlink_to("/boot/" + kernel.name.replace("vmlinuz", "initrd.img"))
    run("cp", "--sparse=always", disk, lib / "debian.ext4")
    disk.unlink()

    # No journal: the disk lives as long as its machine, and each lab starts from a clean copy.
    mke2fs(root, out / "dom0.raw", DOM0_DISK, "-O", "^has_journal")


if __name__ == "__main__":
    main(*sys.argv[1:])
