"""Types stdin's lines at the prompt of our guest's shell, and shows what the guest answers."""
import os
import sys

PROMPT = b"duet# "


def type_lines(process, seen, last, doomed=None):
    """Show what `process` writes to its pipe, and type each line of stdin when the prompt is there. After the
    last one's output `last()` is called, which says whether to go on showing. `seen` is what was
    seen before. True if the output has come to its end, or to what `doomed` matches."""
    typing = True
    while data := os.read(process.stdout.fileno(), 65536):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        seen += data
        if doomed and doomed.search(seen):
            break
        # What precedes the first newline is the line's own echo, with prompts that editing redraws.
        if typing and PROMPT in seen.partition(b"\n")[2]:
            line = sys.stdin.buffer.readline()
            if line:
                seen = type_line(process, line.rstrip(b"\r\n"))
            else:
                typing = False
                if not last():
                    return False
    return True


def type_line(process, line):
    """Send a line; what has been seen of its output, nothing."""
    process.stdin.write(line + b"\r")
    process.stdin.flush()
    return b""
