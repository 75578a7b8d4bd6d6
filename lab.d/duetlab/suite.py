"""`./lab test` and `./lab bench`.

ctest runs the tests, several at a time. Each lab test takes one of the labs that were brought up for the suite, as a
ctest resource: tests/lab/run learns from ctest which one is free. There are two kinds of lab. Most tests need one
processor, and have it nearly four times as cheaply: an emulator whose processors do not wait for each other wastes none of
their time. So there is a lab with one processor for each of the machine's. What is about several processors has the lab
that has them, and the machine's cores for itself. Beside the labs, with the time that they leave, run the tests that
need none. tests/lab/schedule says how long each lab test takes, which kind it wants, and which ones want the machine to
themselves.
"""
import json
import os
import signal
import statistics
import subprocess
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from . import build, host, labs, machine, pace, paths
from .machine import Machine
from .say import LabError, note

BUILD_DIR = paths.BUILD / "asan"
SPARE_MIB = 4096  # of the machine's memory, for what is not a lab
NICENESS = 10  # of all that runs beside the labs: theirs is 0


def test(name, hardware, options, plan):
    """Build, run the tests that ctest's `options` select, those of the lab in fresh ones; exit status. `plan` has
    `quick`, `long`, `labs` (how many, None: as many as pay), `repeat` (rounds) and `busy`."""
    host.require({**host.LAB_PACKAGES, **host.BUILD_PACKAGES}, "the test suite")
    begin = time.monotonic()
    ctest = ["ctest", "--test-dir", str(BUILD_DIR), "--output-on-failure", "--no-label-summary",
             "--no-tests=error", *options]
    if plan.quick:
        ctest += ["-L", "^quick$"]
    elif not plan.long:
        ctest += ["-LE", "^long$"]
    only_listed = "-N" in options or "--show-only" in options
    build.configure("asan")
    several, single = (0, 0) if only_listed else _wanted(ctest)
    one = Machine(cpus=1, memory=hardware.memory)
    machines = ([one] if single else []) + ([hardware] if several else [])
    with ThreadPoolExecutor() as pool:
        # On a new machine this takes as long as the compiler, and mostly waits.
        snapshots = pool.submit(lambda: [machine.snapshot(each) for each in machines])
        build.build("release")
        build.make("asan")
        snapshots.result()
    if only_listed:
        return subprocess.run(ctest, check=False).returncode
    many = min(single, plan.labs or _labs_that_pay(hardware))
    smp = [labs.Lab(name, hardware)] if several else []
    ones = [labs.Lab(f"{name}-{n + 1}", one) for n in range(many)]
    try:
        with one_core_busy(plan.busy):
            for lab in smp + ones:
                lab.down()
            dom0s = [[lab.up() for lab in kind] for kind in (smp, ones)]
            with ThreadPoolExecutor() as pool:
                list(pool.map(build.deploy, sum(dom0s, [])))
            factor = pace.factor(dom0s)
            note(f"ready after {time.monotonic() - begin:.0f} s: {len(smp + ones)} labs, limits times {factor / 100:.2f}")
            environment = {**os.environ, "DUET_LONG": "yes" if plan.long else "", "DUET_LAB": name, "DUET_FACTOR": str(factor),
                           "DUET_LABS": " ".join(lab.name for lab in ones)}
            # One place more than labs, for what runs beside them.
            ctest[1:1] = ["--parallel", str(max(many + 1, os.cpu_count())), "--resource-spec-file", str(_spec(many))]
            if plan.repeat > 1:
                return _repeated(ctest, plan.repeat, environment)
            return _run(ctest, environment)
    finally:
        for lab in smp + ones:
            lab.release(keep=False)


def _wanted(ctest):
    """How many of the selected tests want the lab with several processors, and how many one with a single one."""
    listing = subprocess.run([*ctest, "--show-only=json-v1"], capture_output=True, text=True, check=False).stdout
    tests = json.loads(listing)["tests"] if listing.startswith("{") else []
    groups = [json.dumps(p["value"]) for each in tests for p in each.get("properties", []) if p["name"] == "RESOURCE_GROUPS"]
    several = sum('"smp"' in group for group in groups)
    return several, len(groups) - several


def _labs_that_pay(hardware):
    """How many labs with one processor: each keeps a core busy, and must find its memory free beside the other lab's."""
    with open("/proc/meminfo", encoding="ascii") as info:
        free = next(int(line.split()[1]) for line in info if line.startswith("MemAvailable:")) // 1024
    return max(1, min(4, os.cpu_count(), (free - SPARE_MIB) // hardware.memory - 1))


def _spec(ones):
    """ctest's file of resources: each lab can take one test, and that with several processors wants two cores."""
    file = BUILD_DIR / "labs.json"
    machine = {"smp": [{"id": "0", "slots": 1}], "cores": [{"id": "0", "slots": max(2, ones)}],
               "labs": [{"id": str(index), "slots": 1} for index in range(ones)]}
    file.write_text(json.dumps({"version": {"major": 1, "minor": 0}, "local": [machine]}), encoding="utf-8")
    return file


def _run(ctest, environment):
    """Run ctest behind the labs, which have been started before; its exit status. In a session of its own: a kernel
    that shares processor time out by sessions looks at a session's niceness first."""
    child = subprocess.Popen(ctest, env=environment, start_new_session=True, preexec_fn=_stand_back)
    try:
        return child.wait()
    except BaseException:
        os.killpg(child.pid, signal.SIGINT)
        child.wait()
        raise


def _stand_back():
    os.nice(NICENESS)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(str(NICENESS), encoding="ascii")


@contextmanager
def one_core_busy(wanted):
    """If `wanted`: a process that does nothing but take a core's time, meanwhile."""
    if not wanted:
        yield
        return
    spinner = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def _repeated(ctest, rounds, environment):
    """Run the tests so often, in the same labs; then a table of how each fared. Exit status 0 if all passed."""
    report = BUILD_DIR / "Testing/round.xml"
    times, failed, status = {}, {}, 0
    for number in range(1, rounds + 1):
        note(f"round {number} of {rounds}")
        report.unlink(missing_ok=True)
        status = _run([*ctest, "--output-junit", str(report)], environment) or status
        if not report.exists():
            break
        for case in xml.parse(report).iter("testcase"):
            times.setdefault(case.get("name"), []).append(float(case.get("time")))
            failed[case.get("name")] = failed.get(case.get("name"), 0) + (case.find("failure") is not None)
    print(f"\n{'test':32} {'passed':>6} {'failed':>6} {'shortest':>9} {'median':>9} {'longest':>9}")
    for name, each in sorted(times.items()):
        print(f"{name:32} {len(each) - failed[name]:6} {failed[name]:6} {min(each):7.1f} s "
              f"{statistics.median(each):7.1f} s {max(each):7.1f} s")
    return status


def benchmarks(folder, wanted):
    """The benchmarks of a folder by name, of which there must be those that are wanted, NAME or NAME:PART."""
    known = {script.stem: script for script in sorted(folder.glob("*.sh"))}
    unknown = [w for w in wanted if w.partition(":")[0] not in known]
    if unknown:
        raise LabError(f"{folder.relative_to(paths.ROOT)} has no benchmark '{unknown[0]}'; there are: {' '.join(known)}")
    return known


def bench(name, wanted, soak):
    """Run benchmarks (or, with `soak`, endurance runs), all or those named, in the lab that is up; exit
    status of the worst."""
    known = benchmarks(paths.ROOT / ("tests/bench/soak" if soak else "tests/bench"), wanted)
    status = 0
    for stem in wanted or known:
        note(f"benchmark {stem}")
        limit = "10800" if soak else "1800"
        done = subprocess.run([paths.ROOT / "tests/lab/run", known[stem], limit], check=False,
                              env={**os.environ, "DUET_LAB": name})
        status = max(status, done.returncode)
    return status
