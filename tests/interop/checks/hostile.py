"""Hundreds of connections that ask for as much work as they can hardly delay anybody else's ping.

The witness's delay under each attack is held against its delay on the same daemon before it, with a floor, since an attack also
takes the processors from the witness. A busy machine can delay anything: so a delay counts only if the daemon has spent it on the
processor, on somebody else's behalf, and an attack that seems to be felt is tried again. A defect is felt every time.
"""

import time

from support.groups import Groups
from support.wire import NO_MASKING, TEXT, RawClient, frame, publication

# How many attack at once.
CONNECTIONS = 400
# Less than they send in half messages.
INPUT_TOTAL = "1MiB"
ATTACKS = {
    "bombs": "compressed messages of 60 KB in 120 bytes",
    "fragments": "a compressed message of each connection in two fragments, all at once, ten times a second,",
    "numbers": "numbers that are dear to parse",
    "deflated numbers": "the same compressed",
    "half messages": "messages that are never finished",
    "subscriptions": "subscribing and leaving",
    "patterns": "subscribing to patterns of the widest kind and leaving them",
    "deep patterns": "patterns and names of many parts, which come and go,",
    "history": "asking for history without an end",
    "pings": "pings whose pongs nobody reads",
    "posts": "POST requests, one behind the other",
}
SECONDS = 2.0
# To leave the processors to the others; on top of that it waits for its pong.
PAUSE_SECONDS = 0.004
LONGEST_SECONDS = 10
ATTEMPTS = 3
PATIENCE_SECONDS = 60
# Of the pings, 95 in 100 take no longer than so many times what as many take on the idle daemon, or than this.
RATIO = 20
PING_SECONDS = 0.060
# And of the time that the daemon is on the processor between the ping and its pong.
PING_CPU_SECONDS = 0.025
# Of the new connections, the one in the middle.
CONNECT_SECONDS = 0.150


class Delays:
    """What a witness experiences in some seconds."""

    def __init__(self, daemon, client, seconds):
        pings, connects, works = [], [], []
        began = time.monotonic()
        # Some more of both than the figures need, unless a defect makes it last.
        while (took := time.monotonic() - began) < seconds or (len(pings) < 50 and took < LONGEST_SECONDS):
            started, used = time.monotonic(), daemon.cpu_seconds()
            client.roundtrip()
            pings.append(time.monotonic() - started)
            works.append(daemon.cpu_seconds() - used)
            if len(pings) % 20 == 1:
                started = time.monotonic()
                RawClient(daemon.address).close()
                connects.append(time.monotonic() - started)
            time.sleep(PAUSE_SECONDS)
        self.pings, self.connects, self.works = sorted(pings), sorted(connects), sorted(works)

    def ping(self):
        return self.pings[len(self.pings) * 95 // 100]

    def work(self):
        return self.works[len(self.works) * 95 // 100]

    def connect(self):
        return self.connects[len(self.connects) // 2]

    def __str__(self):
        worst = self.pings[-1]
        return f"ping {self.ping() * 1e3:.1f} ms, {self.work() * 1e3:.1f} ms of CPU, at most {worst * 1e3:.1f} ms; connecting {self.connect() * 1e3:.1f} ms"


def run(context):
    for name, what in ATTACKS.items():
        for _ in range(ATTEMPTS):
            felt = attempt(context, name)
            if not felt:
                break
            context.note(f"{what}: {felt}")
        context.holds(f"{what} delay nobody else much", not felt, felt)


def attempt(context, name):
    """Why somebody else has felt the attack; empty if nobody has."""
    options = ["--input-total", INPUT_TOTAL] if name == "half messages" else []
    with context.daemon(*options) as daemon, Groups() as attackers, RawClient(daemon.address) as witness:
        for n in range(1000):
            witness.send(TEXT, publication("history", b"%d" % n), key=NO_MASKING)
        idle = Delays(daemon, witness, SECONDS / 4)
        attackers.start("attackers.py", address=daemon.address, attack=name, count=CONNECTIONS)
        attackers.collect("ready", 1, PATIENCE_SECONDS)
        attackers.tell(begin=True)
        attackers.collect("begun", 1, PATIENCE_SECONDS)
        under = Delays(daemon, witness, SECONDS)
        refused = publish_in_two_pieces(witness)
        attackers.tell(end=True)
        ((_, done),) = attackers.collect("done", 1, PATIENCE_SECONDS)
        attackers.members[0].end()
    context.note(f"{name}: {under}; idle: {idle}; {done['bytes'] >> 10} KiB sent, {done['closed']} closed")
    felt = []
    works = under.work() > PING_CPU_SECONDS
    if works and under.ping() > max(PING_SECONDS, RATIO * idle.ping()):
        felt.append(f"95 in 100 pings take up to {under.ping() * 1e3:.0f} ms, {under.ping() / idle.ping():.0f} times as long as before")
    if works and under.connect() > max(CONNECT_SECONDS, RATIO * idle.connect()):
        felt.append(f"a new connection takes {under.connect() * 1e3:.0f} ms, before it took {idle.connect() * 1e3:.0f} ms")
    if refused:
        felt.append(refused)
    return "; ".join(felt)


def publish_in_two_pieces(witness):
    """A message that comes in two pieces is nobody's attack. Says what went wrong."""
    for size in (10, 3_000, 30_000):
        data = frame(TEXT, publication("witness", b'"' + b"w" * size + b'"', size))
        witness.sock.sendall(data[: len(data) // 2])
        # Long enough to be read in two pieces as a rule; nothing is wrong if it is not.
        time.sleep(0.020)
        witness.sock.sendall(data[len(data) // 2 :])
        try:
            witness.until("published")
        except Exception as error:
            return f"a message of {size} bytes in two pieces is refused: {error}"
    return ""
