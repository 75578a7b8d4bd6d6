"""How slow this machine is: one factor by which every limit of the tests is multiplied.

The limits are written for one machine, and a quiet one. A test that waits a minute for what takes a second there must
not fail where the same takes two minutes, because the machine is slower, runs two labs at once or is busy with something
else. So a fixed amount of work, of the kind that the tests are made of, is timed here and in every lab that they will use:
at the same time in those that the tests will use at the same time. The slowest of these times, divided by the time on the reference machine, is
the factor. It is at least one and at most MOST, because limits that a hang takes hours to reach are of no use.
"""
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

# What the work took with one lab on two cores of 2.9 GHz that had nothing else to do, in seconds.
HOST_REFERENCE = 0.20
DOM0_REFERENCE = 1.9
HOST_PROCESSES = 200
MOST = 800  # per cent

# Processes made and questions to the store answered: what shell, xl and the daemons cost, on both of dom0's
# processors. Once to warm up (an emulator translates what it sees first), once timed: prints microseconds.
DOM0_WORK = """
work() {
    for _ in $(seq 30); do
        xenstore-exists /local/domain/0/name
    done
}
work & work & wait
begin=${EPOCHREALTIME/[.,]/}
work & work & wait
echo $((${EPOCHREALTIME/[.,]/} - begin))
"""


def factor(kinds):
    """In per cent, 100 to MOST: how long the work takes here and in these labs over what it should. `kinds` are lists of
    labs, of which those of one list run tests at the same time."""
    ratios = []
    with ThreadPoolExecutor() as pool:
        host = pool.submit(_host_seconds)
        for dom0s in kinds:
            ratios += [seconds / DOM0_REFERENCE for seconds in pool.map(_dom0_seconds, dom0s)]
        ratios.append(host.result() / HOST_REFERENCE)
    return min(MOST, max(100, round(100 * max(ratios))))


def _host_seconds():
    begin = time.monotonic()
    for _ in range(HOST_PROCESSES):
        subprocess.run(["true"], check=True)
    return time.monotonic() - begin


def _dom0_seconds(dom0):
    return int(dom0.check(["bash", "-c", DOM0_WORK])) / 1e6
