"""Many subscribers that read all they can and count the bytes, without looking at them. One keeps what it gets.

Task: `address`, `count`, `channel`. Reports "ready" when all are subscribed.
Order: {"last": text}: reports "done" once one subscriber has the message with that text and each has as many bytes as that one, or
nothing has come for a while: `counts` {bytes: subscribers}, the `bytes` of the one that kept them, and how many `messages` they are,
0 if their seqs do not grow.
"""

import re
import select
import socket

from clients.reporting import failed, listen, report, task
from support.daemon import raise_file_limit
from support.wire import RawClient

CHUNK = 1 << 20
# So many seconds without a byte for anybody mean that no more will come.
IDLE_SECONDS = 20
SEQ = re.compile(rb'"type":"message","channel":"[^"]*","seq":(\d+),')


def subscribe(address, channel):
    client = RawClient(address)
    client.subscribe(channel)
    if client.at != len(client.buffer):
        raise AssertionError("messages came before the publishers began")
    client.sock.setblocking(False)
    return client.sock


def messages(kept):
    """How many messages these bytes are; 0 if their seqs do not grow."""
    seqs = [int(seq) for seq in SEQ.findall(kept)]
    return len(seqs) if all(one < other for one, other in zip(seqs, seqs[1:])) else 0


def main():
    raise_file_limit()
    work = task()
    last = []
    kept = bytearray()
    socks = [subscribe(tuple(work["address"]), work["channel"]) for _ in range(work["count"])]
    by_file = {sock.fileno(): sock for sock in socks}
    keeper = socks[0].fileno()
    counts = dict.fromkeys(by_file, 0)
    poll = select.epoll()
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    listen(lambda order: last.append(order["last"].encode()))
    report("ready")
    # MSG_TRUNC has the kernel throw away what is read: this client is as fast as one can be.
    void = bytearray(CHUNK)
    idle = 0
    while True:
        ready = poll.poll(1.0)
        idle = 0 if ready else idle + 1
        for file, _ in ready:
            try:
                got = by_file[file].recv_into(void, CHUNK, 0 if file == keeper else socket.MSG_TRUNC)
            except BlockingIOError:
                continue
            if got == 0:
                raise AssertionError(f"closed after {counts[file]} bytes")
            counts[file] += got
            if file == keeper:
                kept += memoryview(void)[:got]
        if last and (idle >= IDLE_SECONDS or (kept.endswith(last[0]) and min(counts.values()) >= len(kept))):
            break
    found = {}
    for count in counts.values():
        found[count] = found.get(count, 0) + 1
    report("done", counts=found, bytes=len(kept), messages=messages(kept))


try:
    main()
except Exception as error:
    failed(error)
