"""Clients cut off at random moments come back with `since`: no hole, no repeat."""

import threading

from support.streams import missing, split_message
from support.wire import RawClient, reset

MESSAGES = 5_000
CLIENTS = 20
CHANNEL = "resumed"


def data(number):
    return b'{"n":%d,"fill":"%s"}' % (number, b"y" * (number * 37 % 900))


class Wanderer:
    """Reads some bytes, is cut off, comes back from the last whole message that it read."""

    def __init__(self, address, rng):
        self.address = address
        self.rng = rng
        self.seqs = []
        self.position = 0
        self.cuts = 0
        self.unrecovered = 0
        self.error = None
        self.subscribed = threading.Event()
        self.thread = threading.Thread(target=self.live, daemon=True)

    def live(self):
        try:
            since = None
            while len(self.seqs) < MESSAGES:
                since = self.visit(since)
        except Exception as error:
            self.error = error
            self.subscribed.set()

    def visit(self, since):
        """One connection: up to a random byte, most often in the middle of a frame."""
        client = RawClient(self.address, chunk=self.rng.choice([100, 1000, 65536]))
        start = {"since": since} if since else {}
        reply = client.subscribe(CHANNEL, **start)
        self.subscribed.set()
        if since:
            self.unrecovered += reply["recovered"] is not True
        limit = client.received + self.rng.randint(0, 150_000)
        try:
            while client.received < limit and len(self.seqs) < MESSAGES:
                channel, seq, got = split_message(client.next_text())
                due = len(self.seqs) + 1
                if channel != CHANNEL or seq <= self.position or got != data(due):
                    raise AssertionError(f"{channel} {seq} {got[:40]!r} after {self.position}, where message {due} was due")
                self.seqs.append(seq)
                self.position = seq
        finally:
            if self.rng.random() < 0.5:
                reset(client.sock)
            else:
                client.close()
        self.cuts += 1
        return {"epoch": reply["epoch"], "seq": self.position}


def run(context):
    rng = context.random()
    with context.daemon("--retain-bytes", "16MiB") as daemon:
        wanderers = [Wanderer(daemon.address, type(rng)(rng.random())) for _ in range(CLIENTS)]
        for wanderer in wanderers:
            wanderer.thread.start()
        for wanderer in wanderers:
            if not wanderer.subscribed.wait(30):
                raise AssertionError("a client could not subscribe within 30 s")
        with RawClient(daemon.address) as publisher:
            for number in range(1, MESSAGES + 1):
                publisher.publish(CHANNEL, data(number))
        for wanderer in wanderers:
            wanderer.thread.join(60)
    errors = [repr(wanderer.error) for wanderer in wanderers if wanderer.error]
    errors += ["not done within 60 s" for wanderer in wanderers if wanderer.thread.is_alive()]
    context.equal("no client sees a hole, a repeat or another's bytes", errors, [])
    whole = sum(len(wanderer.seqs) == MESSAGES for wanderer in wanderers)
    context.equal(f"each of {CLIENTS} clients gets all {MESSAGES:,} messages", whole, CLIENTS)
    cuts = sum(wanderer.cuts for wanderer in wanderers)
    context.holds("they are cut off while messages pass", cuts >= CLIENTS * 5, f"{cuts} times, with RST and FIN")
    context.equal("each time `recovered` is true", sum(wanderer.unrecovered for wanderer in wanderers), 0)
    expired(context)


def expired(context):
    """What cannot be recovered is said so."""
    with context.daemon("--retain-messages", "10") as daemon, RawClient(daemon.address) as publisher:
        answers = [publisher.publish(CHANNEL, data(number)) for number in range(1, 31)]
        epoch = answers[0]["epoch"]
        seqs = [answer["seq"] for answer in answers]
        with RawClient(daemon.address) as late:
            reply = late.subscribe(CHANNEL, since={"epoch": epoch, "seq": seqs[4]})
            gap = late.next_json()
            held = [late.next_json()["seq"] for _ in range(10)]
            told = is_gap(gap, epoch, "expired") and gap["from"] > seqs[4] and missing(gap, seqs) == seqs[5:20]
            context.holds("who comes back too late gets `recovered` false, a gap, and what is held", not reply["recovered"] and told and held == seqs[20:], f"{reply} {gap} {held}")
        with RawClient(daemon.address) as stranger:
            reply = stranger.subscribe(CHANNEL, since={"epoch": "another", "seq": 25})
            gap = stranger.next_json()
            context.holds("who comes with another epoch is told that the numbering began anew", not reply["recovered"] and begins_anew(gap, epoch, seqs), f"{reply} {gap}")
        with RawClient(daemon.address) as ahead:
            reply = ahead.subscribe(CHANNEL, since={"epoch": epoch, "seq": seqs[-1] + 69})
            gap = ahead.next_json()
            context.holds("and so is who comes from beyond the newest", not reply["recovered"] and begins_anew(gap, epoch, seqs), f"{reply} {gap}")


def is_gap(event, epoch, reason):
    return {key: event.get(key) for key in ("type", "channel", "epoch", "reason")} == {
        "type": "gap", "channel": CHANNEL, "epoch": epoch, "reason": reason,
    }


def begins_anew(event, epoch, seqs):
    return is_gap(event, epoch, "epoch") and event["from"] == 0 and missing(event, seqs) == seqs[:20]
