"""The command line: one function per sub-command, in the order of `./lab --help`."""
import argparse
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

from . import as_dom0, build, conformance, host, labs, machine, pair, paths, ruler, session, suite
from .say import LabError, note

ABOUT = """\
A real Xen host in QEMU: the unmodified Xen 4.17, a Debian dom0 with systemd, and Duet on it.

A lab that up, deploy, exec, put, get, console or shell brings up stays up until `./lab down`; one that
run, test or bench brings up ends with the command. An interrupted command leaves nothing that it started.
"""


def hardware(args):
    plugin = ruler.plugin() if getattr(args, "exact", False) else None
    return machine.Machine(cpus=args.cpus, memory=args.memory, ruler=plugin)


def with_lab(args, work, keep=True, strict=False):
    """Bring the lab up, with Duet on it if it was not up; do `work(dom0)`, which returns an exit status.
    With `keep` the lab stays up afterwards, unless we are interrupted. With `strict` dom0 is brought up
    to date in any case; without, a tree that does not build is no hindrance. With --two-hosts all this is
    done with both, and `work` is for the first."""
    two = getattr(args, "two_hosts", False)
    hosts = pair.make(args.name, args.cpus, args.memory) if two else [labs.Lab(args.name, hardware(args))]
    if strict:
        build.build("release")
    try:
        dom0s = pair.up(hosts) if two else [hosts[0].up()]
        for lab, dom0 in zip(hosts, dom0s):
            if strict:
                build.deploy(dom0)
            elif lab.started and not args.bare:
                install(dom0)
        status = work(dom0s[0])
    except BaseException:
        for lab in hosts:
            lab.release(keep=False)
        raise
    for lab in hosts:
        lab.release(keep)
    return status or 0


def install(dom0):
    """Put Duet into a lab that has just come up, if the tree builds."""
    try:
        build.build("release")
        build.deploy(dom0)
    except LabError as error:
        note(f"going on without Duet in dom0: {error}")


def do_run(args):
    host.require({**host.LAB_PACKAGES, **host.BUILD_PACKAGES}, "the lab")
    disk = pair.SHARED_DISK if args.two_hosts else None
    return with_lab(args, lambda dom0: session.run(dom0, sys.stdin.isatty(), disk, args.driver_domain), keep=False, strict=True)


def do_dom0(args):
    return as_dom0.run(args.memory, args.cpus, args.run, args.timeout, args.log)


def do_test(args):
    return suite.test(args.name, hardware(args), args.ctest, args)


def do_bench(args):
    if args.compare:
        return ruler.compare(args.compare, args.benchmarks)
    if args.exact and (args.two_hosts or args.soak or args.repeat < 1):
        raise LabError("bench: --exact is about one host, not for --soak, and at least once")
    if not args.exact and (args.keep or args.busy or args.profile or args.repeat != 1):
        raise LabError("bench: --keep, --profile, --repeat and --busy are for --exact")
    if args.keep and args.profile:
        raise LabError("bench: --keep without --profile, which takes longer and so has other things happen meanwhile")
    if args.exact:
        os.environ["DUET_LAB_ACCEL"] = "tcg"  # it is the emulator that counts
        with suite.one_core_busy(args.busy):
            return with_lab(args, lambda dom0: ruler.bench(dom0, args.name, args.benchmarks, args.repeat, args.keep,
                                                                args.profile),
                            keep=False, strict=not args.bare)
    return with_lab(args, lambda dom0: suite.bench(args.name, args.benchmarks, args.soak), keep=False, strict=True)


def do_conformance(args):
    return with_lab(args, lambda dom0: conformance.run(dom0, args), keep=False, strict=True)


def do_up(args):
    status = with_lab(args, lambda dom0: 0)
    note(f"lab '{args.name}' is up; serial log: {paths.LABS / args.name / 'serial.log'}")
    return status


def do_deploy(args):
    return with_lab(args, lambda dom0: 0, strict=True)


def do_packages(args):
    for package in build.packages():
        print(package.relative_to(paths.ROOT))
    return 0


def do_down(args):
    names = labs.names() if args.all else [args.name, *partner(args.name)]
    for name in names:
        if labs.Lab(name).down():
            note(f"lab '{name}' is down")
        elif not args.all:
            note(f"lab '{name}' was not up")
    return 0


def do_reboot(args):
    lab = labs.Lab(args.name)
    lab.reboot(args.patience)
    lab.release(keep=True)
    return 0


def partner(name):
    """The other host's lab, if this one is one of two: neither is of use without the other."""
    lab = labs.Lab(name)
    return [p for p in [lab.facts().get("partner")] if p] if lab.is_up() else []


def do_exec(args):
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise LabError("exec: which command? ./lab exec [--timeout S] -- CMD...")
    command = words[0] if len(words) == 1 else "exec " + shlex.join(words)
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


def two_hosts(sub):
    sub.add_argument("--two-hosts", action="store_true", help="two labs, NAME and NAME-b, with a network between "
                     f"them and a disk that both have, {pair.SHARED_DISK}: guests migrate from one to the other")


def parser():
    top = argparse.ArgumentParser(prog="lab", description=ABOUT,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="sub", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", help="which lab, several run side by side "
                        "(default: $DUET_LAB, or 'main'; 'test' and 'bench' for these two)")
    shape = argparse.ArgumentParser(add_help=False, parents=[common])
    shape.add_argument("--cpus", type=int, help="processors of the machine and of dom0 (default: $DUET_LAB_CPUS, or 2; "
                       "1 for bench --exact)")
    shape.add_argument("--memory", type=int, default=int(os.environ.get("DUET_LAB_MEMORY", "5120")),
                       help="the machine's memory in MiB (default: $DUET_LAB_MEMORY, or 5120)")

    shape.add_argument("--bare", action="store_true",
                       help="when this brings the lab up: leave dom0 without Duet")

    def add(command, function, summary, parent=shape, name=None, more=""):
        sub = commands.add_parser(command, help=summary, description=f"{summary}. {more}".strip(),
                                  parents=[parent])
        sub.set_defaults(function=function, default_name=name or os.environ.get("DUET_LAB", "main"))
        return sub

    sub = add("run", do_run, "build, boot the Xen host with Duet on it, boot our guest, end at its prompt", more=(
        "Leave the console with Ctrl-]. If stdin is not a terminal, its lines are typed at the guest's "
        "prompt one after the other. With --two-hosts the guest's disk is the one that both share: from "
        "another terminal, ./lab exec -- xl migrate duet host-b moves it, and ./lab console --name NAME-b duet "
        "follows. With --driver-domain the guest has disk and network from another domain than dom0, which dom0 builds "
        "of its own files; who serves whom is shown first."))
    more = sub.add_mutually_exclusive_group()
    two_hosts(more)
    more.add_argument("--driver-domain", action="store_true", help="a driver domain serves the guest's disk and network")
    sub = add("dom0", do_dom0, "build, boot Xen with our guest kernel as its dom0", common, more=(
        "The serial line is on stdin and stdout. On a terminal Ctrl-] x pulls the plug. If stdin is not a "
        "terminal, its lines are typed at the guest's prompt one after the other, and then the power button "
        "is pressed. Exit status 0 if the machine was turned off by its dom0, 124 after a timeout."))
    sub.add_argument("--cpus", type=int, default=2, help="processors of the machine and of dom0 (default: 2)")
    sub.add_argument("--memory", type=int, default=128, help="dom0's memory in MiB (default: 128)")
    sub.add_argument("--run", default="", metavar="COMMANDS", help="for the guest's shell, before its prompt")
    sub.add_argument("--timeout", type=float, metavar="S", help="seconds; then exit status 124")
    sub.add_argument("--log", type=Path, default=as_dom0.LOG, metavar="FILE",
                     help=f"what came over the serial line (default: {as_dom0.LOG.relative_to(paths.ROOT)})")
    sub = add("test", do_test, "build and run every test", name="test", more=(
        "Unit tests with sanitizers, checks of the source and fuzz targets, beside them the tests in fresh labs, "
        "NAME with several processors, NAME-1 and so on with one; ends with ctest's summary. All limits are multiplied "
        "by one factor, measured before and printed. Options that are not named here are ctest's, above all -R REGEX, -E REGEX, -N."))
    sub.add_argument("--quick", action="store_true",
                     help="the tests for the desk, in at most ten minutes: all but the long ones of the lab")
    sub.add_argument("--long", action="store_true",
                     help="with those that take long and need not run each time, and all of them in their long forms")
    sub.add_argument("--labs", type=int, metavar="N", help="labs with one processor (default: as many as cores and memory "
                     "bear)")
    sub.add_argument("--repeat", type=int, default=1, metavar="N",
                     help="the selected tests N times, then a table: passed, failed, times")
    sub.add_argument("--busy", action="store_true", help="keep one core busy with something else meanwhile")
    sub = add("bench", do_bench, "measure, ours beside the peers'", name="bench")
    sub.add_argument("benchmarks", nargs="*", metavar="NAME", help="of tests/bench/NAME.sh (default: all)")
    two_hosts(sub)
    sub.add_argument("--soak", action="store_true", help="endurance runs: NAMEs are of tests/bench/soak")
    sub.add_argument("--exact", action="store_true", help="count instructions instead of time: NAMEs are of tests/bench/exact; "
                     "what comes out is in build/bench")
    sub.add_argument("--keep", action="store_true", help="with --exact: in docs/bench as well, to be committed")
    sub.add_argument("--profile", action="store_true", help="with --exact: by functions of Xen and Linux as well, which takes "
                     "several times as long")
    sub.add_argument("--repeat", type=int, default=1, metavar="N", help="with --exact: N times, then the spread")
    sub.add_argument("--busy", action="store_true", help="with --exact: keep one core busy with something else meanwhile")
    sub.add_argument("--compare", metavar="REV", help="run nothing, say what moved since that revision's "
                     "docs/bench")
    sub = add("conformance", do_conformance, "try the rules of device protocols on back ends and front ends, ours and the peers'",
              name="conformance", more=("A guest breaks each rule on purpose, and a table tells which back end keeps which: Duet's "
              "daemons, Linux' xen-blkback and xen-netback, QEMU's qdisk. Then a back end breaks them, before our guest's front ends "
              "and Linux'. docs/conformance.md explains the rules. Exit status 1 if Duet breaks one."))
    conformance.options(sub)
    two_hosts(add("up", do_up, "boot the Xen host and install Duet in dom0"))
    sub = add("deploy", do_deploy, "build and bring dom0 up to date with the tree", more=(
        "Only changed files are sent; services whose files changed are restarted."))
    two_hosts(sub)
    add("packages", do_packages, "build the Debian packages; prints where they are", common)
    sub = add("down", do_down, "power the Xen host off", common)
    sub.add_argument("--all", action="store_true", help="every lab of this tree")
    sub = add("reboot", do_reboot, "have dom0 power off in good order, and boot it from its disk", common, more=(
        "Everything else starts dom0 from memory, as it was when it had just booted; this is the one way to see it boot."))
    sub.add_argument("--patience", type=float, default=600, metavar="S", help="seconds that it has to power off (default: 600)")
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


def interrupt(*_):
    """SIGTERM and SIGHUP end us as Ctrl-C does (which a script may have ignored): what we started ends too."""
    raise KeyboardInterrupt


def main(argv):
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    args, args.ctest = parser().parse_known_args(argv)
    if args.ctest and args.function is not do_test:
        parser().error(f"{args.sub} has no option {args.ctest[0]}")
    args.name = args.name or args.default_name
    if getattr(args, "cpus", 0) is None:
        args.cpus = 1 if getattr(args, "exact", False) else int(os.environ.get("DUET_LAB_CPUS", "2"))
    try:
        return args.function(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
