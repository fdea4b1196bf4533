"""One slow connection on 100 channels, with unsubscribes in between: each channel's stream is in order."""

import json
import threading

from support.streams import Stream, between, split_message
from support.wire import NO_MASKING, RawClient, publication

CHANNELS = 100
ROUNDS = 80
BURST = 400  # messages a round, over random channels


def data(channel, number):
    return b'{"c":%d,"n":%d,"fill":"%s"}' % (channel, number, b"z" * (number * 31 % 1500))


class Reader:
    """The slow connection: its subscriptions come and go while it reads now and then."""

    def __init__(self, address, publisher):
        self.client = RawClient(address, receive_buffer=8192)
        self.publisher = publisher
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
            if got != self.publisher.texts[channel].get(seq):
                raise AssertionError(f"{channel} {seq} is {got[:60]!r}")
            return None
        event = json.loads(text)
        kind, channel = event["type"], event.get("channel")
        if kind == "gap":
            self.stream(channel, text).gap(event)
        elif kind == "subscribed":
            self.streams[channel] = self.publisher.stream(channel, event, self.coming.pop(channel))
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


class Publisher:
    """Publishes, and knows what has which seq in which channel."""

    def __init__(self, client, names):
        self.client = client
        self.names = names
        self.counts = [0] * CHANNELS
        self.seqs = {name: [] for name in names}
        self.texts = {name: {} for name in names}
        self.waiting = {}
        self.requests = 0

    def burst(self, rng):
        for _ in range(BURST):
            # A few channels get most of it, so that some lag and some do not.
            channel = min(rng.randrange(CHANNELS), rng.randrange(CHANNELS))
            self.counts[channel] += 1
            text = data(channel, self.counts[channel])
            self.requests += 1
            self.waiting[self.requests] = self.names[channel], text
            self.client.send_text(publication(self.names[channel], text, self.requests), key=NO_MASKING)
        while self.waiting:
            answer = self.client.until("published")
            name, text = self.waiting.pop(answer["id"])
            self.seqs[name].append(answer["seq"])
            self.texts[name][answer["seq"]] = text

    def stream(self, channel, subscribed, last):
        """The stream that begins with the newest `last` messages of the reply's time."""
        until = between(self.seqs[channel], 0, subscribed["seq"] + 1)
        after = ([0] * last + until)[-last - 1 :][0] if last and until else None
        return Stream(channel, subscribed, after)


def run(context):
    rng = context.random()
    names = [f"many.{n}" for n in range(CHANNELS)]
    with context.daemon("--retain-bytes", "16KiB") as daemon, RawClient(daemon.address) as client:
        publisher = Publisher(client, names)
        reader = Reader(daemon.address, publisher)
        for name in names:
            reader.subscribe(name)
        reader.until_replied()
        for turn in range(ROUNDS):
            publisher.burst(rng)
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
        settle(context, reader, publisher)


def settle(context, reader, publisher):
    """The publisher has stopped: the reader reads on until it has everything that it is owed."""
    reader.until_replied()
    seqs = publisher.seqs
    while any(stream.position < seqs[name][-1] for name, stream in reader.streams.items()):
        reader.take()
    streams = [*reader.streams.values(), *reader.ended]
    arrived = sum(stream.arrived for stream in streams)
    missed = sum(stream.missed(seqs[stream.channel]) for stream in streams)
    lost = [stream.channel for stream in streams if stream.unaccounted(seqs[stream.channel])]
    gaps = sum(len(stream.gaps) for stream in streams)
    context.equal("each channel's messages come in order, and gaps announce the others", lost, [])
    context.note(f"{publisher.requests:,} published on {CHANNELS} channels; {arrived:,} arrived, {missed:,} in {gaps} gaps")
    context.holds("the reader was slow enough to miss some", gaps > 20 and arrived > gaps)
    context.holds("nothing of a channel comes after `unsubscribed`", len(reader.ended) > 100, f"{len(reader.ended)} unsubscribed, {len(reader.streams)} subscriptions at the end")
