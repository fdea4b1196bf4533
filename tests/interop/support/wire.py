"""A WebSocket client at the level of bytes: what a library would not let a test send or see."""

import base64
import json
import os
import socket
import struct
import time
import zlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# A mask that changes nothing: legal on the wire, and free for whoever sends a great deal.
NO_MASKING = b"\0\0\0\0"

# Linux's name for "choose the port at connect"; Python does not have it yet.
IP_BIND_ADDRESS_NO_PORT = 24

# Bounds every wait for bytes; generous, since only a defect or a stopped machine reaches it.
PATIENCE_SECONDS = 30


class Closed(Exception):
    """The peer ended the connection: with a close frame (`code`, `reason`), or without (1006)."""

    def __init__(self, code, reason):
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


def mask(payload, key):
    """`payload` XOR the repeated key."""
    if key == NO_MASKING or not payload:
        return payload
    length = len(payload)
    stream = (key * (length // 4 + 1))[:length]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(length, "big")


def frame(opcode, payload=b"", *, fin=True, rsv=0, key=None, masked=True):
    """The bytes of one frame; a client's, unless `masked` is False."""
    key = os.urandom(4) if key is None else key
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    return head + key + mask(payload, key) if masked else head + payload


def upgrade(host, *, path="/", protocol=None, deflate=False, extra=()):
    """The request of an opening handshake."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(),
    ]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    if deflate:
        lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
    return "\r\n".join([*lines, *extra, "", ""]).encode()


def dial(address, *, receive_buffer=None, source=None, timeout=PATIENCE_SECONDS):
    """A TCP connection. A small `receive_buffer` in bytes makes a slow reader's stall reach the sender.

    `source`, another loopback address, has its own 28,000 local ports. Linux gives every other of
    them to `connect` first and then, for each connection, looks through all those in vain: who
    opens more than 14,000 to one port needs several sources.
    """
    sock = socket.socket()
    if source is not None:
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(address)
    return sock


def reset(sock):
    """Ends the connection with RST, as a crashed peer's system does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class RawClient:
    """An open WebSocket on a blocking socket. Reads only when asked to; answers pings when it reads.

    `tls(sock)` makes a TLS socket of the TCP one.
    """

    def __init__(self, address, *, receive_buffer=None, timeout=PATIENCE_SECONDS, chunk=65536, tls=None, **handshake):
        self.sock = dial(address, receive_buffer=receive_buffer, timeout=timeout)
        if tls is not None:
            self.sock = tls(self.sock)
        self.buffer = bytearray()
        self.at = 0
        self.chunk = chunk
        self.received = 0
        self.requests = 0
        self.sock.sendall(upgrade(f"{address[0]}:{address[1]}", **handshake))
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        self.response = bytes(self.buffer[:end]).decode("latin-1")
        self.at = end + 4
        if not self.response.startswith("HTTP/1.1 101 "):
            raise AssertionError(f"no upgrade but {self.response!r}")

    # --- sending

    def send(self, opcode, payload=b"", **options):
        self.sock.sendall(frame(opcode, payload, **options))

    def send_text(self, text, **options):
        self.send(TEXT, text if isinstance(text, bytes) else text.encode(), **options)

    def send_json(self, **members):
        self.send_text(json.dumps(members))

    # --- receiving

    def _more(self):
        if self.at > 1 << 20 or self.at == len(self.buffer):
            del self.buffer[: self.at]
            self.at = 0
        try:
            data = self.sock.recv(self.chunk)
        except ConnectionError as error:
            raise Closed(1006, f"({error.strerror})") from error
        if not data:
            raise Closed(1006, "(end of stream)")
        self.received += len(data)
        self.buffer += data

    def _need(self, count):
        while len(self.buffer) - self.at < count:
            self._more()

    def next_frame(self):
        """The next frame's `(first byte, payload)`. The server's frames are never masked."""
        self._need(2)
        first, length = self.buffer[self.at], self.buffer[self.at + 1]
        head = 2
        if length == 126:
            self._need(4)
            (length,) = struct.unpack_from("!H", self.buffer, self.at + 2)
            head = 4
        elif length == 127:
            self._need(10)
            (length,) = struct.unpack_from("!Q", self.buffer, self.at + 2)
            head = 10
        elif length & 0x80:
            raise AssertionError("the server masked a frame")
        self._need(head + length)
        start = self.at + head
        self.at = start + length
        return first, bytes(self.buffer[start : self.at])

    def next_text(self):
        """The next text message; pings are answered, pongs skipped, a close raises `Closed`."""
        while True:
            first, payload = self.next_frame()
            opcode = first & 0x0F
            if first == 0x80 | TEXT:
                return payload
            if first == 0xC0 | TEXT:
                return inflated(payload)
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                raise self.closed_by(payload)
            elif opcode != PONG:
                raise AssertionError(f"unexpected frame {first:#x} of {len(payload)} bytes")

    @staticmethod
    def closed_by(payload):
        code = struct.unpack_from("!H", payload)[0] if payload else 1005
        return Closed(code, payload[2:].decode())

    def next_json(self):
        return json.loads(self.next_text())

    def until(self, wanted, aside=None):
        """Reads on to the first message whose type is `wanted`; each other one goes to `aside(text)`."""
        start = b'{"type":"' + wanted.encode() + b'"'
        while True:
            text = self.next_text()
            if text.startswith(start):
                return json.loads(text)
            if text.startswith(b'{"type":"error"'):
                raise AssertionError(f"waiting for {wanted!r}, got {text.decode()}")
            if aside:
                aside(text)

    def until_closed(self):
        """Reads on, whatever comes, to the end; returns the `Closed` that says how it ended."""
        while True:
            try:
                self.next_text()
            except Closed as closed:
                return closed

    # --- the sub-protocol

    def ask(self, kind, reply, aside=None, **members):
        """Sends a request and returns its reply."""
        self.requests += 1
        self.send_json(type=kind, id=self.requests, **members)
        answer = self.until(reply, aside)
        if answer.get("id") != self.requests:
            raise AssertionError(f"asked with id {self.requests}, answered {answer}")
        return answer

    def subscribe(self, channel, aside=None, **start):
        return self.ask("subscribe", "subscribed", aside, channel=channel, **start)

    def publish(self, channel, data, aside=None):
        """Publishes `data`, JSON in bytes, and returns its acknowledgement."""
        self.requests += 1
        self.send_text(publication(channel, data, self.requests))
        return self.until("published", aside)

    def roundtrip(self, aside=None):
        """Returns once the daemon has taken everything sent before."""
        return self.ask("ping", "pong", aside)

    # --- the end

    def close(self):
        """Leaves with a FIN and no close frame."""
        self.sock.close()

    def leave(self):
        """Leaves as RFC 6455 has it, and returns how the server answered."""
        self.send(CLOSE, struct.pack("!H", 1000))
        return self.until_closed()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def publication(channel, data, request=None):
    """The text of a `publish`; with an id if `request` is one."""
    name = json.dumps(channel).encode()
    numbered = b'"id":%d,' % request if request is not None else b""
    return b'{"type":"publish",' + numbered + b'"channel":' + name + b',"data":' + data + b"}"


def inflated(payload):
    """A compressed message's text (RFC 7692 §7.2.2); the server never takes its window along."""
    return zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")


def read_until_end(sock, seconds=PATIENCE_SECONDS):
    """Everything up to the peer's FIN; a reset counts as an end too. Returns `(bytes, ended with FIN)`."""
    deadline = time.monotonic() + seconds
    data = bytearray()
    while time.monotonic() < deadline:
        sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            return bytes(data), False
        except TimeoutError:
            break
        if not piece:
            return bytes(data), True
        data += piece
    raise AssertionError(f"the connection was not ended within {seconds} s; it said {bytes(data[:200])!r}")
