"""One slow connection on 100 channels, with unsubscribes in between: each channel's stream is in order."""

import json
import threading

from support.streams import Stream, split_message
from support.wire import NO_MASKING, RawClient, publication

CHANNELS = 100
ROUNDS = 80
BURST = 400  # messages a round, over random channels


def data(channel, number):
    return b'{"c":%d,"n":%d,"fill":"%s"}' % (channel, number, b"z" * (number * 31 % 1500))


class Reader:
    """The slow connection: its subscriptions come and go while it reads now and then."""

    def __init__(self, address):
        self.client = RawClient(address, receive_buffer=8192)
        self.streams = {}
        self.coming = {}
        self.ended = []
        self.leaving = set()
        self.client.next_text()  # the welcome

    def subscribe(self, channel, last=0):
        """Subscribes, `last` being far fewer than the window holds."""
        self.coming[channel] = last
        start = {"last": last} if last else {}
        self.client.send_json(type="subscribe", id=channel, channel=channel, **start)

    def unsubscribe(self, channel):
        self.leaving.add(channel)
        self.client.send_json(type="unsubscribe", id=channel, channel=channel)

    def take(self):
        """Reads one message; whatever comes must belong to a subscription that is still open."""
        text = self.client.next_text()
        message = split_message(text)
        if message:
            channel, seq, got = message
            self.stream(channel, text).message(seq)
            wanted = data(int(channel.split(".")[1]), seq)
            if got != wanted:
                raise AssertionError(f"{channel} {seq} is {got[:60]!r}")
            return None
        event = json.loads(text)
        kind, channel = event["type"], event.get("channel")
        if kind == "gap":
            self.stream(channel, text).gap(event)
        elif kind == "subscribed":
            self.streams[channel] = Stream(channel, event, self.coming.pop(channel))
        elif kind == "unsubscribed":
            self.ended.append(self.streams.pop(channel))
            self.leaving.discard(channel)
        elif kind != "pong":
            raise AssertionError(f"unexpected {text.decode()}")
        return event

    def stream(self, channel, text):
        if channel not in self.streams:
            raise AssertionError(f"after `unsubscribed`, or before `subscribed`: {text[:120].decode()}")
        return self.streams[channel]

    def until_replied(self):
        """Reads until every request is answered. Replies go before messages, so it stays behind."""
        while self.leaving or self.coming:
            self.take()


def run(context):
    rng = context.random()
    names = [f"many.{n}" for n in range(CHANNELS)]
    with context.daemon("--retain-bytes", "16KiB") as daemon, RawClient(daemon.address) as publisher:
        reader = Reader(daemon.address)
        for name in names:
            reader.subscribe(name)
        reader.until_replied()
        counts = [0] * CHANNELS
        for turn in range(ROUNDS):
            burst(rng, publisher, names, counts)
            # Subscriptions go and come while the connection is stalled and behind in many channels.
            for name in rng.sample(names, 12):
                if name in reader.leaving or name in reader.coming:
                    continue
                if name in reader.streams:
                    reader.unsubscribe(name)
                if name not in reader.streams or rng.random() < 0.5:
                    reader.subscribe(name, last=rng.choice([0, 2]))
            if turn % 8 == 7:
                reader.until_replied()
        settle(context, reader, names, counts)


def burst(rng, publisher, names, counts):
    for _ in range(BURST):
        # A few channels get most of it, so that some lag and some do not.
        channel = min(rng.randrange(CHANNELS), rng.randrange(CHANNELS))
        counts[channel] += 1
        publisher.send_text(publication(names[channel], data(channel, counts[channel])), key=NO_MASKING)
    publisher.roundtrip()


def settle(context, reader, names, counts):
    """The publisher has stopped: the reader reads on until it has everything that it is owed."""
    reader.until_replied()
    due = dict(zip(names, counts))
    while any(stream.next <= due[name] for name, stream in reader.streams.items()):
        reader.take()
    streams = [*reader.streams.values(), *reader.ended]
    arrived = sum(stream.arrived for stream in streams)
    missed = sum(stream.missed for stream in streams)
    gaps = sum(len(stream.gaps) for stream in streams)
    context.holds("each channel's messages come in order, and gaps announce the others", True, f"{sum(counts):,} published on {CHANNELS} channels; {arrived:,} arrived, {missed:,} in {gaps} gaps")
    context.holds("the reader was slow enough to miss some", gaps > 20 and arrived > gaps)
    context.holds("nothing of a channel comes after `unsubscribed`", len(reader.ended) > 100, f"{len(reader.ended)} unsubscribed, {len(reader.streams)} subscriptions at the end")
