"""Clients in processes of their own: told what to do by a line of JSON, reporting in lines of JSON."""

import json
import os
import queue
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.join(HERE, "..", "clients")


class Groups:
    """The client processes of one check. Ends them, by pid, with the block."""

    def __init__(self):
        self.events = queue.Queue()
        self.members = []

    def start(self, script, **task):
        """Starts a client, `NAME.py` or `NAME.mjs`, with its task."""
        path = os.path.join(CLIENTS, script)
        runner = ["node"] if script.endswith(".mjs") else [sys.executable, "-u"]
        environment = dict(os.environ, PYTHONPATH=os.path.join(HERE, ".."))
        group = Group([*runner, path, json.dumps(task)], environment, self.events)
        self.members.append(group)
        return group

    def tell(self, **order):
        """Sends every client an order."""
        for group in self.members:
            group.tell(**order)

    def collect(self, kind, count, seconds, others=None):
        """Waits until `count` clients have reported an event `kind`; returns `[(group, event)]`.

        Events of another kind go to `others(group, event)`. A client that fails or ends early
        fails the check.
        """
        deadline = time.monotonic() + seconds
        found = []
        while len(found) < count:
            try:
                group, event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{len(found)} of {count} clients reported {kind!r} within {seconds} s")
            if event["event"] == kind:
                found.append((group, event))
            elif event["event"] == "failed":
                raise AssertionError(f"{group.name}: {event['why']}")
            elif others:
                others(group, event)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for group in self.members:
            group.end()


class Group:
    """One client process."""

    def __init__(self, command, environment, events):
        self.name = os.path.basename(command[-2])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self.ending = False
        threading.Thread(target=self._read, args=(events,), daemon=True).start()

    def _read(self, events):
        for line in self.process.stdout:
            events.put((self, json.loads(line)))
        if not self.ending:
            status = self.process.wait()
            if status != 0:
                events.put((self, {"event": "failed", "why": f"ended with status {status}"}))

    def tell(self, **order):
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended; whoever waits for its report learns why

    def kill(self):
        """Ends it at once, so that the system closes its sockets."""
        self.ending = True
        self.process.kill()

    def end(self):
        if self.process.poll() is None:
            self.kill()
        self.process.wait()
