"""What the user sees: one line per step with its elapsed time, and errors as one sentence.

All of it goes to stderr, so that `./lab exec` leaves stdout to the command.
"""
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

SHOW_AFTER = 2.0  # seconds: a step that is quicker than this stays silent


class LabError(Exception):
    """Something the user can act on. Its text is printed as it is, without a traceback."""


def note(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


class Step:
    """A running step: a line once it has taken SHOW_AFTER seconds, another when it is done.

    On a terminal the line is redrawn each second together with `detail`, the step's last word.
    """

    def __init__(self, text):
        self.text = text
        self.detail = ""
        self.start = time.monotonic()
        self._done = threading.Event()
        self._live = sys.stderr.isatty()
        self._shown = False
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    def elapsed(self):
        return time.monotonic() - self.start

    def _tick(self):
        if self._done.wait(SHOW_AFTER):
            return
        self._shown = True
        if not self._live:
            note(f"{self.text} ...")
            return
        while True:
            line = f"lab: {self.text} ... {self.elapsed():.0f} s  {self.detail}"
            print(f"\r\033[K{line[:110]}", end="", file=sys.stderr, flush=True)
            if self._done.wait(1.0):
                return

    def finish(self, failed=False):
        self._done.set()
        self._thread.join()
        if self._live and self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        if self._shown or failed:
            note(f"{self.text}: {'failed after ' if failed else ''}{self.elapsed():.1f} s")


@contextmanager
def step(text):
    current = Step(text)
    try:
        yield current
    except BaseException:
        current.finish(failed=True)
        raise
    current.finish()


def run_logged(text, argv, log, explain=None, **kwargs):
    """Run `argv` as the step `text`, its output in the file `log`. If it fails: LabError with what
    `explain` makes of the log's text, or with the log's tail."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with step(text) as current:
        # Should we be killed, the command is not left behind.
        child = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *argv], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors="replace", **kwargs)
        output = _collect(child, log, current)
        if child.returncode != 0:
            reason = explain(output) if explain else None
            tail = "\n".join(output.splitlines()[-25:])
            raise LabError(reason or f"{text} failed (exit status {child.returncode}); log: {log}\n{tail}")


def _collect(child, log, current):
    """The child's whole output, written to `log` on the way; the child has ended when this returns."""
    output = []
    try:
        with open(log, "w", encoding="utf-8") as out:
            for line in child.stdout:
                out.write(line)
                output.append(line)
                current.detail = line.strip()
        child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    return "".join(output)
