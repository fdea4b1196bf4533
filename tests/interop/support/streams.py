"""Bookkeeping of what a subscriber gets: order, holes and bytes."""

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


class Stream:
    """One subscription: every seq after its start arrives once, in order, or is announced as missing.

    `subscribed` is the reply that began it; `last` what was asked for, if all of it was held.
    """

    def __init__(self, channel, subscribed, last=0):
        self.channel = channel
        self.epoch = subscribed["epoch"]
        self.next = max(1, subscribed["seq"] + 1 - last)
        self.arrived = 0
        self.missed = 0
        self.gaps = []

    def message(self, seq):
        if seq != self.next:
            raise AssertionError(f"{self.channel}: message {seq} where {self.next} was due")
        self.next += 1
        self.arrived += 1

    def gap(self, event):
        start, end = event["from"], event["to"]
        if start != self.next or end < start or event["epoch"] != self.epoch:
            raise AssertionError(f"{self.channel}: {event} where {self.next} of {self.epoch} was due")
        self.next = end + 1
        self.missed += end - start + 1
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
