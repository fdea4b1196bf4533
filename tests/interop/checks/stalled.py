"""A subscriber that stops reading costs no memory beyond the window, disturbs nobody, and learns what it missed."""

import json

from support.streams import Stream, between
from support.wire import NO_MASKING, Closed, RawClient, publication

WINDOW = 1 << 20
# Segments, indexes and the allocator's habits: what a window may cost on top of itself.
SLACK = 768 * 1024
MESSAGE = 2000
WARM = 3_000
STALLED = 15_000
WITNESSES = 10
BATCH = 50


def run(context):
    for policy in ("skip", "latest", "close"):
        with context.daemon("--on-lag", policy) as daemon:
            Stall(context, daemon, policy).run()


def data(number):
    return b'{"n":%d,"fill":"%s"}' % (number, b"x" * (MESSAGE - 20))


class Stall:
    def __init__(self, context, daemon, policy):
        self.context = context
        self.daemon = daemon
        self.policy = policy
        self.publisher = RawClient(daemon.address)
        self.published = 0
        # What was published, by seq; and the seqs in order.
        self.numbers = {}
        self.seqs = []
        self.peak = 0
        self.witnesses = [self.subscriber(RawClient(daemon.address)) for _ in range(WITNESSES)]
        # A small receive buffer, so that it is the daemon that notices and not only the kernel.
        self.sleeper, self.stream = self.subscriber(RawClient(daemon.address, receive_buffer=16384))

    @staticmethod
    def subscriber(client):
        return client, Stream("stall", client.subscribe("stall"))

    def publish(self, count, readers):
        """Publishes `count` messages in batches, each of which all `readers` have read before the next."""
        target = self.published + count
        while self.published < target:
            batch = min(BATCH, target - self.published)
            numbers = range(self.published, self.published + batch)
            for number in numbers:
                self.publisher.send_text(publication("stall", data(number), number), key=NO_MASKING)
            for number in numbers:
                self.acknowledge(self.publisher.until("published"))
            self.published += batch
            for client, stream in readers:
                while stream.position < self.seqs[-1]:
                    self.take(client, stream)
            self.peak = max(self.peak, self.daemon.rss())

    def acknowledge(self, answer):
        self.numbers[answer["seq"]] = answer["id"]
        self.seqs.append(answer["seq"])

    def take(self, client, stream):
        got = stream.take(client.next_text())
        if got is not None and got != data(self.numbers[stream.position]):
            raise AssertionError(f"message {stream.position} is {got[:60]!r}")

    def run(self):
        context, policy = self.context, self.policy
        self.publish(WARM, [*self.witnesses, (self.sleeper, self.stream)])
        self.peak = before = self.daemon.rss()
        self.publish(STALLED, self.witnesses)
        grown = self.peak - before
        volume = STALLED * MESSAGE >> 20
        context.holds(f"on-lag {policy}: while one subscriber misses {volume} MB the daemon grows by no more than the window and a little", grown <= WINDOW + SLACK, f"{grown >> 10} KiB, the window is {WINDOW >> 10} KiB")
        undisturbed = all(stream.arrived == self.published and not stream.gaps for _, stream in self.witnesses)
        context.holds(f"on-lag {policy}: the others get every message without a gap", undisturbed)
        if policy == "close":
            self.wakes_to_a_close()
        else:
            self.wakes_to_a_gap()
        for client, _ in self.witnesses:
            client.close()

    def wakes_to_a_gap(self):
        context, policy, stream = self.context, self.policy, self.stream
        while stream.position < self.seqs[-1]:
            self.take(self.sleeper, stream)
        accounted = stream.arrived + stream.missed(self.seqs) == self.published
        announced = ", ".join(f"{gap['from']} to {gap['to']}" for gap in stream.gaps)
        context.holds(f"on-lag {policy}: when it reads again, messages and gap make up all {self.published}", accounted and stream.gaps, f"gap {announced}")
        context.equal(f"on-lag {policy}: the reason is its slowness", {gap["reason"] for gap in stream.gaps}, {"slow"})
        last = stream.gaps[-1]["to"] if stream.gaps else 0
        held = len(between(self.seqs, last, self.seqs[-1] + 1))
        if policy == "latest":
            context.equal("on-lag latest: it goes on with the newest message", held, 1)
        else:
            framed = WINDOW // (MESSAGE + 60)
            context.holds("on-lag skip: it goes on with the oldest message held", framed - 20 <= held <= framed + 120, f"{held} messages, a window holds {framed}")
        gaps = len(stream.gaps)
        self.publish(200, [*self.witnesses, (self.sleeper, stream)])
        context.equal(f"on-lag {policy}: then it is live again", len(stream.gaps), gaps)

    def wakes_to_a_close(self):
        stream = self.stream
        try:
            while True:
                self.take(self.sleeper, stream)
        except Closed as closed:
            end = closed
        self.context.holds("on-lag close: it is closed with 4508 and a reason", end.code == 4508 and end.reason, str(end))
        self.context.holds("on-lag close: what it had got until then was whole and in order", WARM <= stream.arrived < self.published, f"{stream.arrived} messages")
        with RawClient(self.daemon.address) as again:
            since = {"epoch": stream.epoch, "seq": stream.position}
            reply = again.subscribe("stall", since=since)
            gap = json.loads(again.next_text())
            told = reply["recovered"] is False and gap["type"] == "gap" and gap["reason"] == "expired"
            told = told and gap["from"] > stream.position and not between(self.seqs, stream.position, gap["from"])
            self.context.holds("on-lag close: coming back with `since` it is told what it missed", told, f"{reply}, {gap}")
