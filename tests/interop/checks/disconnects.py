"""Thousands of connections that vanish at once hardly delay the next accept."""

import time

from support.groups import Groups
from support.wire import RawClient

CONNECTIONS = 15_000
HOLDERS = 2
DELAY_SECONDS = 0.100
# A busy machine can delay anything; a defect delays every time.
ATTEMPTS = 4
PATIENCE_SECONDS = 120


def run(context):
    count = min(CONNECTIONS, context.files - 2_000)
    delays = []
    for _ in range(ATTEMPTS):
        usual, slowest, accepts, used = attempt(context, count)
        delays.append(slowest - usual)
        context.note(
            f"an accept and handshake takes {usual * 1e3:.1f} ms; while {count:,} are cleared away, "
            f"in {used * 1e3:.0f} ms of CPU, the slowest of {accepts} took {slowest * 1e3:.1f} ms"
        )
        if delays[-1] <= DELAY_SECONDS:
            break
    context.holds(
        f"{count:,} disconnects at once delay an accept by at most {DELAY_SECONDS * 1e3:.0f} ms",
        delays[-1] <= DELAY_SECONDS, f"{delays[-1] * 1e3:.0f} ms",
    )


def handshake_seconds(daemon):
    started = time.monotonic()
    RawClient(daemon.address).close()
    return time.monotonic() - started


def attempt(context, count):
    """The usual time of an accept with its handshake, the slowest after the blow, how many were
    tried, and the daemon's time on the CPU meanwhile."""
    with context.daemon("--ping-interval", "600s") as daemon, Groups() as holders:
        for part in range(HOLDERS):
            holders.start(
                "holder.py", address=daemon.address, source=f"127.0.0.{2 + part}", count=count // HOLDERS,
                channel=f"held.{part}", deflate=False,
            )
        holders.collect("ready", HOLDERS, PATIENCE_SECONDS)
        usual = sorted(handshake_seconds(daemon) for _ in range(101))[50]
        used = daemon.cpu_seconds()
        for holder in holders.members:
            holder.kill()
        times = []
        left = count
        # The daemon itself says when the last of them is gone.
        while left > HOLDERS:
            times += [handshake_seconds(daemon) for _ in range(20)]
            left = daemon.sums()["connections"]
            if sum(times) > PATIENCE_SECONDS:
                raise AssertionError(f"{left} connections are still held")
        return usual, max(times), len(times), daemon.cpu_seconds() - used
