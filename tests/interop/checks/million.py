"""A million lines through `fanfare pub --ack` to two `fanfare sub`: all there, in order, in flat memory."""

import hashlib
import subprocess
import threading
import time

LINES = 1_000_000
# What a command may hold at its peak: some 10 MiB of it are the program itself.
PEAK_MIB = 40


def run(context):
    numbers = b"".join(b"%d\n" % number for number in range(1, LINES + 1))
    wanted = hashlib.sha256(numbers).hexdigest()
    with context.daemon("--retain-bytes", "128MiB") as daemon:
        url = daemon.url
        subscribers = [Subscriber(context.binary, url) for _ in range(2)]
        for subscriber in subscribers:
            subscriber.wait_until_subscribed()
        began = time.monotonic()
        publisher = subprocess.Popen(
            [context.binary, "pub", "--url", url, "--ack", "n"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        peak = Peak(publisher.pid)
        _, said = publisher.communicate(numbers)
        took = time.monotonic() - began
        context.equal("the publisher ends with 0", publisher.returncode, 0)
        context.holds("and counts all lines", b"1000000 published" in said, said.decode().splitlines()[-1])
        context.holds("in flat memory", peak.mib() < PEAK_MIB, f"{peak.mib():.0f} MiB at the most")
        for number, subscriber in enumerate(subscribers, 1):
            subscriber.wait()
            context.equal(f"subscriber {number} ends with 0", subscriber.process.returncode, 0)
            context.equal(f"subscriber {number} printed 1 to {LINES} in order", subscriber.digest.hexdigest(), wanted)
            peak = subscriber.peak.mib()
            context.holds(f"subscriber {number} did so in flat memory", peak < PEAK_MIB, f"{peak:.0f} MiB at the most")
        context.note(f"{LINES / took:,.0f} lines a second, with two subscribers beside")


class Subscriber:
    """A `fanfare sub` that ends after all lines; what it prints is hashed as it comes."""

    def __init__(self, binary, url):
        self.process = subprocess.Popen(
            [binary, "sub", "--url", url, "--count", str(LINES), "n"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.peak = Peak(self.process.pid)
        self.digest = hashlib.sha256()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while chunk := self.process.stdout.read1(1 << 16):
            self.digest.update(chunk)

    def wait_until_subscribed(self):
        for line in self.process.stderr:
            if b"subscribed to" in line:
                return
        raise AssertionError("it did not subscribe")

    def wait(self):
        self.reader.join(timeout=120)
        self.process.wait(timeout=10)
        self.process.stderr.close()


class Peak:
    """The most memory that a process was seen to hold."""

    def __init__(self, pid):
        self.kib = 0
        self._watch = threading.Thread(target=self._follow, args=(pid,), daemon=True)
        self._watch.start()

    def _follow(self, pid):
        try:
            while True:
                with open(f"/proc/{pid}/status") as status:
                    for line in status:
                        if line.startswith("VmHWM:"):
                            self.kib = max(self.kib, int(line.split()[1]))
                time.sleep(0.05)
        except (OSError, ValueError):
            pass

    def mib(self):
        return self.kib / 1024
