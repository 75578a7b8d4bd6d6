"""From the tree to dom0: build a preset, install it into a staging folder, bring dom0 up to it."""
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess

from . import host, paths, source
from .say import LabError, note, run_logged, step

UNIT_FOLDERS = ("lib/systemd/system/", "usr/lib/systemd/system/", "etc/systemd/system/")
LWIP = "2.1.3"  # the TCP/IP stack of the guest kernel

# What a package's installation would run after files arrived in these folders.
REFRESHERS = {
    "udev/rules.d/": "udevadm control --reload",
    "sysusers.d/": "systemd-sysusers",
    "tmpfiles.d/": "systemd-tmpfiles --create",
    "duet/modprobe.d/": "install -m 644 /usr/share/duet/modprobe.d/duet.conf /etc/modprobe.d/duet.conf",  # as duet-backends does
    "modules-load.d/": "systemctl restart systemd-modules-load.service",
}


def configure(preset):
    """Configure a preset of CMakePresets.json: ctest can list its tests then."""
    host.require(host.BUILD_PACKAGES, "the build")
    lwip = source.ensure("lwip", LWIP)
    run_logged(f"configure {preset}", ["cmake", "--preset", preset, f"-DLWIP_SOURCE={lwip}",
               "-DDUET_KERNEL_WITNESS=ON"],
               paths.BUILD / f"log/configure-{preset}.log", cwd=paths.ROOT)


def make(preset):
    """Build a preset that is configured."""
    run_logged(f"build {preset}", ["cmake", "--build", "--preset", preset, "-j", str(os.cpu_count())],
               paths.BUILD / f"log/build-{preset}.log", cwd=paths.ROOT)


def build(preset):
    """Configure and build a preset."""
    configure(preset)
    make(preset)


def stage(folder):
    """Install the release build into `folder`/stage, as a package would; that path."""
    target = folder / "stage"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    run_logged("install into the staging folder", ["cmake", "--install", "build/release"],
               paths.BUILD / f"log/stage-{folder.name}.log", cwd=paths.ROOT, env={**os.environ, "DESTDIR": str(target)})
    return target


def packages():
    """Build the Debian packages of the release build; their paths."""
    build("release")
    target = paths.BUILD / "release/packages"
    shutil.rmtree(target, ignore_errors=True)
    run_logged("pack", ["cpack"], paths.BUILD / "log/pack.log", cwd=paths.BUILD / "release")
    return sorted(target.glob("*.deb"))


def manifest(tree):
    """What a staged tree holds: path -> mark of its content and mode."""
    found = {}
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if path.is_symlink():
            found[name] = "link " + os.readlink(path)
        elif path.is_file():
            mode = path.stat().st_mode & 0o777
            found[name] = f"{mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def units_to_restart(tree, changed):
    """duet's services whose unit, program or settings are among the changed paths."""
    services = []
    for folder in UNIT_FOLDERS:
        for unit in sorted((tree / folder).glob("duet-*.service")):
            if "@" in unit.name:
                continue
            text = unit.read_text(encoding="utf-8")
            programs = {p.lstrip("/") for p in re.findall(r"^ExecStart=[-+!:@]*(\S+)", text, re.M)}
            mine = {folder + unit.name} | programs
            if any(name in mine or name.startswith(("etc/duet/", "usr/libexec/duet")) for name in changed):
                services.append(unit.name)
    return services


def deploy(dom0):
    """Make dom0 hold the release build: changed files are sent, vanished ones removed, services whose
    files changed are enabled and restarted."""
    tree = stage(dom0.folder)
    record = dom0.folder / "deployed.json"
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    now = manifest(tree)
    changed = [name for name, mark in now.items() if before.get(name) != mark]
    gone = [name for name in before if name not in now]
    if not changed and not gone:
        return
    with step(f"bring dom0 up to date ({len(changed)} files)"):
        record.unlink(missing_ok=True)
        _send(dom0, tree, changed)
        script = refresh_script(changed, gone, set(before), units_to_restart(tree, changed))
        if script:
            dom0.check(["bash", "-ec", "\n".join(script)])
    record.write_text(json.dumps(now), encoding="utf-8")


def _send(dom0, tree, names):
    if not names:
        return
    pack = subprocess.Popen(["tar", "-C", tree, "--owner=0", "--group=0", "--no-recursion", "-cf", "-",
                             "--null", "-T", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = subprocess.Popen(dom0.argv("tar -C / --keep-directory-symlink -xmf -"), cwd=dom0.folder,
                              stdin=pack.stdout)
    pack.stdout.close()
    pack.stdin.write(b"".join(name.encode() + b"\0" for name in names))
    pack.stdin.close()
    if pack.wait() != 0 or unpack.wait() != 0:
        raise LabError("sending the tree to dom0 failed")


def refresh_script(changed, gone, known, services):
    """Commands that tell dom0's system what changed under it. `known` are the files it had before: systemd
    finds a new unit by itself, and reloading costs it seconds."""
    touched = [*changed, *gone]
    script = []
    if gone:
        script.append(shlex.join(["rm", "-f", "--", *("/" + name for name in gone)]))
    if services:
        script.append(shlex.join(["systemctl", "enable", "-q", "--no-reload", *services]))
    if any(name.startswith(UNIT_FOLDERS) and name in known for name in touched):
        script.append("systemctl daemon-reload")
    for folder, command in REFRESHERS.items():
        if any(folder in name for name in touched):
            script.append(command)
    if services:
        script.append(shlex.join(["systemctl", "restart", *services]))
        note(f"restarting {' '.join(services)}")
    return script
