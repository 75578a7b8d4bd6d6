"""The command line: one function per sub-command, in the order of `./lab --help`."""
import argparse
import os
import shlex
import shutil
import sys

from . import labs, machine, paths
from .say import LabError, note

ABOUT = """\
A real Xen host in QEMU: the unmodified Xen 4.17, a Debian dom0 with systemd, and Duet on it.

A lab brought up by `up`, `deploy`, `exec`, `put`, `get`, `console` or `shell` stays up until `down`. If such
a command is interrupted while it brings the lab up, nothing is left.
"""


def hardware(args):
    return machine.Machine(cpus=args.cpus, memory=args.memory)


def with_lab(args, work):
    """Bring the lab up, do `work(dom0)`, leave the lab up unless we are interrupted."""
    lab = labs.Lab(args.name, hardware(args))
    try:
        status = work(lab.up())
    except BaseException:
        lab.release(keep=False)
        raise
    lab.release(keep=True)
    return status or 0


def do_up(args):
    status = with_lab(args, lambda dom0: 0)
    note(f"lab '{args.name}' is up; serial log: {paths.LABS / args.name / 'serial.log'}")
    return status


def do_down(args):
    names = labs.names() if args.all else [args.name]
    for name in names:
        if labs.Lab(name).down():
            note(f"lab '{name}' is down")
        elif not args.all:
            note(f"lab '{name}' was not up")
    return 0


def do_exec(args):
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise LabError("exec: which command? ./lab exec [--timeout S] -- CMD...")
    command = words[0] if len(words) == 1 else shlex.join(words)
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    return with_lab(args, lambda dom0: dom0.execute(command, args.timeout, tty))


def do_put(args):
    for file in args.files:
        if not os.path.exists(file):
            raise LabError(f"put: there is no '{file}'")
    return with_lab(args, lambda dom0: dom0.copy(args.files, args.dest, True))


def do_get(args):
    return with_lab(args, lambda dom0: dom0.copy([args.file], args.dest, False))


def do_console(args):
    command = "exec xl console " + shlex.quote(args.domain)
    return with_lab(args, lambda dom0: dom0.execute(command, tty=sys.stdin.isatty()))


def do_shell(args):
    return with_lab(args, lambda dom0: dom0.execute("exec bash -l", tty=sys.stdin.isatty()))


def do_clean(args):
    do_down(argparse.Namespace(all=True, name=None))
    shutil.rmtree(paths.BUILD, ignore_errors=True)
    if args.cache:
        shutil.rmtree(paths.cache(), ignore_errors=True)
    return 0


def parser():
    top = argparse.ArgumentParser(prog="lab", description=ABOUT,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="sub", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=os.environ.get("DUET_LAB", "main"),
                        help="which lab (default: $DUET_LAB, or 'main'); several run side by side")
    shape = argparse.ArgumentParser(add_help=False, parents=[common])
    shape.add_argument("--cpus", type=int, default=int(os.environ.get("DUET_LAB_CPUS", "2")),
                       help="processors of the machine and of dom0 (default: $DUET_LAB_CPUS, or 2)")
    shape.add_argument("--memory", type=int, default=int(os.environ.get("DUET_LAB_MEMORY", "5120")),
                       help="the machine's memory in MiB (default: $DUET_LAB_MEMORY, or 5120)")

    def add(name, function, summary, parent=shape, more=""):
        sub = commands.add_parser(name, help=summary, description=f"{summary}. {more}".strip(),
                                  parents=[parent])
        sub.set_defaults(function=function)
        return sub

    add("up", do_up, "boot the Xen host")
    sub = add("down", do_down, "power the Xen host off", common)
    sub.add_argument("--all", action="store_true", help="every lab of this tree")
    sub = add("exec", do_exec, "run a command in dom0 as root", more=(
        "stdin, stdout, stderr and the exit status pass through. Several words are one command with its "
        "arguments as they are; a single word is a line for dom0's shell."))
    sub.add_argument("--timeout", type=float, metavar="S", help="seconds; then exit status 124")
    sub.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD")
    sub = add("put", do_put, "copy files and folders to dom0")
    sub.add_argument("files", nargs="+", metavar="FILE")
    sub.add_argument("dest", metavar="DEST", help="path in dom0")
    sub = add("get", do_get, "copy a file or folder from dom0")
    sub.add_argument("file", metavar="FILE", help="path in dom0")
    sub.add_argument("dest", metavar="DEST")
    sub = add("console", do_console, "attach to a guest's console (leave it with Ctrl-])")
    sub.add_argument("domain", metavar="DOMAIN")
    add("shell", do_shell, "a root shell in dom0")
    sub = add("clean", do_clean, "take all labs of this tree down and remove build/", common)
    sub.add_argument("--cache", action="store_true",
                     help="also the images and snapshots that all clones share")
    return top


def main(argv):
    args = parser().parse_args(argv)
    try:
        return args.function(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
