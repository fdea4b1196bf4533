"""A subscriber that nobody should ever disturb."""

import threading
import time

from support.streams import split_message
from support.wire import PING, PONG, RawClient


class Witness:
    """Publishes, receives and pings without a pause on a thread of its own, as long as the block lasts."""

    def __init__(self, context, daemon):
        self.context = context
        self.client = RawClient(daemon.address)
        self.client.subscribe("witness")
        self.ending = threading.Event()
        self.rounds = 0
        self.seq = 0
        self.slowest = 0.0
        self.error = None
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        try:
            while not self.ending.is_set():
                started = time.monotonic()
                self._round()
                self.rounds += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
                # Not for the daemon's sake: it leaves the processor to the others.
                self.ending.wait(0.001)
        except Exception as error:
            self.error = error

    def _round(self):
        payload = b"%d" % self.rounds
        self.client.send_text(b'{"type":"publish","channel":"witness","data":%b}' % payload)
        self.client.send(PING, payload)
        owed = {"message", "pong"}
        while owed:
            first, got = self.client.next_frame()
            message = split_message(got)
            if first == 0x80 | PING:
                self.client.send(PONG, got)
            elif got == payload and "pong" in owed:
                owed.discard("pong")
            elif "message" in owed and message and message[0] == "witness" and message[1] > self.seq and message[2] == payload:
                owed.discard("message")
                self.seq = message[1]
            else:
                raise AssertionError(f"round {self.rounds}: unexpected {got[:100]!r}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        self.thread.join(timeout=35)
        if kind is None:
            undisturbed = self.error is None and not self.thread.is_alive() and self.rounds > 0
            detail = repr(self.error) if self.error else f"{self.rounds} rounds, the slowest {self.slowest * 1e3:.0f} ms"
            self.context.holds("meanwhile a witness gets each of its messages and pongs", undisturbed, detail)
        self.client.close()
