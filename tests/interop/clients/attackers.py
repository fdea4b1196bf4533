"""Many hostile connections, driven by one loop that sends whatever each of them takes.

Task: `address`, `attack` (a name of `ATTACKS`), `count`. Reports "ready" once all are connected. Orders: {"begin": true} starts the
attack, and "begun" says that everybody has sent something; {"end": true} ends it, and "done" says how many `bytes` were
sent and how many connections the daemon has `closed`. A connection that is closed is made again.
"""

import json
import random
import select
import threading
import time
import zlib

from clients.reporting import failed, listen, report, task
from support.daemon import raise_file_limit
from support.wire import CONTINUATION, NO_MASKING, PING, TEXT, dial, frame, publication, upgrade

# The dearest number that JSON's grammar allows: halfway between two doubles, so that every digit counts.
DEAR = b"17900000000000000636e289"
LONG = 60_000
PIECE = 256 * 1024
# Bounds every wait for the daemon.
PATIENCE_SECONDS = 60
# So many are connected again in a second at most: to connect is not the attack.
AGAIN_A_SECOND = 50


def compressed(text):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def deflated(text):
    return frame(TEXT, compressed(text), rsv=4, key=NO_MASKING)


def in_fragments(text):
    data = compressed(text)
    half = len(data) // 2
    return frame(TEXT, data[:half], fin=False, rsv=4, key=NO_MASKING) + frame(CONTINUATION, data[half:], key=NO_MASKING)


def bomb():
    return publication("hostile", b'"' + b"0" * LONG + b'"')


def plain(text):
    return frame(TEXT, text, key=NO_MASKING)


def request(**members):
    return plain(json.dumps(members).encode())


def numbers():
    return publication("hostile", b"[" + b",".join([DEAR] * (LONG // (len(DEAR) + 1))) + b"]")


def subscribe_and_leave():
    names = [f"hostile.{n}" for n in range(500)]
    pairs = ([request(type="subscribe", channel=name), request(type="unsubscribe", channel=name)] for name in names)
    return b"".join(data for pair in pairs for data in pair)


def follow_and_leave():
    # All stand for the channels that the witness publishes in, and each time they come and go.
    texts = ["*", ">"] + [".".join(["*"] * parts + [">"]) for parts in range(1, 15)] + [f"hostile.{n}.>" for n in range(100)]
    pairs = ([request(type="subscribe", pattern=text), request(type="unsubscribe", pattern=text)] for text in texts)
    return b"".join(data for pair in pairs for data in pair) + b"".join(
        request(type="subscribe", pattern=text) for text in texts[:16]
    )


def look_up():
    # Deep names and patterns that share nearly all of their parts, and each time that a pattern comes every name has to ask them all.
    parts = ["a"] * 118 + ["z"]
    texts = [".".join(["a" if n >> i & 1 else "*" for i in range(8)] + parts) for n in range(256)]
    names = [".".join(["a"] * 126 + [f"{n:x}"]) for n in range(20)]
    publications = b"".join(request(type="publish", channel=name, data=1) for name in names)
    kept = b"".join(request(type="subscribe", pattern=text) for text in random.sample(texts, 15))
    return kept + b"".join(
        request(type="subscribe", pattern=text) + request(type="unsubscribe", pattern=text) + publications for text in texts
    )


def pump():
    return request(type="subscribe", channel="history", last=1000) + request(type="unsubscribe", channel="history")


def post():
    body = b"[" + b"1," * 200 + b"1]"
    return b"POST /channels/hostile HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


# What each connection sends over and over, and how: compressed if agreed, whether it reads what comes,
# whether it stops after the first time, or sends once each so many seconds (`pace`), and whether it speaks HTTP.
ATTACKS = {
    "bombs": dict(data=lambda: deflated(bomb()), deflate=True),
    "fragments": dict(data=lambda: in_fragments(bomb()), deflate=True, pace=0.1),
    "numbers": dict(data=lambda: plain(numbers())),
    "deflated numbers": dict(data=lambda: deflated(numbers()), deflate=True),
    "half messages": dict(data=lambda: plain(b" " * LONG)[:-100], once=True),
    "subscriptions": dict(data=subscribe_and_leave, reads=True),
    "patterns": dict(data=follow_and_leave, reads=True),
    "deep patterns": dict(data=look_up, reads=True),
    "history": dict(data=pump, reads=True),
    "pings": dict(data=lambda: frame(PING, b"x" * 125, key=NO_MASKING)),
    "posts": dict(data=post, reads=True, http=True),
}


class Attack:
    def __init__(self, work):
        self.address = tuple(work["address"])
        how = ATTACKS[work["attack"]]
        data = how["data"]()
        self.once = how.get("once", False)
        self.reads = how.get("reads", False)
        self.http = how.get("http", False)
        self.deflate = how.get("deflate", False)
        self.pace = how.get("pace", 0)
        self.data = memoryview(data if self.once or self.pace else data * max(1, PIECE // len(data)))
        self.sent = self.closed = 0
        self.poll = select.epoll()
        self.places = {}
        for _ in range(work["count"]):
            self.connect()

    def connect(self):
        sock = dial(self.address)
        if not self.http:
            sock.sendall(upgrade("%s:%d" % self.address, deflate=self.deflate))
            head = b""
            while b'"type":"welcome"' not in head:
                piece = sock.recv(4096)
                if not piece:
                    raise AssertionError(f"no welcome but {head!r}")
                head += piece
        sock.setblocking(False)
        self.places[sock.fileno()] = [sock, 0]

    def run(self, ending):
        for number in self.places:
            self.poll.register(number, self.interest())
        silent = set(self.places)
        again = time.monotonic()
        due = again + self.pace
        lost = 0
        while not ending.is_set():
            if self.pace and time.monotonic() >= due:
                due += self.pace
                for number in self.places:
                    self.poll.modify(number, self.interest())
            for number, event in self.poll.poll(0.01):
                if not self.serve(number, event):
                    self.closed += 1
                    lost += 1
                if number in silent:
                    silent.discard(number)
                    if not silent:
                        report("begun")
            if lost and time.monotonic() >= again:
                again = time.monotonic() + 1 / AGAIN_A_SECOND
                lost -= 1
                self.connect()
                self.poll.register(next(reversed(self.places)), self.interest())

    def interest(self):
        return select.EPOLLOUT | (select.EPOLLIN if self.reads else 0)

    def length(self, number):
        """How much of its data a connection sends. What is never finished has many lengths, so that it fills small gaps too."""
        return len(self.data) // (1 + number % 40) if self.once else len(self.data)

    def serve(self, number, event):
        """Sends and reads what can be; False once the connection is over."""
        sock, at = self.places[number]
        try:
            if self.reads and event & select.EPOLLIN and not sock.recv(1 << 20):
                raise ConnectionResetError
            if event & select.EPOLLOUT:
                sent = sock.send(self.data[at : self.length(number)])
                self.sent += sent
                at = (at + sent) % self.length(number)
                self.places[number][1] = at
                if (self.once or self.pace) and at == 0:
                    # All is said, for now at least. What is to be noticed now is only the end.
                    self.poll.modify(number, select.EPOLLRDHUP)
            if event & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except ConnectionError:
            self.poll.unregister(number)
            del self.places[number]
            sock.close()
            return False
        return True


def main():
    raise_file_limit()
    attack = Attack(task())
    beginning, ending = threading.Event(), threading.Event()
    listen(lambda order: (beginning if "begin" in order else ending).set())
    report("ready")
    if not beginning.wait(PATIENCE_SECONDS):
        raise AssertionError("nobody said when to begin")
    attack.run(ending)
    report("done", bytes=attack.sent, closed=attack.closed)


try:
    main()
except Exception as error:
    failed(error)
