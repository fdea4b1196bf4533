"""Lines with keys through `fanfare pub` and a network that is cut ten times at random: each is in the log exactly once, in order."""

import hashlib
import subprocess
import threading

from support.relay import Relay

LINES = 200_000
FULL_LINES = 1_000_000
CUTS = 10
PATIENCE_SECONDS = 100


def run(context):
    lines = FULL_LINES if context.full else LINES
    numbers = b"".join(b"%d\n" % number for number in range(1, lines + 1))
    random = context.random()
    cuts = sorted(random.randrange(lines * 95 // 100) for _ in range(CUTS))
    with context.daemon("--retain-bytes", "128MiB") as daemon, Relay(daemon.address) as relay:
        subscriber = Subscriber(context.binary, daemon.url, lines, cuts, relay)
        publisher = subprocess.Popen(
            [context.binary, "pub", "--url", relay.url, "--key-prefix", "a", "n"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _, said = publisher.communicate(numbers, timeout=PATIENCE_SECONDS)
        context.equal("the publisher ends with 0", publisher.returncode, 0)
        context.holds("and counts all lines", b"%d published" % lines in said, said.decode().splitlines()[-1])
        context.holds("it was cut ten times", subscriber.done() == CUTS, f"{subscriber.cut} times")
        wanted = hashlib.sha256(numbers).hexdigest()
        context.equal(f"the channel has 1 to {lines} in order, each once", subscriber.digest.hexdigest(), wanted)
        published = daemon.sums()["messages"]
        context.equal("and nothing else was published", published, lines)


class Subscriber:
    """A `fanfare sub` past the network, which ends after all lines. It cuts the network when so many have come."""

    def __init__(self, binary, url, lines, cuts, relay):
        self.process = subprocess.Popen(
            [binary, "sub", "--url", url, "--count", str(lines), "n"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for line in self.process.stderr:
            if b"subscribed to" in line:
                break
        self.digest = hashlib.sha256()
        self.cut = 0
        self._reader = threading.Thread(target=self._read, args=(cuts, relay), daemon=True)
        self._reader.start()

    def _read(self, cuts, relay):
        count = 0
        while chunk := self.process.stdout.read1(1 << 16):
            self.digest.update(chunk)
            count += chunk.count(b"\n")
            while self.cut < len(cuts) and count > cuts[self.cut]:
                self.cut += 1
                relay.cut()

    def done(self):
        self._reader.join(timeout=PATIENCE_SECONDS)
        self.process.wait(timeout=10)
        self.process.stderr.close()
        return self.cut
