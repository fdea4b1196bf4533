"""Bookkeeping of what a subscriber gets: order, holes and bytes. Seqs only grow; nothing here counts them."""

import bisect
import json
import re

MESSAGE = re.compile(rb'\{"type":"message","channel":("(?:[^"\\]|\\.)*"),"seq":(\d+),"data":(.*)\}', re.DOTALL)


def split_message(text):
    """A `message`'s `(channel, seq, data as it came)`, or None for anything else."""
    match = MESSAGE.fullmatch(text)
    if not match:
        return None
    return json.loads(match[1]), int(match[2]), match[3]


def message_text(channel, seq, data):
    """The bytes that every subscriber of `channel` must get."""
    name = json.dumps(channel, ensure_ascii=False).encode()
    return b'{"type":"message","channel":' + name + b',"seq":' + str(seq).encode() + b',"data":' + data + b"}"


def between(published, after, before):
    """Of the `published` seqs, in order, those greater than `after` and less than `before`."""
    return published[bisect.bisect_right(published, after) : bisect.bisect_left(published, before)]


def missing(gap, published):
    """The `published` seqs, in order, that a gap is about."""
    return between(published, gap["from"] - 1, gap["to"] + 1)


class Stream:
    """One subscription: what arrives comes once and in order, and so do the gaps between.

    `subscribed` is the reply that began it; the messages that it is owed come after the seq `after`, which is the reply's by default.
    """

    def __init__(self, channel, subscribed, after=None):
        self.channel = channel
        self.epoch = subscribed["epoch"]
        self.start = self.position = subscribed["seq"] if after is None else after
        self.arrived = 0
        self.gaps = []

    def message(self, seq):
        if seq <= self.position:
            raise AssertionError(f"{self.channel}: message {seq} after {self.position}")
        self.position = seq
        self.arrived += 1

    def gap(self, event):
        start, end = event["from"], event["to"]
        if start <= self.position or end < start or event["epoch"] != self.epoch:
            raise AssertionError(f"{self.channel}: {event} after {self.position} of {self.epoch}")
        self.position = end
        self.gaps.append(event)

    def take(self, text):
        """Takes a message or gap of this channel in; returns the data of a message."""
        message = split_message(text)
        if message:
            self.message(message[1])
            return message[2]
        event = json.loads(text)
        if event["type"] != "gap":
            raise AssertionError(f"{self.channel}: unexpected {text.decode()}")
        self.gap(event)
        return None

    def missed(self, published):
        """How many of the `published` seqs, in order, the gaps are about."""
        return sum(len(missing(gap, published)) for gap in self.gaps)

    def unaccounted(self, published):
        """How many of the `published` seqs, in order, neither arrived nor are in a gap, from the start to where the stream is.

        Each that arrived must have been one of them.
        """
        return len(between(published, self.start, self.position + 1)) - self.arrived - self.missed(published)
