"""Messages of every kind of JSON value, from 1 byte to 60 KiB, the same in every run of one seed."""

import random
import struct

LARGEST = 60 * 1024

# Written as a person or another language's encoder might; each must come back as these very bytes.
CURIOUS = [
    b"0", b"7", b"-0", b"-0.0", b"0.10", b"1E+2", b"1e-7", b"-1.5E-10", b"1180591620717411303424",
    b"123456789012345678901234567890", b"18446744073709551616", b"9007199254740993",
    b"1.7976931348623157e308", b"5e-324", b"0.30000000000000004", b"100000000000000000000.000",
    b"true", b"false", b"null", b'""', b"{}", b"[]", b'" "', b'"\\u0041"', b'"\\u0000"', b'"\\/"',
    b'"\\"\\\\\\b\\f\\n\\r\\t"', b'"\\ud83d\\ude00"', b'"\\uD834\\uDD1E"',
    '"æøå ∑ 漢字 \U0001f600 \U0010ffff"'.encode(), '"\u2028\u2029\ufeff\x7f"'.encode(),
    b'{"a":1,"a":2}', b'{"":{"":[]}}', b'[ 1 ,\t2,\n3,\r\n4 ]', b'{ "k" :\t"v" ,"z":[ ] }',
    b'"}"', b'"{\\"type\\":\\"message\\"}"', b'{"data":{"data":1},"channel":"x","seq":3}',
    b"[" * 60 + b"]" * 60, b'{"a":' * 30 + b"null" + b"}" * 30, b"[[],[[]],{}]", b"[0.10,1E+2,-0]",
]

WORDS = "price volume märz 漢字 tick \\u00e9 \U0001f680 line\\nbreak quote\\\"d slash\\/ plain text".split(" ")


def spaced(rng):
    return rng.choice([b"", b"", b"", b" ", b"\n", b"\t ", b"\r\n  "])


def value(rng, budget, depth=0):
    """A random JSON value of roughly `budget` bytes."""
    if budget < 12 or depth > 40:
        return rng.choice(CURIOUS[:30])
    kind = rng.randrange(5)
    if kind == 0:
        text = ""
        while len(text) < budget * 0.8:
            text += rng.choice(WORDS) + " "
        return b'"' + text.encode() + b'"'
    parts = []
    left = budget
    while left > 0:
        part = value(rng, rng.randint(1, max(1, min(left, budget // 2))), depth + 1)
        if kind < 3:
            key = rng.choice(WORDS).encode()
            part = b'"' + key + b'"' + spaced(rng) + b":" + spaced(rng) + part
        part = spaced(rng) + part + spaced(rng)
        parts.append(part)
        left -= len(part) + 1
    inner = b",".join(parts)
    return b"{" + inner + b"}" if kind < 3 else b"[" + inner + b"]"


def large(rng, size, parts):
    """A string, or an object around an array of some of `parts`, of exactly `size` bytes."""
    if rng.random() < 0.2:
        letter = rng.choice(["x", "é", "漢", "\U0001f600"]).encode()
        count = (size - 2) // len(letter)
        return b'"' + letter * count + b"-" * (size - 2 - count * len(letter)) + b'"'
    body = bytearray(b'{"list":[')
    while True:
        part = rng.choice(parts)
        if len(body) + len(part) + 4 > size:
            break
        body += part + b","
    body += b"0]"
    return bytes(body) + b" " * (size - len(body) - 1) + b"}"


def make(count, total, seed):
    """`count` values of about `total` bytes in all, most of them under 1 KiB."""
    rng = random.Random(seed)
    small = [value(rng, rng.choice([1, 20, 100, 300, 700])) for _ in range(count - len(CURIOUS))]
    small = [data if len(data) <= 1000 else b"[%d]" % len(data) for data in small]
    parts = [data for data in small if data.count(b"[") + data.count(b"{") < 50]
    left = total - sum(map(len, small))
    index = 0
    while left > 0 and index < len(small) // 4:
        size = min(rng.randint(1100, LARGEST), max(1100, left))
        small[index] = large(rng, size, parts)
        left -= size
        index += 1
    values = small + CURIOUS
    values[0] = large(rng, LARGEST, parts)
    rng.shuffle(values)
    return values


def save(path, values):
    """Writes `values`, each after its length in four bytes, for clients of any language to read."""
    with open(path, "wb") as file:
        for data in values:
            file.write(struct.pack("!I", len(data)) + data)


def load(path):
    with open(path, "rb") as file:
        raw = file.read()
    values = []
    at = 0
    while at < len(raw):
        (length,) = struct.unpack_from("!I", raw, at)
        values.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return values
