"""A publisher that sends as fast as it can and waits for nothing.

Task: `address`, `channel`, `data`, `seconds`. Reports "done" with how many `messages` it has
published and how often it `waited` because the daemon took no more.
"""

import select
import time

from clients.reporting import failed, report, task
from support.wire import NO_MASKING, TEXT, RawClient, frame, publication

# Sent in one piece; whole messages only.
MESSAGES_IN_A_PIECE = 200


def main():
    work = task()
    client = RawClient(tuple(work["address"]))
    one = frame(TEXT, publication(work["channel"], work["data"].encode()), key=NO_MASKING)
    piece = memoryview(one * MESSAGES_IN_A_PIECE)
    pieces = waited = 0
    client.sock.setblocking(False)
    poll = select.poll()
    poll.register(client.sock, select.POLLOUT)
    ending = time.monotonic() + work["seconds"]
    while time.monotonic() < ending:
        sent = 0
        while sent < len(piece):
            try:
                sent += client.sock.send(piece[sent:])
            except BlockingIOError:
                waited += 1
                poll.poll()
        pieces += 1
    client.sock.settimeout(120)
    client.roundtrip()
    report("done", messages=pieces * MESSAGES_IN_A_PIECE, waited=waited)


try:
    main()
except Exception as error:
    failed(error)
