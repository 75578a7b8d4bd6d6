"""`./lab test` and `./lab bench`."""
import os
import subprocess

from . import build, host, labs, paths
from .say import LabError, note

BUILD_DIR = paths.BUILD / "asan"


def test(name, hardware, options):
    """Build, run the tests that ctest's `options` select, those of the lab in a fresh one; exit status."""
    host.require({**host.LAB_PACKAGES, **host.BUILD_PACKAGES}, "the test suite")
    build.build("release")
    build.build("asan")
    ctest = ["ctest", "--test-dir", str(BUILD_DIR), "--output-on-failure", "--no-tests=error", *options]
    listing = subprocess.run([*ctest, "-N"], capture_output=True, text=True, check=False).stdout
    lab = labs.Lab(name, hardware)
    try:
        if ": lab." in listing:
            lab.down()
            build.deploy(lab.up())
        environment = {**os.environ, "DUET_LAB": name}
        return subprocess.run(ctest, env=environment, check=False).returncode
    finally:
        lab.release(keep=False)


def bench(name, wanted, soak):
    """Run benchmarks (or, with `soak`, endurance runs), all or those named, in the lab that is up; exit
    status of the worst."""
    folder = paths.ROOT / ("tests/bench/soak" if soak else "tests/bench")
    known = {script.stem: script for script in sorted(folder.glob("*.sh"))}
    unknown = [w for w in wanted if w not in known]
    if unknown:
        raise LabError(f"there is no benchmark '{unknown[0]}'; there are: {' '.join(known)}")
    status = 0
    for stem in wanted or known:
        note(f"benchmark {stem}")
        limit = "10800" if soak else "1800"
        done = subprocess.run([paths.ROOT / "tests/lab/run", known[stem], limit], check=False,
                              env={**os.environ, "DUET_LAB": name})
        status = max(status, done.returncode)
    return status
