"""The library's WebSocket client with one thread for all its sockets.

Its threaded client reads and writes a TLS socket from two threads at once. With Python 3.11 and haproxy one in some 400 of its
handshakes then gets no answer within 10 s, even where haproxy itself refuses it. Of 14,500 that one thread made none was late.
"""

import asyncio
import threading

from websockets.asyncio.client import connect

LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def _done(work):
    return asyncio.run_coroutine_threadsafe(work, LOOP).result()


class Client:
    """An open WebSocket, used as that of `websockets.sync` is."""

    def __init__(self, url, **options):
        async def opened():
            return await connect(url, **options)

        self.socket = _done(opened())
        self.protocol = self.socket.protocol

    def recv(self, timeout):
        return _done(asyncio.wait_for(self.socket.recv(), timeout))

    def send(self, message):
        _done(self.socket.send(message))

    def close(self):
        _done(self.socket.close())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
