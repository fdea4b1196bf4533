"""Publishers faster than the sweep: nobody who reads gets a gap, memory stays bounded, TCP slows the publishers."""

import threading

from support.groups import Groups
from support.streams import message_text
from support.wire import RawClient

SUBSCRIBERS = 2_000
PUBLISHERS = 4
DATA = '"' + "p" * 126 + '"'
CHANNEL = "flood"
CI_SECONDS = 6
FULL_SECONDS = 20
SAMPLE_SECONDS = 0.1
# A reader that is blocked for longer than the window lasts is slow, whatever the reason; with the default of
# 1 MiB a busy machine that does not run the readers for 0.2 s would make them so. The full run,
# for a quiet machine, has the default.
CI_WINDOW = 16 << 20
FULL_WINDOW = 1 << 20
# The turn's reads on top of the window, and what the allocator keeps. Sent are some 30 MB a 6 s.
GROWTH = 4 << 20


class Sampler:
    """Resident memory of the daemon over the run."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.samples = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        while not self.ending.wait(SAMPLE_SECONDS):
            self.samples.append(self.daemon.rss())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


def run(context):
    seconds = FULL_SECONDS if context.full else CI_SECONDS
    window = FULL_WINDOW if context.full else CI_WINDOW
    with context.daemon("--ping-interval", "600s", "--retain-bytes", str(window)) as daemon, Groups() as groups:
        readers = groups.start("flood_readers.py", address=daemon.address, count=SUBSCRIBERS, channel=CHANNEL)
        groups.collect("ready", 1, 60)
        before, used = daemon.rss(), daemon.cpu_seconds()
        with Sampler(daemon) as memory:
            for _ in range(PUBLISHERS):
                groups.start("flood_publisher.py", address=daemon.address, channel=CHANNEL, data=DATA, seconds=seconds)
            publishers = [event for _, event in groups.collect("done", PUBLISHERS, seconds + 120)]
        published = sum(event["messages"] for event in publishers)
        with RawClient(daemon.address) as closing:
            last = closing.publish(CHANNEL, DATA.encode())["seq"]
        readers.tell(last=message_text(CHANNEL, last, DATA.encode()).decode())
        ((_, event),) = groups.collect("done", 1, 120)
        used = daemon.cpu_seconds() - used
        sums = daemon.sums()
    context.equal("everything that was sent comes, once and in order", event["messages"], published + 1)
    whole = event["counts"].get(str(event["bytes"]), 0)
    context.equal(f"each of {SUBSCRIBERS:,} subscribers gets every byte of {published + 1:,} messages", whole, SUBSCRIBERS)
    context.equal("the daemon announces no gap", sums["gaps"], 0)
    grown = max(memory.samples) - before
    context.holds(
        "memory grows by no more than the window and a little", grown <= window + GROWTH,
        f"{grown / 2**20:.1f} MiB, the window is {window >> 20} MiB",
    )
    waits = [event["waited"] for event in publishers]
    context.holds("each publisher is slowed by TCP", min(waits) > 0, f"they waited {waits} times")
    deliveries = (published + 1) * SUBSCRIBERS
    context.note(f"{published + 1:,} messages in {seconds} s make {deliveries:,} deliveries; {used / deliveries * 1e9:.0f} ns of CPU each; {sums['line']}")
