"""The channel to dom0: ssh over one connection that stays open, so that a command costs little."""
import os
import shlex
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

from .say import LabError

SSH_TIMEOUT = 60 * max(100, int(os.environ.get("DUET_FACTOR", "100"))) / 100  # seconds for the first connection
GRACE = 20        # seconds to end a command that timed out or was interrupted

# Ends all processes with MARK in their environment: SIGTERM, and two seconds later SIGKILL.
KILL_MARKED = """
marked() { grep -lz '^MARK$' /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3; }
marked | xargs -r kill
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "$(marked)" ] || exit 0
    sleep 0.2
done
marked | xargs -r kill -9
"""


class Dom0:
    """`folder` is the lab's state folder, `port` and `image` are what machine.start() wrote there."""

    def __init__(self, folder, port, image):
        self.folder = folder
        self._options = [
            "-F", "/dev/null", "-S", "ssh.sock", "-p", str(port), "-l", "root", "-i", f"{image}/id_ed25519",
            "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR",
            "-o", "HostKeyAlias=duet-dom0", "-o", f"UserKnownHostsFile={image}/known_hosts",
            "-o", "StrictHostKeyChecking=yes",
        ]

    def connect(self):
        """Open the shared connection if it is not open, and set dom0's clock with the first command."""
        if self._connected():
            return
        deadline = time.monotonic() + SSH_TIMEOUT
        with open(self.folder / "ssh.log", "w", encoding="utf-8") as log:
            while True:
                master = subprocess.run(
                    ["ssh", *self._options, "-M", "-f", "-N", "-o", "ConnectTimeout=20", "127.0.0.1"],
                    cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
                if master.returncode == 0:
                    break
                if time.monotonic() > deadline:
                    raise LabError(f"dom0 does not answer; see {log.name} and {self.folder}/serial.log")
                time.sleep(0.2)
        self.check(["date", "-s", f"@{time.time():.2f}"])

    def _connected(self):
        return subprocess.run(["ssh", *self._options, "-O", "check", "127.0.0.1"], cwd=self.folder,
                              capture_output=True, check=False).returncode == 0

    def argv(self, command, tty=False):
        """The ssh command line that runs `command` (one string for dom0's shell) in dom0."""
        return ["ssh", *self._options, *(["-tt", "-e", "none"] if tty else []), "127.0.0.1", command]

    def check(self, command, **kwargs):
        """Run a list of words in dom0; its output, or LabError."""
        done = subprocess.run(self.argv(shlex.join(command)), cwd=self.folder, capture_output=True,
                              stdin=kwargs.pop("stdin", subprocess.DEVNULL), check=False, **kwargs)
        if done.returncode != 0:
            message = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise LabError(f"in dom0, '{shlex.join(command)}' failed (exit status {done.returncode}): "
                           f"{message}")
        return done.stdout.decode(errors="replace")

    def execute(self, command, timeout=None, tty=False):
        """Run a command with this process's stdin, stdout and stderr; its exit status, 124 on timeout. If we
        are interrupted, so is the command."""
        if tty:
            return self._foreground(command)
        with self.running(command) as child:
            try:
                return child.wait(timeout)
            except subprocess.TimeoutExpired:
                return 124

    @contextmanager
    def running(self, command, tty=False, **streams):
        """A command under way in dom0, as the Popen of its ssh. Whatever of it is alive when the block is
        left is ended, in dom0 too.

        sshd does not tell a command without a terminal that its client has gone. So that we can end it,
        it and its children carry a mark in their environment (and not in ps, where pgrep -f would see it).
        """
        mark = f"LAB_EXEC={uuid.uuid4().hex}"
        child = subprocess.Popen(self.argv(f"export {mark}; {command}", tty), cwd=self.folder,
                                 **streams)
        finished = False
        try:
            yield child
            finished = child.poll() is not None
        finally:
            if not finished:
                subprocess.run(self.argv(KILL_MARKED.replace("MARK", mark)), cwd=self.folder, check=False,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=GRACE)
                child.terminate()
                child.wait()

    def _foreground(self, command):
        """The same on a terminal, where Ctrl-C is the command's."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        child = subprocess.Popen(self.argv(command, tty=True), cwd=self.folder)
        try:
            return child.wait()
        finally:
            signal.signal(signal.SIGINT, previous)
            if child.poll() is None:
                child.terminate()
                child.wait()

    def copy(self, sources, target, to_dom0):
        """scp to or from dom0, folders with what they hold."""
        mark = "127.0.0.1:"
        if to_dom0:
            sources, target = [str(Path(s).resolve()) for s in sources], mark + target
        else:
            sources, target = [mark + s for s in sources], os.path.abspath(target)
        options = [o if o != "-p" else "-P" for o in self._options]
        where = options.index("-S")
        options[where:where + 2] = ["-o", "ControlPath=ssh.sock"]
        where = options.index("-l")
        options[where:where + 2] = ["-o", "User=root"]
        return subprocess.run(["scp", "-r", "-p", "-q", *options, *sources, target], cwd=self.folder,
                              check=False).returncode
