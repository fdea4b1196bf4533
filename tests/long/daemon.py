"""The daemon of a long test, whichever process it is at the moment."""

import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
FANFARE = os.path.join(RELEASE, "fanfare")
LOADTEST = os.path.join(RELEASE, "loadtest")

# Clients at the level of bytes, and certificates.
sys.path.insert(0, os.path.join(ROOT, "tests", "interop"))


class Failure(Exception):
    """What does not hold, for people."""


def build():
    """Builds the two programs, as all that measures and checks does."""
    command = ["cargo", "build", "--release", "--quiet", "--locked", "-p", "fanfare", "-p", "loadtest"]
    subprocess.run(command, check=True, cwd=ROOT)


class Daemon:
    """It begins on a port that the kernel picks. Its configuration and its log lie in a folder of the test's own, by which its processes are known."""

    def __init__(self, folder, config, *arguments):
        self.config = os.path.join(folder, "fanfare.toml")
        self.log = os.path.join(folder, "fanfare.log")
        self.write(config)
        command = [FANFARE, "serve", "--listen", "127.0.0.1:0", "--admin", "off", "--config", self.config, *arguments]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        self.address = ("127.0.0.1", int(self.wait_for(r"listening on ws://127\.0\.0\.1:(\d+)", 20)))

    def write(self, config):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, pattern, seconds, between=0.05):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = re.search(pattern, self.said())
            if found:
                return found[1]
            time.sleep(between)
        raise Failure(f"the daemon's log has no {pattern!r} after {seconds} s")

    def memory(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def reload(self, config):
        self.write(config)
        os.kill(self.pid, signal.SIGHUP)

    def restart(self):
        """Restarts it, and returns what the command said."""
        before = self.pid
        command = [FANFARE, "restart", "--pid", str(before)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise Failure(f"the restart failed: {done.stdout}{done.stderr}")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            running = self.running()
            if len(running) == 1 and running != [before]:
                self.pid = running[0]
                return done.stdout.strip()
            time.sleep(0.05)
        raise Failure("the successor is not there, or the process before it stays")

    def running(self):
        """The processes of this daemon."""
        self.process.poll()
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and self.has(pid)]

    def has(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                is_ours = self.config.encode() in file.read()
            return is_ours and os.readlink(f"/proc/{pid}/exe").startswith(FANFARE)
        except OSError:
            # A zombie, or gone.
            return False

    def stop(self):
        for pid in self.running():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        until = time.monotonic() + 30
        while time.monotonic() < until and self.running():
            time.sleep(0.1)
