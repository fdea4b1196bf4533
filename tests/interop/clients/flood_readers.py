"""Many subscribers that read all they can and count the bytes, without looking at them.

Task: `address`, `count`, `channel`. Reports "ready" when all are subscribed.
Order: {"expect": bytes}: reports "done" with `counts` {bytes: subscribers} once each has got so many,
or nothing has come for a while.
"""

import select
import socket

from clients.reporting import failed, listen, report, task
from support.daemon import raise_file_limit
from support.wire import RawClient

CHUNK = 1 << 20
# So many seconds without a byte for anybody mean that no more will come.
IDLE_SECONDS = 20


def subscribe(address, channel):
    client = RawClient(address)
    client.subscribe(channel)
    if client.at != len(client.buffer):
        raise AssertionError("messages came before the publishers began")
    client.sock.setblocking(False)
    return client.sock


def main():
    raise_file_limit()
    work = task()
    expected = []
    socks = [subscribe(tuple(work["address"]), work["channel"]) for _ in range(work["count"])]
    by_file = {sock.fileno(): sock for sock in socks}
    counts = dict.fromkeys(by_file, 0)
    poll = select.epoll()
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    listen(lambda order: expected.append(order["expect"]))
    report("ready")
    # MSG_TRUNC has the kernel throw away what is read: this client is as fast as one can be.
    void = bytearray(CHUNK)
    idle = 0
    while True:
        ready = poll.poll(1.0)
        idle = 0 if ready else idle + 1
        for file, _ in ready:
            try:
                got = by_file[file].recv_into(void, CHUNK, socket.MSG_TRUNC)
            except BlockingIOError:
                continue
            if got == 0:
                raise AssertionError(f"closed after {counts[file]} bytes")
            counts[file] += got
        if expected and (idle >= IDLE_SECONDS or min(counts.values()) >= expected[0]):
            break
    found = {}
    for count in counts.values():
        found[count] = found.get(count, 0) + 1
    report("done", counts=found)


try:
    main()
except Exception as error:
    failed(error)
