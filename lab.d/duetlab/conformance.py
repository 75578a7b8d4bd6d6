"""`./lab conformance`: the rules of device protocols, and which back ends and front ends keep them.

tests/lab/conformance/rules.py tries back ends in dom0, one after the other, and frontends.py the front ends of guests; both
tell each result as a line of JSON. Here they become a table. The rules for back ends are the guest's, see docs/conformance.md.
"""
import json
import os
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

from . import paths
from .say import LabError, note

BACKENDS = ("duet", "linux", "qemu")
FRONTENDS = ("duet", "linux")
SCRIPTS = [paths.ROOT / "tests/lab/conformance" / name for name in ("rules.py", "frontends.py", "liar.py")]
THERE = "/run/duet-conformance"
REPORT = paths.BUILD / "log/conformance.json"
SILENCE = 400  # seconds of a quiet machine without a word of dom0, after which it is given up
MARKS = {"kept": "kept", "broken": "BROKEN", "n/a": "-", "untried": "?"}
PAGE = paths.ROOT / "docs/conformance.md"
BEGIN, END = "<!-- ./lab conformance --record{} -->\n", "<!-- end -->\n"
BACK, FRONT = ("block", "net"), ("block-front", "net-front")


def run(dom0, args):
    """Try the rules as the command's options say; exit status 1 if one of ours was broken or could not be tried."""
    dom0.check(["mkdir", "-p", THERE])
    if dom0.copy([str(script) for script in SCRIPTS], THERE, True) != 0:
        raise LabError("conformance: the rules cannot be copied to dom0")
    results = []
    for backend in args.backend or (() if args.frontend else BACKENDS):
        results += _try(dom0, backend, args, ["rules.py", backend, "--seconds", str(args.seconds)])
    for frontend in args.frontend or (() if args.backend else FRONTENDS):
        results += _try(dom0, frontend, args, ["frontends.py", frontend])
    report = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "results": results}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        show(results)
        note(f"each result with its evidence: {args.output}")
    ours = [r for r in results if r["backend"] == "duet"]
    if args.record:
        record(results)
    return int(any("error" in r or r.get("verdict") in ("broken", "untried") for r in ours))


def _try(dom0, backend, args, script):
    """All results of one back end or front end; the last may be an error."""
    words = ["python3", *script, "--rules", args.rules]
    words += ["--device", args.device] if args.device else []
    factor = os.environ.get("DUET_FACTOR", "100")
    results = []
    with dom0.running(f"cd {THERE} && DUET_FACTOR={factor} exec {shlex.join(words)}", stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE) as child:
        rest = b""
        while True:
            if not select.select([child.stdout], [], [], SILENCE * int(factor) / 100)[0]:
                results.append({"backend": backend, "title": backend, "device": "all", "error": "dom0 says nothing any more"})
                break
            data = os.read(child.stdout.fileno(), 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                results.append(json.loads(line))
                _progress(results[-1])
        if not any("error" in r for r in results) and child.wait() not in (0, 1):
            results.append({"backend": backend, "title": backend, "device": "all",
                            "error": f"the rules ended with exit status {child.returncode}"})
    return results


def _progress(result):
    verdict = MARKS.get(result.get("verdict"), "absent" if "absent" in result else "error")
    note(f"{result['title']:12} {result.get('rule', ''):20} {verdict:8} "
         f"{result.get('evidence') or result.get('absent') or result.get('error')}")


def show(results, out=sys.stdout):
    """The table, a rule a row and a back end or front end a column, and the evidence of what was broken."""
    for device in BACK + FRONT:
        found = [r for r in results if r["device"] == device and "rule" in r]
        titles = list(dict.fromkeys(r["title"] for r in found))
        rules = list(dict.fromkeys(r["rule"] for r in found))
        if not rules:
            continue
        cell = {(r["rule"], r["title"]): MARKS[r["verdict"]] for r in found}
        says = {r["rule"]: f"{r['what']} [{r['origin']}]" for r in found}
        print(f"{device:20} " + " ".join(f"{t:12}" for t in titles) + " the rule", file=out)
        for rule in rules:
            print(f"{rule:20} " + " ".join(f"{cell.get((rule, t), '?'):12}" for t in titles) + f" {says[rule]}", file=out)
        kept = [sum(cell.get((r, t)) == "kept" for r in rules) for t in titles]
        tried = [sum(cell.get((r, t)) in ("kept", "BROKEN") for r in rules) for t in titles]
        print(f"{'kept of tried':20} " + " ".join(f"{f'{k} of {n}':12}" for k, n in zip(kept, tried)) + "\n", file=out)
    for r in results:
        if r.get("verdict") == "broken":
            print(f"{r['title']}: {r['rule']}: {r['evidence']}", file=out)
        elif "rule" not in r:
            print(f"{r['title']} ({r['device']}): {r.get('absent') or r['error']}", file=out)


def record(results):
    """Put the tables and the evidence into the page that explains the rules: those for which there are results."""
    text = PAGE.read_text(encoding="utf-8")
    for suffix, devices in (("", BACK), (" --frontend", FRONT)):
        found = [r for r in results if r["device"] in devices]
        if found:
            before, _, rest = text.partition(BEGIN.format(suffix))
            after = rest.partition(END)[2]
            text = before + BEGIN.format(suffix) + "\n".join(_tables(found, devices)) + "\n" + END + after
    PAGE.write_text(text, encoding="utf-8")


def _tables(results, devices):
    """The lines of one section of the page."""
    lines = []
    for device in devices:
        found = [r for r in results if r["device"] == device and "rule" in r]
        titles = list(dict.fromkeys(r["title"] for r in found))
        rows = {r["rule"]: r for r in reversed(found)}
        cell = {(r["rule"], r["title"]): MARKS[r["verdict"]] for r in found}
        lines += [f"| rule | what it says | from | {' | '.join(titles)} |", "|---" * (3 + len(titles)) + "|"]
        for rule in dict.fromkeys(r["rule"] for r in found):
            cells = " | ".join(cell.get((rule, title), "?") for title in titles)
            lines.append(f"| `{rule}` | {rows[rule]['what']} | {rows[rule]['origin']} | {cells} |")
        lines.append("")
    lines += ["What was seen where a rule was broken:", ""]
    return lines + [f"- {r['title']}, `{r['rule']}`: {r['evidence']}" for r in results if r.get("verdict") == "broken"]


def options(sub):
    """The command's own options."""
    sub.add_argument("--backend", action="append", choices=BACKENDS, metavar="NAME",
                     help=f"{', '.join(BACKENDS)}; may be given several times (default: all)")
    sub.add_argument("--frontend", action="append", choices=FRONTENDS, metavar="NAME",
                     help=f"{', '.join(FRONTENDS)}; with neither option all of both kinds are tried")
    sub.add_argument("--device", choices=["block", "net"], help="only disks, or only interfaces")
    sub.add_argument("--rules", default="", metavar="REGEX", help="only rules whose name matches")
    sub.add_argument("--seconds", type=int, default=2, metavar="S", help="for rules that are tried for a while (default: 2)")
    sub.add_argument("--json", action="store_true", help="print the results as JSON in place of the table")
    sub.add_argument("--record", action="store_true", help=f"put the table into {PAGE.relative_to(paths.ROOT)}")
    sub.add_argument("--output", type=Path, default=REPORT, metavar="FILE",
                     help=f"all results as JSON, with the evidence (default: {REPORT.relative_to(paths.ROOT)})")
