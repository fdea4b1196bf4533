"""Starts and ends the daemon under test, and reads what it says and what it costs."""

import os
import queue
import re
import resource
import signal
import subprocess
import threading
import time

# The one place that knows how the daemon names its address at start.
ADDRESS = re.compile(r"\b(127\.0\.0\.1):(\d+)\b")
TLS_ADDRESS = re.compile(r"\bwss://(127\.0\.0\.1):(\d+)\b")
ANNOUNCEMENT = re.compile(r"listening", re.IGNORECASE)

START_SECONDS = 20
STOP_SECONDS = 20


def raise_file_limit():
    """Lets this process open as many files as the machine allows; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Daemon:
    """A running `fanfare serve`. As a context manager it ends with the block, by SIGTERM."""

    def __init__(self, binary, *options, listen="127.0.0.1:0"):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FANFARE_")}
        environment.pop("RUST_LOG", None)
        # Several run beside each other; --admin wins over it.
        environment["FANFARE_ADMIN"] = "off"
        command = [binary, "serve", "--listen", listen, *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=environment,
        )
        self.pid = self.process.pid
        self.log = []
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        line = self._announcement()
        host, port = ADDRESS.search(line).groups()
        self.address = (host, int(port))
        self.url = f"ws://{host}:{port}/"
        self.http = f"http://{host}:{port}"

    def tls_port(self):
        """The port of its first listener for TLS. To be asked once, before the log is waited for."""
        line = self.wait_log(lambda line: ANNOUNCEMENT.search(line) and TLS_ADDRESS.search(line), START_SECONDS)
        return int(TLS_ADDRESS.search(line).group(2))

    def _announcement(self):
        try:
            return self.wait_log(
                lambda line: ANNOUNCEMENT.search(line) and ADDRESS.search(line), START_SECONDS
            )
        except AssertionError:
            self.kill()
            raise

    def _read_log(self):
        for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip("\n")
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_log(self, wanted, seconds):
        """The next line not yet waited past for which `wanted(line)` holds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"the daemon did not say what was awaited; its log: {self.log[-5:]}")
            if wanted(line):
                return line

    def sums(self):
        """What SIGUSR1 makes the daemon log: its counters by name, and the line itself as `line`."""
        self.signal(signal.SIGUSR1)
        line = self.wait_log(lambda line: "deliveries" in line, 10)
        counters = {name: int(n) for name, n in re.findall(r"\b([a-z]+) (\d+)\b", line)}
        return counters | {"line": line}

    def rss(self):
        """Resident memory in bytes."""
        return self._status_kib("VmRSS") * 1024

    def peak_rss(self):
        """The most resident memory since the start, in bytes."""
        return self._status_kib("VmHWM") * 1024

    def _status_kib(self, field):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise AssertionError(f"no {field} in /proc/{self.pid}/status: has the daemon ended?")

    def cpu_seconds(self):
        """Time on the CPU since the start, of all threads."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat") as schedstat:
                total += int(schedstat.read().split()[0])
        return total / 1e9

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=STOP_SECONDS):
        """The exit status, once the process has ended and its log is read."""
        status = self.process.wait(timeout=seconds)
        self._reader.join(timeout=seconds)
        return status

    def stop(self):
        """Ends the daemon as an operator would; fails if it does not end well."""
        self.signal(signal.SIGTERM)
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not end within {STOP_SECONDS} s of SIGTERM")
        if status != 0:
            raise AssertionError(f"the daemon ended with status {status}; its log: {self.log[-5:]}")
        panics = [line for line in self.log if "panicked" in line]
        if panics:
            raise AssertionError(f"the daemon panicked: {panics}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if self.process.poll() is not None:
            status = self.process.returncode
            self._reader.join(timeout=5)
            if status != 0 and kind is None:
                raise AssertionError(f"the daemon had ended with {status}; its log: {self.log[-5:]}")
        elif kind is None:
            self.stop()
        else:
            self.kill()
