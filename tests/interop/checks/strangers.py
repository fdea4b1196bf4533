"""Rubbish over raw sockets is answered as the RFC says, and the others never notice."""

import struct

from support.wire import (
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient, dial, frame, read_until_end, reset, upgrade,
)
from support.witness import Witness

RANDOM_STRANGERS = 200
PINGS = 10_000
MAX_MESSAGE = 64 * 1024


def run(context):
    with context.daemon("--echo", "--message-timeout", "2s", "--handshake-timeout", "2s") as daemon:
        with Witness(context, daemon):
            stranger = Stranger(context, daemon)
            stranger.violations()
            stranger.closes()
            stranger.unread_input()
            many_pings(context, daemon)
            a_byte_at_a_time(context, daemon)
            random_bytes(context, daemon)
            vanishing(context, daemon)
            unfinished(context, daemon)
            unread_http(context, daemon)


class Stranger:
    """Sends what it should not, each time on a new connection."""

    def __init__(self, context, daemon):
        self.context = context
        self.daemon = daemon

    def sends(self, what, data, code, path="/"):
        """`data` must be answered with a close of `code`, then a FIN, and not a reset."""
        client = RawClient(self.daemon.address, path=path)
        client.sock.sendall(data)
        closed = client.until_closed()
        end = client.until_closed()
        orderly = end.code == 1006 and "end of stream" in end.reason
        detail = f"{closed.code} {closed.reason!r}" + ("" if orderly else f", then {end}")
        self.context.holds(f"{what}: {code}", closed.code == code and orderly, detail)
        client.close()

    def violations(self):
        nonminimal = bytes([0x81, 0x80 | 126]) + struct.pack("!H", 5) + b"\0\0\0\0hello"
        nonminimal8 = bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 300) + b"\0\0\0\0" + b"x" * 300
        huge = bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 1 << 63) + b"\0\0\0\0"
        self.sends("a frame unmasked", frame(TEXT, b"{}", masked=False), 1002)
        self.sends("RSV1 without permessage-deflate", frame(TEXT, b"{}", rsv=4), 1002)
        self.sends("RSV2", frame(TEXT, b"{}", rsv=2), 1002)
        self.sends("RSV3", frame(TEXT, b"{}", rsv=1), 1002)
        self.sends("an opcode that is reserved", frame(3, b"{}"), 1002)
        self.sends("a control opcode that is reserved", frame(11), 1002)
        self.sends("a length of 2^63", huge, 1002)
        self.sends("a length not minimal", nonminimal, 1002)
        self.sends("a longer one not minimal", nonminimal8, 1002)
        self.sends("a ping in fragments", frame(PING, b"a", fin=False), 1002)
        self.sends("a ping of 126 bytes", frame(PING, b"x" * 126), 1002)
        self.sends("a continuation of nothing", frame(CONTINUATION, b"{}"), 1002)
        self.sends("a message within a message", frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002)
        self.sends("text that is not UTF-8", frame(TEXT, b'{"type":"\xff"}'), 1007)
        self.sends("text with a surrogate in UTF-8", frame(TEXT, b'{"type":"\xed\xa0\x80"}'), 1007)
        self.sends("bad UTF-8 across fragments", frame(TEXT, b'"\xf4', fin=False) + frame(CONTINUATION, b'\x90\x80\x80"'), 1007)
        # On /echo only: json.fanfare.v1 leaves the check to its parser, which looks at whole messages.
        endless = frame(TEXT, b"\xf4\x90", fin=False)
        self.sends("on /echo, bad UTF-8 in a fragment whose message never ends", endless, 1007, path="/echo")
        self.sends("a message too large, at its header", frame(TEXT, b"x" * (MAX_MESSAGE + 1))[:14], 1009)
        fragments = frame(TEXT, b" " * 40_000, fin=False) + frame(CONTINUATION, b" " * 40_000)[:20]
        self.sends("a message too large in fragments", fragments, 1009)
        self.sends("a length of 2^62", bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 1 << 62) + b"\0\0\0\0", 1009)
        self.sends("a binary message", frame(BINARY, b"{}"), 1003)

    def closes(self):
        self.sends("a close of 1 byte", frame(CLOSE, b"\x03"), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535):
            self.sends(f"a close with {code}, which may not be sent", frame(CLOSE, struct.pack("!H", code)), 1002)
        self.sends("a close whose reason is not UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007)
        self.sends("a close with 1000", frame(CLOSE, b"\x03\xe8bye"), 1000)
        self.sends("a close with 4999", frame(CLOSE, struct.pack("!H", 4999)), 4999)
        client = RawClient(self.daemon.address)
        client.sock.sendall(frame(CLOSE))
        self.context.equal("a close without a code is answered likewise or with 1000", client.until_closed().code in (1000, 1005), True)
        client.close()

    def unread_input(self):
        # What follows the violation is more than the kernel's buffers have been asked to take.
        more = frame(TEXT, b" " * 60_000) * 10
        self.sends("a violation with 600 KB after it, still told why", frame(TEXT, b"{}", rsv=2) + more, 1002)


def many_pings(context, daemon):
    client = RawClient(daemon.address, receive_buffer=4096)
    client.next_text()
    client.sock.sendall(b"".join(frame(PING, b"%d" % n) for n in range(PINGS)))
    answered = 0
    newest = -1
    while newest != PINGS - 1:
        first, payload = client.next_frame()
        if first == 0x80 | PONG:
            if int(payload) <= newest:
                break
            answered += 1
            newest = int(payload)
    context.equal("of 10,000 pings sent without reading the newest is answered", newest, PINGS - 1)
    context.note(f"{answered} pongs for {PINGS} pings")
    client.close()


def a_byte_at_a_time(context, daemon):
    host = "%s:%d" % daemon.address
    sock = dial(daemon.address)
    for byte in upgrade(host):
        sock.sendall(bytes([byte]))
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    context.holds("a handshake that comes a byte at a time succeeds", head.startswith(b"HTTP/1.1 101 "), f"{head[:40]!r}")
    for byte in frame(TEXT, b'{"type":"ping",', fin=False) + frame(PING, b"hello") + frame(CONTINUATION, b'"id":"\xc3\xa9"}'):
        sock.sendall(bytes([byte]))
    sock.sendall(frame(CLOSE))
    said, _ = read_until_end(sock)
    whole = b'{"type":"pong","id":"\xc3\xa9"}' in said and b"\x8a\x05hello" in said
    context.holds("and so do fragments with a ping between them", whole, "" if whole else repr(said))
    sock.close()


def random_bytes(context, daemon):
    rng = context.random()
    ends = []
    for _ in range(RANDOM_STRANGERS):
        client = RawClient(daemon.address)
        try:
            client.sock.sendall(rng.randbytes(rng.randint(1, 3000)))
            client.sock.shutdown(1)
        except ConnectionError:
            pass  # already refused
        ends.append(client.until_closed().code)
        client.close()
    context.holds("random bytes as frames end the connection", len(ends) == RANDOM_STRANGERS, ", ".join(f"{code}: {ends.count(code)}" for code in sorted(set(ends))))
    answers = []
    for _ in range(RANDOM_STRANGERS):
        sock = dial(daemon.address)
        try:
            sock.sendall(rng.randbytes(rng.randint(1, 3000)))
            sock.shutdown(1)
        except ConnectionError:
            pass
        said, _ = read_until_end(sock)
        answers.append(said[9:12].decode())
        sock.close()
    refused = set(answers) <= {"400", "431", "505", ""}
    context.holds("random bytes as a request are refused", refused, ", ".join(f"{s or 'nothing'}: {answers.count(s)}" for s in sorted(set(answers))))


def vanishing(context, daemon):
    before = daemon.sums()
    clients = [RawClient(daemon.address) for _ in range(200)]
    for client in clients:
        client.subscribe("witness.not")
    with RawClient(daemon.address) as publisher:
        for index, client in enumerate(clients):
            # Some in the middle of a frame, some with messages unread.
            if index % 3 == 0:
                client.sock.sendall(frame(TEXT, b"x" * 100)[:50])
            if index % 20 == 0:
                publisher.publish("witness.not", b"[1]")
            reset(client.sock)
        publisher.publish("witness.not", b'"after"')
    with RawClient(daemon.address) as after:
        after.subscribe("witness.not", last=1)
        context.equal("200 subscribers that vanish with a reset leave their channel working", after.next_json()["data"], "after")
    gone = daemon.sums()
    context.holds("and are counted as gone", gone["connections"] <= before["connections"] + 2, f"{gone['connections']} connections left")


def unfinished(context, daemon):
    half = RawClient(daemon.address)
    half.sock.sendall(frame(TEXT, b"x" * 1000)[:500])
    end = half.until_closed()
    context.holds("half a frame for ever is closed after --message-timeout, with a reason", end.code != 1006 and end.reason, str(end))
    sock = dial(daemon.address)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    said, _ = read_until_end(sock)
    context.holds("half a request for ever is a 408 after --handshake-timeout", said.startswith(b"HTTP/1.1 408 "), f"{said[:60]!r}")
    silent = dial(daemon.address)
    said, _ = read_until_end(silent)
    context.holds("who says nothing is let go", said == b"" or said.startswith(b"HTTP/1.1 408 "), f"{said[:60]!r}")


def unread_http(context, daemon):
    body = b"POST /channels/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_000_000
    header = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 1_000_000
    for what, data, status in (("a body too large", body, b"413"), ("a head too large", header, b"431")):
        sock = dial(daemon.address)
        sock.sendall(data)
        said, orderly = read_until_end(sock)
        head, _, text = said.partition(b"\r\n\r\n")
        told = head.startswith(b"HTTP/1.1 " + status) and len(text) > 10 and orderly
        context.holds(f"{what} is a {status.decode()} that can be read to its end, whatever was sent on", told, f"{head[:40]!r} {text[:80]!r}, {'FIN' if orderly else 'reset'}")
        sock.close()
