"""The machine the lab runs on: its packages, its Debian sources, its limits."""
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import paths
from .say import LabError, note, run_logged

# What the lab itself needs, and why.
LAB_PACKAGES = {
    "qemu-system-x86": "runs the Xen host",
    "qemu-utils": "qemu-img, the disk overlays of each lab",
    "mmdebstrap": "makes dom0's root file system",
    "e2fsprogs": "mke2fs -d, a disk image without a mount",
    "openssh-client": "the channel to dom0",
    "zstd": "unpacks kernels compressed with it",
}

# What building and checking the tree needs, and why.
BUILD_PACKAGES = {
    "gcc": "compiler of the release build",
    "cmake": "the build",
    "make": "the build's engine",
    "pkg-config": "finds the libraries below",
    "libxen-dev": "Xen's public headers; xenstore, event channel and grant libraries",
    "liburing-dev": "asynchronous disk I/O of the block daemon",
    "libnbd-dev": "how the block daemon gets to an NBD server",
    "nbdkit": "unit tests: an NBD server; qemu-utils has another",
    "libseccomp-dev": "system-call filter of the workers",
    "libcap-ng-dev": "drops capabilities in the workers",
    "libsystemd-dev": "notify, file-descriptor store, journal",
    "libinih-dev": "the daemons' configuration file, linked statically; dom0 has no libinih",
    "libmicrohttpd-dev": "metrics of the daemons by HTTP, loaded once they are switched on",
    "libcjson-dev": "--json output",
    "uthash-dev": "hash tables",
    "libdw-dev": "symbols and types of the kernel for duet-crash, linked statically; dom0 has no libdw",
    "libelf-dev": "likewise; dom0 has libelf",
    "libcmocka-dev": "unit tests",
    "clang-format": "style check",
    "clang-tidy": "static check",
    "clang": "libFuzzer targets",
    "cppcheck": "static check",
    "shellcheck": "static check of scripts",
    "mandoc": "checks the man pages",
    "dpkg-dev": "finds the packages that ours depend on",
    "lintian": "checks our packages",
}


def privileged(argv):
    """`argv` as root: as it is for root, else through sudo."""
    if os.geteuid() == 0:
        return argv
    if not shutil.which("sudo"):
        raise LabError("packages and dom0's image are made with root's rights: run ./lab as root, or install "
                       "sudo")
    return ["sudo", *argv]


def missing(packages):
    known = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
                           capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    return [name for name in packages if name not in installed]


def debian_sources():
    """The machine's own apt entries of Debian 12: a list of (uri, suite, signed-by or '')."""
    etc = Path("/etc/apt")
    entries = []
    for file in sorted([etc / "sources.list", *(etc / "sources.list.d").glob("*")]):
        if file.suffix == ".sources":
            entries += _deb822(file)
        elif file.suffix == ".list" and file.is_file():
            entries += _one_line(file)
    ours = [e for e in entries if re.match(r"bookworm(-updates|-security|-backports)?$", e[1])]
    if not any(suite == "bookworm" for _, suite, _ in ours):
        raise LabError("no entry for Debian 12 (bookworm) main in /etc/apt/sources.list or "
                       "/etc/apt/sources.list.d: the lab's host and dom0 are Debian 12")
    return list(dict.fromkeys(ours))


def _deb822(file):
    for stanza in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
        text = "\n".join(l for l in stanza.splitlines() if not l.startswith("#"))
        fields = {k.lower(): " ".join(v.split())
                  for k, v in re.findall(r"^(\S+):((?:.*)(?:\n[ \t].*)*)", text, re.M)}
        if ("deb" not in fields.get("types", "").split() or fields.get("enabled") == "no"
                or "main" not in fields.get("components", "").split()):
            continue
        signed = fields.get("signed-by", "")
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, signed if signed.startswith("/") else ""


def _one_line(file):
    for line in file.read_text(encoding="utf-8").splitlines():
        found = re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if found and "main" in found[4].split():
            signed = re.search(r"signed-by=(/\S+)", found[1] or "")
            yield found[2], found[3], signed[1] if signed else ""


def source_text(entries, kind="deb"):
    """apt's deb822 text for entries as debian_sources() gives them; of source packages with deb-src."""
    return "\n".join(f"Types: {kind}\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
                     + (f"Signed-By: {signed}\n" if signed else "") for uri, suite, signed in entries)


def fetch_options():
    """The machine's apt settings that decide whether a download works (proxies, certificates)."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False)
    wanted = re.compile(r'Acquire::(https?|Check|Retries|ForceIPv)\S* "[^"]+";')
    return [line for line in dump.stdout.splitlines() if wanted.match(line)]


def require(packages, purpose):
    """Install those of `packages` that are missing."""
    if not shutil.which("apt-get"):
        raise LabError("the lab runs on Debian 12: this machine has no apt-get")
    names = missing(packages)
    if not names:
        return
    privileged([])
    require_space(Path("/var"), 2, "installing packages", advice="make room")
    note(f"{purpose} needs {', '.join(names)}")
    newer = [n for n in names if n.startswith("qemu-")]
    others = [n for n in names if n not in newer]
    with _private_apt(bool(newer)) as (options, backports):
        if others:
            _apt(f"install {len(others)} packages", options, "install", "-y", *others)
        if newer:
            release = ["-t", "bookworm-backports"] if backports else []
            _apt("install QEMU", options, "install", "-y", *release, *newer)


@contextmanager
def _private_apt(backports):
    """apt options for this one call: the machine's entries of Debian 12, and with `backports` that suite if
    the mirror has it. The machine's own settings stay as they are."""
    entries = [e for e in debian_sources() if not e[1].endswith("-backports")]
    uri, _, signed = next(e for e in entries if e[1] == "bookworm")
    with tempfile.TemporaryDirectory(prefix="duet-apt-", ignore_cleanup_errors=True) as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "parts").mkdir()
        (top / "lists/partial").mkdir(parents=True)
        sources = top / "parts/lab.sources"
        options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={top}/parts",
                   "-o", f"Dir::State::lists={top}/lists", "-o", "APT::Sandbox::User=root",
                   "-o", "APT::Install-Recommends=false", "-o", "APT::Update::Error-Mode=any"]
        try:
            sources.write_text(source_text(entries), encoding="utf-8")
            _apt("read the package lists", options, "update")
            if backports:
                sources.write_text(source_text([*entries, (uri, "bookworm-backports", signed)]),
                                   encoding="utf-8")
                backports = _has_backports(options)
                if not backports:
                    sources.write_text(source_text(entries), encoding="utf-8")
                    _apt("read the package lists", options, "update")
            yield options, backports
        finally:
            subprocess.run(privileged(["rm", "-rf", str(top / "lists")]), check=False)


@contextmanager
def source_packages(folder, backports=False):
    """A function that gives the start of an apt command line (`apt("apt-get")`) for the source packages of
    Debian 12, and with `backports` for those of its backports alone. What apt needs is kept in `folder` for as long."""
    top = folder / "apt"
    (top / "lists/partial").mkdir(parents=True)
    (top / "parts").mkdir()
    entries = [e for e in debian_sources() if not e[1].endswith("-backports")]
    if backports:
        entries = [(uri, "bookworm-backports", signed) for uri, suite, signed in entries if suite == "bookworm"]
    (top / "parts/lab.sources").write_text(source_text(entries, "deb-src"), encoding="utf-8")
    options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={top}/parts",
               "-o", f"Dir::State::lists={top}/lists", "-o", f"Dir::Cache={top}",
               "-o", "APT::Sandbox::User=root"]
    run_logged("read the lists of source packages", ["apt-get", "-q", *options, "update"],
               paths.BUILD / "log/apt-source.log", explain=offline)
    try:
        yield lambda program: [program, *options]
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _has_backports(options):
    try:
        _apt("read the package lists of backports", options, "update")
        return True
    except LabError:
        note("bookworm-backports is not to be had: QEMU will be Debian 12's own")
        return False


def _apt(text, options, command, *words):
    run_logged(text, privileged(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", *options,
                                 command, *words]), paths.BUILD / f"log/apt-{command}.log", explain=offline)


def offline(log):
    """One sentence when a log shows that a download failed for want of a network, else None."""
    found = re.search(r"Temporary failure resolving '?([^'\s]*)|Could not resolve '?([^'\s]*)|"
                      r"(Network is unreachable)|(Could not connect to \S+)|(Unable to connect to \S+)", log)
    if not found:
        return None
    return ("this machine cannot reach its Debian mirror "
            f"({next(g for g in found.groups() if g)}): the lab downloads its packages once")


def require_space(folder, gigabytes, purpose,
                  advice="make room, or set DUET_CACHE to a folder on a larger disk"):
    """LabError unless `folder` (made if need be) has that much room."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 2**30
    if free < gigabytes:
        raise LabError(f"{purpose} needs {gigabytes} GiB free in {folder}, there are {free:.1f}: "
                       + advice)


@contextmanager
def locked(file, waiting):
    """Hold an exclusive lock; says `waiting` when somebody else has it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
