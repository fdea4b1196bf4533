"""Runs the checks of `checks/`, two at a time, quick ones first. See README.md."""

import argparse
import concurrent.futures
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from support.daemon import Daemon, raise_file_limit
from support.report import Report

# Each with the seconds after which it has failed: several times what it takes on two slow cores, beside another.
CHECKS = {
    "signals": 60,
    "http": 60,
    "openapi": 240,
    "metrics": 60,
    "libraries": 60,
    "echoes": 600,
    "million": 120,
    "once": 240,
    "browser": 120,
    "events": 240,
    "follower": 120,
    "proxies": 120,
    "access": 240,
    "strangers": 120,
    "stalled": 120,
    "resume": 120,
    "many_channels": 120,
    "lagging": 240,
    "broadcast": 240,
    "memory": 240,
    "disconnects": 180,
    "hostile": 240,
    "overload": 180,
}
# These run with nothing beside them: their subject is a delay, or they need both processors.
ALONE = ["disconnects", "hostile", "overload"]


class Context:
    """What a check is given."""

    def __init__(self, arguments, report, folder):
        self.binary = arguments.binary
        self.full = arguments.full
        self.seed = arguments.seed
        self.files = raise_file_limit()
        self.report = report
        self.folder = folder
        self.holds = report.holds
        self.equal = report.equal
        self.note = report.note

    def daemon(self, *options, **more):
        return Daemon(self.binary, *options, **more)

    def path(self, name):
        """A file of this run's own."""
        return os.path.join(self.folder, name)

    def random(self):
        return random.Random(self.seed)


def run_check(name, context):
    def late(*_):
        raise TimeoutError(f"not done within {CHECKS[name]} s")

    check = importlib.import_module(f"checks.{name}")
    print(f"{name}: {check.__doc__.splitlines()[0]}", flush=True)
    began = time.monotonic()
    signal.signal(signal.SIGALRM, late)
    signal.alarm(CHECKS[name])
    try:
        check.run(context)
    except Exception as error:
        traceback.print_exc()
        context.holds(f"the check {name!r} runs to its end", False, f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        context.note(f"{name} took {time.monotonic() - began:.0f} s")


def run_apart(name, arguments, folder):
    """Runs a check in a process of its own. Returns what it says, and its sums."""
    sums = os.path.join(folder, f"{name}.json")
    command = [sys.executable, "-u", __file__, arguments.binary, "--only", name, "--seed", str(arguments.seed), "--sums", sums]
    command += ["--full"] if arguments.full else []
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        with open(sums) as file:
            return done.stdout, json.load(file)
    except (OSError, ValueError):
        why = f"the check {name!r} says how it ended"
        return done.stdout, {"passed": 0, "failed": 1, "failures": [why]}


def run_all(names, arguments, folder, report):
    """Runs the checks two at a time, and those alone that must be. What each says is printed when it has ended."""
    beside = [name for name in names if name not in ALONE]
    alone = [name for name in names if name in ALONE]
    for lanes, part in ((2, beside), (1, alone)):
        with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
            running = [pool.submit(run_apart, name, arguments, folder) for name in part]
            for done in concurrent.futures.as_completed(running):
                said, sums = done.result()
                sys.stdout.buffer.write(said)
                sys.stdout.flush()
                report.add(sums)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the daemon under test")
    parser.add_argument("--only", action="append", choices=CHECKS, metavar="CHECK", help="one of: " + ", ".join(CHECKS))
    parser.add_argument("--full", action="store_true", help="the overload for its whole 20 seconds")
    parser.add_argument("--seed", type=int, default=6455, help="of everything random")
    parser.add_argument("--sums", metavar="FILE", help="write the sums there instead of printing them")
    arguments = parser.parse_args()
    names = arguments.only or list(CHECKS)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="fanfare-interop-", ignore_cleanup_errors=True) as folder:
        if len(names) > 1:
            run_all(names, arguments, folder, report)
        else:
            run_check(names[0], Context(arguments, report, folder))
    if arguments.sums:
        report.save(arguments.sums)
    else:
        sys.exit(report.close())


main()
