#!/usr/bin/env python3
"""Every metric that the Grafana dashboard, `xenbus top` or docs/metrics.md names is one that a daemon tells, and the page
names all of them.

Usage: dashboard.py [BUILD] checks the tree, and first itself, on a dashboard with a name that nobody tells. What is told
is found where it is written down, in the tables of backend-daemons/."""
import json
import pathlib
import re
import sys

ROW = re.compile(r'\.name = "(duet_\w+)",.*?\.kind = (METRIC_\w+)', re.S)
HEAD = re.compile(r'metrics_write_head\(out, "(duet_\w+)"')
NAME = re.compile(r"\bduet_[a-z_]+\b")


def told():
    """The names of all series."""
    names = set()
    for path in sorted(pathlib.Path("backend-daemons").glob("*/*metrics.c")):
        text = path.read_text(encoding="utf-8")
        names.update(HEAD.findall(text))
        for name, kind in ROW.findall(text):
            names.update([f"{name}_{part}" for part in ("bucket", "sum", "count")] if kind == "METRIC_HISTOGRAM"
                         else [name])
    return names


def expressions(node):
    """Every query below a node of a dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def unknown(texts, names):
    return sorted({name for text in texts for name in NAME.findall(text)} - names)


def main():
    names = told()
    wrong = {"panels": [{"targets": [{"expr": "rate(duet_block_wishes_total[5m]) + duet_block_up"}]}]}
    if unknown(expressions(wrong), names) != ["duet_block_wishes_total"]:
        print("dashboard.py does not find a name that nobody tells")
        return 1
    with open("packaging/backends/grafana/duet.json", encoding="utf-8") as f:
        dashboard = list(expressions(json.load(f)))
    tool = re.findall(r'\{"(duet_\w+)"', pathlib.Path("xenbus-tools/top.c").read_text(encoding="utf-8"))
    page = pathlib.Path("docs/metrics.md").read_text(encoding="utf-8")
    families = {re.sub(r"(_duration_seconds)_(bucket|sum|count)$", r"\1", name) for name in names}
    status = 0
    for where, texts in (("the dashboard", dashboard), ("xenbus-tools/top.c", tool)):
        if not texts:
            print(f"{where} names no metric")
            status = 1
        for name in unknown(texts, names):
            print(f"{where}: {name}: no daemon tells it")
            status = 1
    for name in unknown([page], names | families):
        print(f"docs/metrics.md: {name}: no daemon tells it")
        status = 1
    for name in sorted(families - set(NAME.findall(page))):
        print(f"docs/metrics.md does not name {name}")
        status = 1
    print(f"{len(names)} series, {len(dashboard)} queries")
    return status


if __name__ == "__main__":
    sys.exit(main())
