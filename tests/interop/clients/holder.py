"""Holds many idle, subscribed connections.

Task: `address`, `source` (the loopback address to connect from), `count`, `channel`, `deflate`. Reports "ready" when all are subscribed.
Orders: {"more": count} connects so many more; {"subscribe": [names]} subscribes each connection
to those as well; each is answered by "ready".
"""

import json
import selectors

from clients.reporting import failed, orders, report, task
from support.daemon import raise_file_limit
from support.wire import TEXT, dial, frame, upgrade

# So many are in their handshake at once: well within the daemon's backlog.
BATCH = 500
# Bounds every wait for the daemon.
PATIENCE_SECONDS = 60


class Holder:
    def __init__(self, task):
        self.address = tuple(task["address"])
        self.source = task["source"]
        self.host = "%s:%d" % self.address
        self.channel = task["channel"]
        self.deflate = task["deflate"]
        self.connections = []

    def connect(self, count):
        subscribe = json.dumps({"type": "subscribe", "id": 1, "channel": self.channel}).encode()
        while count > 0:
            batch = [dial(self.address, source=self.source) for _ in range(min(BATCH, count))]
            self.exchange(batch, upgrade(self.host, deflate=self.deflate), [b"\r\n\r\n", b'"type":"welcome"'])
            self.exchange(batch, frame(TEXT, subscribe), [b'"type":"subscribed"'])
            self.connections += batch
            count -= len(batch)

    def subscribe(self, names):
        frames = b"".join(
            frame(TEXT, json.dumps({"type": "subscribe", "channel": name}).encode()) for name in names
        )
        mark = frame(TEXT, b'{"type":"ping","id":"mark"}')
        for start in range(0, len(self.connections), BATCH):
            self.exchange(self.connections[start : start + BATCH], frames + mark, [b'{"type":"pong","id":"mark"}'])

    @staticmethod
    def exchange(batch, data, awaited):
        """Sends `data` on each and reads until each has said all that is `awaited`.

        Replies are under the size that the daemon compresses, so that they can be found as text.
        """
        selector = selectors.DefaultSelector()
        for sock in batch:
            sock.sendall(data)
            selector.register(sock, selectors.EVENT_READ, bytearray())
        while selector.get_map():
            ready = selector.select(PATIENCE_SECONDS)
            if not ready:
                raise AssertionError(f"no reply within {PATIENCE_SECONDS} s")
            for key, _ in ready:
                piece = key.fileobj.recv(65536)
                if not piece:
                    raise AssertionError(f"closed after {bytes(key.data[-200:])!r}")
                key.data.extend(piece)
                if all(words in key.data for words in awaited):
                    selector.unregister(key.fileobj)


def main():
    raise_file_limit()
    holder = Holder(task())
    holder.connect(task()["count"])
    report("ready")
    for order in orders():
        if "more" in order:
            holder.connect(order["more"])
        else:
            holder.subscribe(order["subscribe"])
        report("ready")


try:
    main()
except Exception as error:
    failed(error)
