"""The JavaScript client of docs/protocol.md: nothing is missed unannounced, and only final closes end it."""

import asyncio
import json
import signal
import threading

import websockets

from support.groups import Groups
from support.pages import blocks
from support.relay import Relay
from support.streams import between, missing
from support.wire import RawClient

CHANNEL = "followed"
SMALL = "followed.window"
MESSAGES = 300
WINDOW = 40
FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 4400, 4403, 4429, 4499]
PASSING = [1001, 1011, 1012, 1013, 3000, 4399, 4500, 4508, 4510]


def run(context):
    (source,) = blocks("protocol.md", "js")
    closes(context, source)
    restarts(context, source)


# --- what a close means


class Closer:
    """A server that welcomes whoever comes to `/CODE` and closes with that code. Counts the visits."""

    def __init__(self):
        self.visits = {}
        self.loop = asyncio.new_event_loop()
        self.server = None
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        if not self.started.wait(20):
            raise AssertionError("the closing server did not start")

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        self.loop.run_forever()

    async def _start(self):
        self.server = await websockets.serve(self._serve, "127.0.0.1", 0, subprotocols=["json.fanfare.v1"])
        self.port = self.server.sockets[0].getsockname()[1]
        self.started.set()

    async def _serve(self, connection):
        code = connection.request.path[1:]
        self.visits[code] = self.visits.get(code, 0) + 1
        await connection.send('{"type":"welcome"}')
        if code == "abort":
            connection.transport.abort()
        elif code == "none":
            await connection.close(1000, "after a second visit") if self.visits[code] > 1 else connection.transport.write(b"\x88\x00")
        else:
            await connection.close(int(code), "as the check wants it")

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)


def closes(context, source):
    closer = Closer()
    codes = [str(code) for code in FINAL + PASSING] + ["abort", "none"]
    follows = [{"name": code, "url": f"ws://127.0.0.1:{closer.port}/{code}", "channels": [], "options": {}} for code in codes]
    with Groups() as groups:
        groups.start("follower.mjs", source=source, follows=follows)
        # "none" ends by the 1000 of its second visit.
        ends = [event for _, event in groups.collect("end", len(FINAL) + 1, 30)]
        ended = {event["name"]: event["first"] for event in ends}
        context.equal("the closes that the page calls final end the client", ended, {str(c): c for c in FINAL} | {"none": 1000})
        wanted = [str(code) for code in PASSING] + ["abort", "none"]
        returned = wait_until(lambda: all(closer.visits.get(code, 0) >= 2 for code in wanted))
        context.holds("after every other close it comes back", returned, str({c: closer.visits.get(c, 0) for c in wanted}))
        context.equal("after a final one it does not", {c: closer.visits.get(str(c)) for c in FINAL}, {c: 1 for c in FINAL})
    closer.stop()


def wait_until(holds, seconds=30):
    event = threading.Event()
    for _ in range(seconds * 50):
        if holds():
            return True
        event.wait(0.02)
    return False


# --- what becomes of messages


class Account:
    """What one follower reported of one channel, and whether it adds up."""

    def __init__(self, publisher, channel):
        self.publisher = publisher
        self.channel = channel
        self.epoch = None
        self.position = 0
        self.seen = []
        self.gaps = []
        self.mistakes = []

    def go_to(self, start, end):
        """What comes next begins at `start` and ends at `end`: nothing that was published may lie before it."""
        if self.epoch is None:
            self.epoch = self.publisher.epochs[self.channel]
        left_out = between(self.publisher.seqs[self.epoch], self.position, start)
        if start <= self.position or left_out:
            self.mistakes.append(f"{start} came after {self.position}, without {left_out[:9]}")
        self.position = end

    def message(self, message):
        self.go_to(message["seq"], message["seq"])
        self.seen.append(message["data"]["n"])

    def gap(self, gap):
        if gap["reason"] == "epoch":
            self.epoch, self.position = gap["epoch"], gap["to"]
        else:
            self.go_to(gap["from"], gap["to"])
        self.gaps.append(gap)


class Followers:
    """One in Node and one in Chromium, each on both channels, and their accounts."""

    NAMES = ("Node", "Chromium")

    def __init__(self, context, groups, source, url, page, publisher):
        self.groups = groups
        self.accounts = {(name, channel): Account(publisher, channel) for name in self.NAMES for channel in (CHANNEL, SMALL)}
        options = {"last": 5, "patience": 1500}
        follow = {"url": url, "channels": [CHANNEL, SMALL], "options": options}
        groups.start("follower.mjs", source=source, follows=[{"name": "Node", **follow}])
        groups.start(
            "follower.mjs", source=source, follows=[{"name": "Chromium", **follow}],
            page=page, profile=context.path("follower"),
        )
        groups.collect("ready", 1, 60, self.take)

    def take(self, _, event):
        given = event.get("first")
        if event["event"] == "message":
            self.accounts[event["name"], given["channel"]].message(given)
        elif event["event"] == "gap":
            self.accounts[event["name"], given["channel"]].gap(given)
        else:
            raise AssertionError(f"unexpected: {event}")

    def until(self, holds, what, seconds=40):
        """Takes reports until `holds(account)` for each account."""
        waited = 0.0
        while not all(holds(account) for account in self.accounts.values()):
            try:
                self.take(*self.groups.events.get(timeout=0.2))
            except Exception as error:
                if type(error).__name__ != "Empty":
                    raise
                waited += 0.2
                if waited > seconds:
                    state = {key: (a.position, a.seen[-1:], a.gaps[-1:]) for key, a in self.accounts.items()}
                    raise AssertionError(f"{what}: not within {seconds} s: {state}") from None


class Publisher:
    """Publishes numbers, from 1 on, to both channels, and knows the seqs that they got in each epoch."""

    def __init__(self):
        self.number = 0
        self.client = None
        self.seqs = {}
        self.epochs = {}

    def go_to(self, daemon):
        self.client = RawClient(daemon.address)

    def publish(self, count):
        for _ in range(count):
            self.number += 1
            for channel in (CHANNEL, SMALL):
                reply = self.client.publish(channel, json.dumps({"n": self.number}).encode())
                self.epochs[channel] = reply["epoch"]
                self.seqs.setdefault(reply["epoch"], []).append(reply["seq"])


def restarts(context, source):
    config = context.path("follower.toml")
    with open(config, "w") as file:
        file.write(f'[[channel]]\nmatch = "{SMALL}"\nretain_messages = {WINDOW}\n')
    publisher = Publisher()
    first = context.daemon("--config", config)
    try:
        with Groups() as groups, Relay(first.address) as relay:
            publisher.go_to(first)
            followers = Followers(context, groups, source, relay.url, first.http + "/", publisher)
            publisher.publish(1)
            followers.until(lambda a: 1 in a.seen, "the first message")
            cuts(context, publisher, followers, relay)
            freeze(context, publisher, followers, first)
            window(context, publisher, followers, relay)
            # Nobody waits for these to arrive.
            publisher.publish(MESSAGES // 6)
            first.kill()
            lost = publisher.number
            second = context.daemon("--config", config)
            with second:
                relay.target = second.address
                publisher.go_to(second)
                publisher.publish(MESSAGES)
                followers.until(lambda a: publisher.number in a.seen, "the messages after the restart")
                relay.cut()
                publisher.publish(WINDOW // 2)
                followers.until(lambda a: publisher.number in a.seen, "the messages after a cut in the new epoch")
            judge(context, followers, lost, publisher.number)
    finally:
        first.kill()


def cuts(context, publisher, followers, relay):
    for _ in range(3):
        publisher.publish(MESSAGES // 6)
        relay.cut()
        publisher.publish(MESSAGES // 6)
        followers.until(lambda a: publisher.number in a.seen or a.gaps, "the messages after a cut")
    accounts = [followers.accounts[name, CHANNEL] for name in Followers.NAMES]
    whole = list(range(1, publisher.number + 1))
    context.equal("connections that are cut cost no message", [a.seen == whole and not a.gaps for a in accounts], [True, True])


def freeze(context, publisher, followers, daemon):
    daemon.signal(signal.SIGSTOP)
    # Longer than the followers' patience: they give the connection up, and the next ones too.
    threading.Event().wait(2.5)
    daemon.signal(signal.SIGCONT)
    publisher.publish(10)
    followers.until(lambda a: publisher.number in a.seen, "the messages after the daemon was frozen")
    accounts = [followers.accounts[name, CHANNEL] for name in Followers.NAMES]
    whole = list(range(1, publisher.number + 1))
    context.equal("a daemon that says nothing for a while costs no message", [a.seen == whole for a in accounts], [True, True])


def window(context, publisher, followers, relay):
    before = {name: len(followers.accounts[name, SMALL].gaps) for name in Followers.NAMES}
    relay.go_down()
    publisher.publish(WINDOW * 2)
    seqs = publisher.seqs[publisher.epochs[SMALL]]
    relay.come_up()
    followers.until(lambda a: publisher.number in a.seen, "what the window still holds")
    for name in Followers.NAMES:
        gaps = followers.accounts[name, SMALL].gaps[before[name]:]
        plain = [(gap["reason"], missing(gap, seqs)) for gap in gaps]
        context.equal(f"{name}: who comes back too late is told of exactly what it missed", plain, [("expired", seqs[-2 * WINDOW : -WINDOW])])


def judge(context, followers, lost, last):
    for (name, channel), account in followers.accounts.items():
        context.equal(f"{name}: on {channel!r} each message comes in its turn or its gap does", account.mistakes, [])
        restarts_told = [gap["reason"] for gap in account.gaps].count("epoch")
        context.equal(f"{name}: on {channel!r} the restart is announced, once", restarts_told, 1)
        after = [n for n in account.seen if n > lost]
        held = MESSAGES if channel == CHANNEL else WINDOW
        context.holds(f"{name}: on {channel!r} all comes that is published afterwards and held", after == list(range(last + 1 - len(after), last + 1)) and len(after) >= held, f"{len(after)} messages")
        context.equal(f"{name}: on {channel!r} nothing comes twice", len(set(account.seen)), len(account.seen))
