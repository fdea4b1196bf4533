#!/usr/bin/env python3
"""The table of docs/conformance.md, from Autobahn-format reports.

usage: table.py ROLE=DIR [ROLE=DIR ...]
  ROLE heads a column; DIR is searched for index.json files (one a section, as the run_*_suite.sh leave them).
  A role given twice is the sum of its directories.
"""
import collections, json, os, sys

SECTIONS = [
    ((1,), "frames of every length"),
    ((2,), "pings and pongs"),
    ((3,), "reserved bits"),
    ((4,), "opcodes"),
    ((5,), "fragments"),
    ((6,), "UTF-8, checked as it comes"),
    ((7,), "closes"),
    ((9,), "up to 16 MiB, and 65,536 fragments"),
    ((10,), "fragmented by the sender's library"),
    ((12,), "permessage-deflate, kinds of content"),
    ((13,), "permessage-deflate, kinds of offer"),
]


def verdicts(directory):
    """Each case's verdict: the worse one of its behavior and its close."""
    found = {}
    for path, _, files in os.walk(directory):
        if "index.json" not in files:
            continue
        with open(os.path.join(path, "index.json"), encoding="utf-8") as file:
            for cases in json.load(file).values():
                for case, verdict in cases.items():
                    both = {verdict["behavior"], verdict["behaviorClose"]} - {"OK"}
                    found[case] = " / ".join(sorted(both)) or "OK"
    return found


def cell(counts):
    if not counts:
        return "not run"
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: -item[1]))


def main():
    if len(sys.argv) < 2 or not all("=" in argument for argument in sys.argv[1:]):
        sys.exit(__doc__)
    roles = collections.defaultdict(dict)
    for argument in sys.argv[1:]:
        role, directory = argument.split("=", 1)
        roles[role].update(verdicts(directory))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.txt"), encoding="utf-8") as file:
        every = file.read().split()
    print("| section | about | cases | " + " | ".join(roles) + " |")
    print("|---|---|---:|" + "---|" * len(roles))
    for numbers, about in SECTIONS:
        cases = [case for case in every if int(case.split(".")[0]) in numbers]
        counts = [collections.Counter(found[case] for case in cases if case in found) for found in roles.values()]
        row = [", ".join(map(str, numbers)), about, str(len(cases)), *map(cell, counts)]
        print("| " + " | ".join(row) + " |")
    totals = [cell(collections.Counter(found[case] for case in every if case in found)) for found in roles.values()]
    print(f"| all | | {len(every)} | " + " | ".join(totals) + " |")


main()
