"""Plays somebody at a guest's console through `xl console`. usage: typist.py DOMAIN"""
import os
import pty
import re
import select
import sys
import time

FACTOR = int(os.environ.get("DUET_FACTOR", "100")) / 100  # of all seconds here
PROMPT = "duet# "


class Console:
    def __init__(self, domain):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp("xl", ["xl", "console", domain])

    def comes(self, text, seconds):
        """Read until TEXT has come; whether it has, in so long."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return False
            self.seen += os.read(self.fd, 4096).decode(errors="replace")
        return True

    def wait(self, text, seconds=30):
        """Read until TEXT has come; returns what came before it."""
        if not self.comes(text, seconds * FACTOR):
            sys.exit(f"typist: no {text!r} within {seconds} s, times {FACTOR}; there was {self.seen!r}")
        before, self.seen = self.seen.split(text, 1)
        return before

    def interrupt(self, text):
        """Type ^C until TEXT has come; the shell drops one that comes before the command has begun."""
        end = time.monotonic() + 30 * FACTOR
        self.type("\x03")
        while not self.comes(text, 1) and time.monotonic() < end:
            self.type("\x03")
        return self.wait(text)

    def begin(self, word):
        """Have the guest say a word, and read all that came before it, up to the prompt after it."""
        self.type(f"echo {word}-''here\r")
        self.wait(f"{word}-here\r\n")
        self.wait(PROMPT)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def command(self, keys, seconds=30):
        """Type a line; returns what the guest wrote until its next prompt, without the line's echo."""
        self.type(keys + "\r")
        self.wait("\r\n", seconds)
        return self.wait(PROMPT, seconds).replace("\r\n", "\n")


def expect(what, pattern, found):
    if not re.fullmatch(pattern, found, re.DOTALL):
        sys.exit(f"typist: {what}: expected {pattern!r}, found {found!r}")
    print(f"typist: {what}: fine")


def main():
    console = Console(sys.argv[1])
    # What the daemon remembers of the console comes first: only a word that is typed now counts.
    console.begin("begin")

    expect("a command", "hello\n", console.command("echo hello"))
    expect("words in quotes, two commands", "a  b\nc;d\n", console.command("echo 'a  b'; echo \"c;d\""))
    expect("left and insert", "hello\n", console.command("echo helo\x1b[Dl"))
    expect("home, end, delete", "ab\n", console.command("cho xa\x1b[He\x1b[F\x1b[D\x1b[D\x1b[3~\x1b[Fb"))
    expect("^A ^E ^K", "xy\n", console.command("cho xyz\x01e\x05\x02\x0b"))
    expect("backspace, ^W, ^U", "kept\n", console.command("junk\x15echo keptx\x7f gone\x17"))
    expect("up", "kept\n", console.command("\x1b[A"))
    expect("up, up, down", "kept\n", console.command("\x1b[A\x1b[A\x1b[B"))
    expect("a command's completion", "up 0 days .*", console.command("upt\t"))
    expect("a disk's completion", "00000000  00 00.*", console.command("hexdump xv\t 0 16"))
    expect("a path's completion", "51712\n", console.command("xs read device/vbd/51\t/virt\t"))

    console.type("xs read device/vbd/51712/\t")
    listed = console.wait("virtual-device")
    expect("what a path could be", r".*backend .*backend-id .*", listed + "virtual-device")
    console.type("\x03")
    console.wait("^C\r\n")
    expect("^C on the line", "", console.wait(PROMPT))

    expect("an unknown command", "nonsense: no such command; `help` lists them\n", console.command("nonsense"))
    expect("wrong words", "usage: date\n", console.command("date now"))
    expect("an unknown disk", "sha256: xvdz: no such disk; `lsdev` lists them\n", console.command("sha256 xvdz"))
    expect("help", r"usage: dd if=.*copy to a disk.*pattern:7.*", console.command("help dd"))
    expect("a quote left open", "a quote is not closed\n", console.command("echo 'x"))

    console.type("dd if=zero of=xvda\r")
    console.wait("MiB/s", 60)
    console.type("\x03")
    expect("progress, and ^C on a long command", r".*bytes copied in .*dd: interrupted\r\n", console.wait(PROMPT))
    console.type("sleep 1000\r")
    console.wait("\n")
    expect("^C on a sleeping command", r".*sleep: ", console.interrupt("interrupted\r\n"))
    console.begin("again")  # there may have been one ^C too many
    expect("after ^C", "still here\n", console.command("echo still here"))

    console.type("poweroff\r")
    console.wait("Power off.")


main()
