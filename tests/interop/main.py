"""Runs the checks of `checks/`, quick ones first. See README.md."""

import argparse
import importlib
import os
import random
import signal
import sys
import tempfile
import traceback

from support.daemon import Daemon, raise_file_limit
from support.report import Report

# Each with the seconds after which it has failed: several times what it takes on two slow cores.
CHECKS = {
    "signals": 60,
    "http": 60,
    "libraries": 60,
    "echoes": 600,
    "million": 120,
    "browser": 120,
    "follower": 120,
    "proxies": 120,
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
    signal.signal(signal.SIGALRM, late)
    signal.alarm(CHECKS[name])
    try:
        check.run(context)
    except Exception as error:
        traceback.print_exc()
        context.holds(f"the check {name!r} runs to its end", False, f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the daemon under test")
    parser.add_argument("--only", action="append", choices=CHECKS, metavar="CHECK", help="one of: " + ", ".join(CHECKS))
    parser.add_argument("--full", action="store_true", help="the overload for its whole 20 seconds")
    parser.add_argument("--seed", type=int, default=6455, help="of everything random")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="fanfare-interop-", ignore_cleanup_errors=True) as folder:
        context = Context(arguments, report, folder)
        for name in arguments.only or CHECKS:
            run_check(name, context)
    sys.exit(report.close())


main()
