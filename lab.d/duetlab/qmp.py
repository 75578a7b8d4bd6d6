"""A small client of QEMU's machine protocol over its unix socket."""
import json
import os
import socket

from .say import LabError


class Qmp:
    def __init__(self, folder, timeout=60):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        # Through /proc, because a unix socket's path is limited to 107 bytes and a clone's is not.
        handle = os.open(folder, os.O_PATH)
        try:
            self._socket.connect(f"/proc/self/fd/{handle}/qmp.sock")
        finally:
            os.close(handle)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._events = []
        self._read()
        self.run("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self._socket.close()

    def _read(self):
        line = self._lines.readline()
        if not line:
            raise LabError("QEMU closed its control socket")
        return json.loads(line)

    def run(self, command, **arguments):
        """Run a command; its return value, or LabError with QEMU's own words."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            self._events.append(answer)

    def monitor(self, line):
        return self.run("human-monitor-command", **{"command-line": line})

    def migration(self):
        """Wait for the migration under way; LabError unless it completes."""
        while True:
            event = self._events.pop(0) if self._events else self._read()
            status = event.get("data", {}).get("status")
            if event.get("event") == "MIGRATION" and status == "completed":
                return
            if event.get("event") == "MIGRATION" and status in ("failed", "cancelled"):
                raise LabError(f"QEMU's migration {status}")
