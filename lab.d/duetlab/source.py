"""Source packages of Debian 12 that parts of Duet are built from: fetched once, kept in the cache unpacked."""
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from . import host, paths
from .say import LabError, step

PACKAGES = {"dpkg-dev": "unpacks source packages"}


def unpack(name, release, folder):
    """The source of package `name`, newest version of `release` that the mirror has, unpacked below `folder`:
    its version and where it is."""
    host.require(PACKAGES, f"the source of {name}")
    with host.source_packages(folder) as apt:
        listing = subprocess.run([*apt("apt-cache"), "showsrc", name], capture_output=True, text=True, check=False)
        versions = [line.split()[1] for line in listing.stdout.splitlines() if line.startswith("Version: ")]
        with step(f"fetch the source of {name}"):
            for version in sorted((v for v in versions if v.startswith(release)), reverse=True):
                done = subprocess.run([*apt("apt-get"), "-q", "source", f"{name}={version}"], cwd=folder,
                                      capture_output=True, text=True, check=False)
                found = [p for p in folder.glob(f"{name}-*") if p.is_dir()]
                if done.returncode == 0 and found:
                    return version, found[0]
    raise LabError(f"the Debian mirror has no source of {name} {release.rstrip('.')}: "
                   "is 'deb-src' served by the URIs of /etc/apt?")


def ensure(name, release):
    """The folder of the unpacked source, as unpack() finds it; from the cache if it is there."""
    cached = _cached(name, release)
    if not cached:
        with host.locked(paths.cache() / "source.lock", "waiting for another ./lab that fetches a source"):
            cached = _cached(name, release) or _fetch(name, release)
    os.utime(cached)
    return cached


def header(package, source, member):
    """A header that no package installs, as the installed version of `package` has it: the folder of the file `member`
    of its source package `source`. Only the archive that has it is fetched, and only the header is kept."""
    words = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", package], capture_output=True, text=True,
                           check=True).stdout
    folder = paths.cache() / f"header-{source}_{words.partition(':')[2] or words}"
    if not folder.exists():
        with host.locked(paths.cache() / "source.lock", "waiting for another ./lab that fetches a source"):
            if not folder.exists():
                _fetch_member(source, words, member, folder)
    os.utime(folder)
    return folder


def _fetch_member(source, version, member, folder):
    with _part(source) as part:
        with host.source_packages(part, "~bpo" in version) as apt, step(f"fetch the source of {source}"):
            subprocess.run([*apt("apt-get"), "-q", "--download-only", "--tar-only", "source", f"{source}={version}"],
                           cwd=part, capture_output=True, check=False)
        for archive in part.glob(f"{source}_*.orig.tar.*"):
            (part / "out").mkdir()
            subprocess.run(["tar", "-xf", archive, "-C", part / "out", "--wildcards", f"{source}-*/{member}",
                            f"--strip-components={1 + member.count('/')}"], check=True)
            (part / "out").rename(folder)
            return
        raise LabError(f"the Debian mirror has no source of {source} {version}, whose {member} is needed: "
                       "is 'deb-src' served by the URIs of /etc/apt?")


def _cached(name, release):
    found = sorted(p for p in paths.cache().glob(f"source-{name}_{release}*") if p.suffix != ".part")
    return found[-1] if found else None


def _fetch(name, release):
    with _part(name) as part:
        version, tree = unpack(name, release, part)
        return Path(shutil.move(tree, paths.cache() / f"source-{name}_{version}"))


@contextmanager
def _part(name):
    """An empty folder of the cache to fetch a source into; gone in the end, with what is left in it."""
    part = paths.cache() / f"source-{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
