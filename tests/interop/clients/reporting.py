"""The client's end of the line between it and the check that started it."""

import json
import sys
import threading
import traceback


def task():
    return json.loads(sys.argv[1])


def report(event, **members):
    sys.stdout.write(json.dumps({"event": event, **members}) + "\n")
    sys.stdout.flush()


def orders():
    """The orders, one after the other, as they come."""
    for line in sys.stdin:
        yield json.loads(line)


def listen(handle):
    """Calls `handle(order)` for each order, on a thread of its own."""
    def loop():
        for order in orders():
            handle(order)
    threading.Thread(target=loop, daemon=True).start()


def failed(error):
    traceback.print_exception(error)
    report("failed", why=f"{type(error).__name__}: {error}")
