"""How slow this machine is: one factor by which every limit of the tests is multiplied.

The limits are written for one machine, and a quiet one. A test that waits a minute for what takes a second there must
not fail where the same takes two minutes, because the machine is slower, runs two labs at once or is busy with something
else. So a fixed amount of work, of the kind that the tests are made of, is timed here and in every lab that they will use,
all at the same time, as the tests will run. The slowest of these times, divided by the time on the reference machine, is
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


def factor(dom0s):
    """In per cent, 100 to MOST: how long the work takes here and in these labs over what it should."""
    with ThreadPoolExecutor() as pool:
        labs = [pool.submit(_dom0_seconds, dom0) for dom0 in dom0s]
        host = pool.submit(_host_seconds)
        ratios = [host.result() / HOST_REFERENCE, *(lab.result() / DOM0_REFERENCE for lab in labs)]
    return min(MOST, max(100, round(100 * max(ratios))))


def _host_seconds():
    begin = time.monotonic()
    for _ in range(HOST_PROCESSES):
        subprocess.run(["true"], check=True)
    return time.monotonic() - begin


def _dom0_seconds(dom0):
    return int(dom0.check(["bash", "-c", DOM0_WORK])) / 1e6
