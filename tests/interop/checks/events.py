"""Event streams: a browser's `EventSource` and `curl -N`, cut at random, miss nothing and get nothing twice; also through nginx."""

import json
import os
import random
import subprocess
import threading

from support.groups import Groups
from support.proxies import HOST, Certificate, nginx, options
from support.relay import Relay
from support.wire import RawClient

MESSAGES = 2_000
CUTS = 5
SECONDS = 100


def run(context):
    seed = random.Random(context.seed)
    with context.daemon() as daemon:
        by_curl(context, daemon, seed)
        by_browser(context, daemon, seed)
    behind_nginx(context)


def curl(url, *more):
    """A stream that curl reads, unbuffered, as a process whose output is read line by line."""
    command = ["curl", "--silent", "--no-buffer", "--noproxy", "*", "--max-time", str(SECONDS), *more, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def events(lines):
    """The events of a stream, as `(id, data)`, up to its end."""
    place, data = None, []
    for line in lines:
        line = line.rstrip("\n")
        if line.startswith("id: "):
            place = line[4:]
        elif line.startswith("data: "):
            data.append(line[6:])
        elif not line and data:
            yield place, "\n".join(data)
            data = []


def publish_all(daemon, channel, after_each):
    """Publishes numbers from 1 on in a thread, by a WebSocket."""
    def work():
        with RawClient(daemon.address) as publisher:
            for n in range(1, MESSAGES + 1):
                publisher.publish(channel, b"%d" % n)
                after_each(n)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def by_curl(context, daemon, seed):
    cuts = sorted(seed.sample(range(MESSAGES // 10, MESSAGES), CUTS))
    with Relay(daemon.address) as relay:
        url = "http://%s:%d/channels/curled/events" % relay.address
        got, last, streams = [], None, 0
        publisher = None
        while len(got) < MESSAGES and streams < 50 * CUTS:
            streams += 1
            process = curl(url, *(["--header", f"Last-Event-ID: {last}"] if last else []))
            try:
                for line in process.stdout:
                    if line.startswith("id: "):
                        last = line[4:].rstrip("\n")
                    elif line.startswith("data: "):
                        got.append(int(line[6:]))
                    elif line.startswith("retry: ") and publisher is None:
                        publisher = publish_all(daemon, "curled", lambda n: relay.cut() if n in cuts else None)
                    if len(got) == MESSAGES:
                        break
            finally:
                process.kill()
                process.wait()
        publisher.join(SECONDS)
    context.holds("curl is cut off and comes back", streams > 1, f"{streams} streams")
    context.equal("curl with Last-Event-ID misses nothing and gets nothing twice", got, list(range(1, MESSAGES + 1)))


def by_browser(context, daemon, seed):
    cuts = sorted(seed.sample(range(MESSAGES // 10, MESSAGES), 2))
    with Relay(daemon.address) as relay, Groups() as groups:
        page = "http://%s:%d/healthz" % relay.address
        groups.start("events.mjs", page=page, path="/channels/browsed/events", count=MESSAGES, profile=context.path("events.chromium"))
        groups.collect("open", 1, SECONDS)
        publisher = publish_all(daemon, "browsed", lambda n: relay.cut() if n in cuts else None)
        ((_, event),) = groups.collect("done", 1, SECONDS)
        publisher.join(SECONDS)
    context.equal("a browser misses nothing and gets nothing twice", [int(data) for data in event["got"]], list(range(1, MESSAGES + 1)))
    context.holds("though it was cut off and came back by itself", event["opened"] > 1, f"{event['opened']} times")
    context.equal("all of it are messages", set(event["kinds"]), {"message"})


def behind_nginx(context):
    folder = context.path("events.nginx")
    os.mkdir(folder)
    certificate = Certificate(folder)
    with context.daemon(*options()) as daemon, nginx(folder, certificate, [daemon.address[1]]) as proxy:
        more = ["--cacert", certificate.certificate, "--connect-to", f"{HOST}:443:127.0.0.1:{proxy.port}"]
        process = curl(f"https://{HOST}/patterns/proxied/events", *more)
        try:
            first = process.stdout.readline()
            context.holds("a stream through nginx begins at once", first.startswith("retry: "), first)
            with RawClient(daemon.address) as publisher:
                arrived = events(process.stdout)
                for n in range(3):
                    publisher.publish("proxied", b'{"n":%d}' % n)
                    _, data = next(arrived)
                    context.equal(f"message {n} passes nginx before the next is published", json.loads(data), {"channel": "proxied", "data": {"n": n}})
        finally:
            process.kill()
            process.wait()
