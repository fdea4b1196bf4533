"""The daemon behind nginx and haproxy, each with the very configuration that docs/proxies.md prints."""

import http.client
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

from websockets.exceptions import InvalidStatus

from support.groups import Groups
from support.pages import blocks, replaced
from support.proxies import BACKEND, HOST, Certificate, free_ports, haproxy, nginx, options
from support.single import Client
from support.streams import between
from support.wire import Closed, RawClient

CHANNEL = "proxied"
OWN, FOREIGN = "https://example.org", "https://example.com"
FOLLOWERS = 20


def run(context):
    folder = context.path("proxies")
    os.mkdir(folder)
    certificate = Certificate(folder)
    tls = ssl.create_default_context(cafile=certificate.certificate)
    for start in (nginx, haproxy):
        with context.daemon("--log", "debug", *options()) as daemon, start(folder, certificate, [daemon.address[1]]) as proxy:
            passes(context, daemon, proxy, tls, certificate)
            slow(context, daemon, proxy, tls)
        moves(context, start, folder, certificate, tls)
        unnamed(context, start, folder, certificate, tls)
        rules(context, start, folder, certificate, tls)
    silences(context, folder, certificate, tls)
    password(context, folder, certificate, tls)
    login(context, folder, certificate, tls)


def dial(proxy, tls, path="", **options):
    """An open WebSocket of the library's, through a proxy."""
    sock = socket.create_connection(("127.0.0.1", proxy.port))
    sock.setblocking(False)
    return Client(proxy.url + path, sock=sock, ssl=tls, server_hostname=HOST, proxy=None, **options)


def refusal(proxy, tls, **options):
    """The status with which a handshake is refused; 101 if it is not."""
    try:
        dial(proxy, tls, **options).close()
        return 101
    except InvalidStatus as error:
        return error.response.status_code


def raw(proxy, tls, **options):
    return RawClient(
        ("127.0.0.1", proxy.port), tls=lambda sock: tls.wrap_socket(sock, server_hostname=HOST), **options
    )


def curl(proxy, certificate, path, *options, source="127.0.0.1"):
    """The status and body of a request with curl from `source`."""
    command = [
        "curl", "--silent", "--max-time", "20", "--noproxy", "*", "--cacert", certificate.certificate, "--interface", source,
        "--resolve", f"{HOST}:{proxy.port}:127.0.0.1", "--write-out", "\n%{http_code}", *options, f"https://{HOST}:{proxy.port}{path}",
    ]
    done = subprocess.run(command, capture_output=True, timeout=30, text=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def passes(context, daemon, proxy, tls, certificate):
    name = proxy.name
    context.equal(f"{name}: a request over TLS is answered", curl(proxy, certificate, "/healthz")[0], 200)
    with dial(proxy, tls, subprotocols=["json.fanfare.v1"], additional_headers={"X-Forwarded-For": "192.0.2.1"}) as client:
        session = json.loads(client.recv(20))["session"]
        extensions = [extension.name for extension in client.protocol.extensions]
        context.equal(f"{name}: permessage-deflate passes through", extensions, ["permessage-deflate"])
        line = daemon.wait_log(lambda line: session in line and "opened" in line, 20)
        told = line.partition("X-Forwarded-For ")[2]
        context.equal(f"{name}: the daemon's log has the client's address and not what the client says", told, '"127.0.0.1"')
        client.send(json.dumps({"type": "subscribe", "channel": CHANNEL}))
        client.recv(20)
        path, data = f"/channels/{CHANNEL}", '{"price":231.40,"text":"märz"}'
        context.equal(f"{name}: a POST from elsewhere is refused", curl(proxy, certificate, path, "--data-binary", data)[0], 403)
        odd = [curl(proxy, certificate, other, "--path-as-is", "--data-binary", data)[0] for other in (
            f"/%63hannels/{CHANNEL}", f"//channels/{CHANNEL}", f"/x/../channels/{CHANNEL}", f"/channels/../channels/{CHANNEL}", "/",
        )]
        context.equal(f"{name}: by another spelling, too", odd, [403] * 5)
        status, body = curl(proxy, certificate, path, "--data-binary", data, source=BACKEND)
        context.equal(f"{name}: a POST from the backend is published", (status, json.loads(body or "{}").get("seq", 0) > 0), (201, True))
        context.holds(f"{name}: and reaches a subscriber byte for byte", client.recv(20).endswith(f'"data":{data}}}'))
        large = json.dumps("x" * 40_000)
        with raw(proxy, tls) as stranger:
            context.holds(f"{name}: without rules whoever has a WebSocket can publish", stranger.publish(CHANNEL, large.encode())["seq"] > 0)
        context.holds(f"{name}: a large message passes, too", client.recv(20).endswith(f'"data":{large}}}'))
    statuses = [refusal(proxy, tls, **origin) for origin in ({}, {"origin": OWN}, {"origin": FOREIGN}, {"origin": "null"})]
    context.equal(f"{name}: a program and the own site's pages get in, other pages do not", statuses, [101, 101, 403, 403])


def unnamed(context, start, folder, certificate, tls):
    """A daemon to which nobody named the proxy does not become public by it."""
    with context.daemon() as daemon, start(folder, certificate, [daemon.address[1]]) as proxy:
        statuses = refusal(proxy, tls), curl(proxy, certificate, f"/channels/{CHANNEL}", "--data-binary", "1", source=BACKEND)[0]
        context.equal(f"{proxy.name}: without --trusted-proxy an open daemon refuses what comes through", statuses, (403, 403))


def rules(context, start, folder, certificate, tls):
    """The rules of the page, and tokens, which pass through."""
    file, secret, path = (os.path.join(folder, f"{start.__name__}.{kind}") for kind in ("toml", "secret", "socket"))
    (text,) = blocks("proxies.md", "toml")
    with open(file, "w") as config:
        config.write(replaced(text, {"/run/fanfare/fanfare.sock": path}))
    with open(secret, "w") as key:
        key.write("s" * 32)
    os.chmod(secret, 0o600)
    token = subprocess.run(
        [context.binary, "token", "--key-file", secret, "--subject", "anna", "--publish", CHANNEL, "--expires", "1h"],
        capture_output=True, check=True, text=True, timeout=20,
    ).stdout.strip()
    means = ["--config", file, "--listen", f"unix:{path}", "--jwt-secret-file", secret, "--token-cookie", "token"]
    with context.daemon(*options(), *means) as daemon, start(folder, certificate, [daemon.address[1]]) as proxy:
        name = proxy.name
        with raw(proxy, tls) as reader:
            reader.subscribe(CHANNEL)
            local = subprocess.run(
                ["curl", "--silent", "--max-time", "20", "--unix-socket", path, "--write-out", "\n%{http_code}", "--data-binary", "1", f"http://localhost/channels/{CHANNEL}"],
                capture_output=True, timeout=30, text=True)
            context.equal(f"{name}: with the page's rules the machine's own programs publish", local.stdout.rpartition("\n")[2], "201")
            context.equal(f"{name}: and everybody reads", reader.next_json()["data"], 1)
            reader.send_json(type="publish", id="p", channel=CHANNEL, data=2)
            context.equal(f"{name}: and nobody else publishes", reader.next_json().get("code"), "unauthenticated")
            context.equal(f"{name}: nor by POST", curl(proxy, certificate, f"/channels/{CHANNEL}", "--data-binary", "1", source=BACKEND)[0], 401)
        ways = {
            "in Authorization": {"extra": [f"Authorization: Bearer {token}"]}, "in ?token=": {"path": f"/?token={token}"},
            "in a cookie": {"extra": [f"Origin: {OWN}", f"Cookie: a=b; token={token}"]},
            "in the message auth": {},
        }
        for way, handshake in ways.items():
            with raw(proxy, tls, **handshake) as client:
                if not handshake:
                    client.ask("auth", "authenticated", token=token)
                context.holds(f"{name}: a token {way} passes through", client.publish(CHANNEL, b"3")["seq"] > 0)
        bad = curl(proxy, certificate, f"/channels/{CHANNEL}", "--header", f"Authorization: Bearer {token[:-2]}", "--data-binary", "1", source=BACKEND)[0]
        context.equal(f"{name}: and one that does not hold is refused", bad, 401)


def slow(context, daemon, proxy, tls):
    """A reader that stops is the daemon's concern, as if nobody stood between."""
    with raw(proxy, tls, receive_buffer=4096) as reader, RawClient(daemon.address) as publisher:
        reader.subscribe("slow")
        before = proxy.rss()
        data = json.dumps("x" * 60_000).encode()
        seqs = [publisher.publish("slow", data)["seq"] for _ in range(400)]
        grown = proxy.rss() - before
        context.holds(f"{proxy.name}: a reader that stops costs the proxy next to no memory", grown < 4 << 20, f"{grown / 1024:.0f} KiB")
        gap = reader.until("gap")
        position = gap["to"]
        while position < seqs[-1]:
            event = reader.next_json()
            if event["type"] == "gap":
                # It fell behind once more while it read.
                if event["from"] <= position or between(seqs, position, event["from"]):
                    raise AssertionError(f"a gap from {event['from']} after {position}")
                position = event["to"]
            elif event["type"] == "message":
                due = between(seqs, position, seqs[-1] + 1)[0]
                if event["seq"] != due:
                    raise AssertionError(f"{event['seq']} where {due} was due")
                position = due
        context.equal(f"{proxy.name}: and it gets a gap, as without a proxy", gap["reason"], "slow")


class Follower:
    """Follows through a proxy, and comes back at once when it is closed with 1001."""

    def __init__(self, proxy, tls):
        self.proxy, self.tls = proxy, tls
        self.seen = set()
        self.epochs = []
        self.error = None
        self.following = threading.Event()
        self.moved = threading.Event()
        self.done = threading.Event()
        self.last = None
        threading.Thread(target=self.live, daemon=True).start()

    def live(self):
        since = {}
        try:
            while True:
                with raw(self.proxy, self.tls) as client:
                    reply = client.subscribe(CHANNEL, **since)
                    self.epochs.append(reply["epoch"])
                    self.following.set()
                    if len(self.epochs) > 1:
                        self.moved.set()
                    since = {"since": {"epoch": reply["epoch"], "seq": reply["seq"]}}
                    if not self.read(client, since["since"]):
                        return
        except Exception as error:
            self.error = error
        finally:
            for event in (self.following, self.moved, self.done):
                event.set()

    def read(self, client, position):
        """Reads until the last message (then False) or a close with 1001 (then True)."""
        try:
            while True:
                message = client.next_json()
                if message["type"] == "message":
                    position["seq"] = message["seq"]
                    self.seen.add(message["data"])
                    if message["data"] == "last":
                        return False
        except Closed as closed:
            if closed.code != 1001:
                raise
            return True


def publish(port, number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", f"/channels/{CHANNEL}", json.dumps(number))
        status = connection.getresponse().status
        if status != 201:
            raise AssertionError(f"publishing was answered with {status}")
    finally:
        connection.close()


def moves(context, start, folder, certificate, tls):
    """The recipe of docs/operations.md: the successor listens before the old instance is told to end."""
    (port,) = free_ports(1)
    old = context.daemon("--drain-seconds", "2", *options())
    try:
        with start(folder, certificate, [old.address[1], port]) as proxy:
            followers = [Follower(proxy, tls) for _ in range(FOLLOWERS)]
            wait(followers, "following")
            numbers = iter(range(1, 1000))
            published = []
            with context.daemon(*options(), listen=f"127.0.0.1:{port}") as new:
                both = [old.address[1], port]
                for _ in range(5):
                    published.append(next(numbers))
                    for each in both:
                        publish(each, published[-1])
                old.signal(signal.SIGTERM)
                old.wait_log(lambda line: "ending: closing" in line, 20)
                context.holds(f"{proxy.name}: an instance that drains refuses new clients at its own address", is_refused(old.address))
                while not all(follower.moved.is_set() for follower in followers):
                    published.append(next(numbers))
                    # The old one takes no new connections, so its own publishers are those that it still has.
                    publish(port, published[-1])
                    threading.Event().wait(0.05)
                publish(port, "last")
                wait(followers, "done")
                context.equal(f"{proxy.name}: the old instance ends with status 0", old.wait(), 0)
                del new
            errors = [repr(follower.error) for follower in followers if follower.error]
            context.equal(f"{proxy.name}: in a restart with two instances no client is refused", errors, [])
            context.equal(f"{proxy.name}: each client moves once", {len(set(follower.epochs)) for follower in followers}, {2})
            missed = sum(len(set(published) - follower.seen) for follower in followers)
            context.equal(f"{proxy.name}: and gets each message that the new instance has", missed, 0)
    finally:
        old.kill()


def is_refused(address):
    """Whether connections come to be refused: the log says that the daemon ends just before it does."""
    for _ in range(500):
        try:
            socket.create_connection(address, timeout=10).close()
        except ConnectionRefusedError:
            return True
        threading.Event().wait(0.01)
    return False


def wait(followers, event):
    for follower in followers:
        if not getattr(follower, event).wait(30):
            raise AssertionError(f"a follower is not {event} within 30 s")


def silences(context, folder, certificate, tls):
    """What the timeouts cut, made short: nobody who answers pings."""
    with context.daemon("--ping-interval", "1s", *options()) as pinging, context.daemon("--ping-interval", "0", *options()) as silent:
        fronts = [
            (start(folder, certificate, [daemon.address[1]], timeout="3s"), daemon)
            for start in (nginx, haproxy) for daemon in (pinging, silent)
        ]
        try:
            clients = [(proxy, daemon, dial(proxy, tls, ping_interval=None)) for proxy, daemon in fronts]
            for proxy, daemon, client in clients:
                if daemon is silent:
                    client.recv(20)
                    try:
                        client.recv(20)
                        cut = False
                    except Exception:
                        cut = True
                    context.holds(f"{proxy.name}: without pings a silent client is cut", cut)
            # By now the others have been silent for as long.
            threading.Event().wait(1)
            for proxy, daemon, client in clients:
                if daemon is pinging:
                    client.recv(20)
                    client.send('{"type":"ping"}')
                    context.equal(f"{proxy.name}: a silent client that answers pings is not", client.recv(20), '{"type":"pong"}')
                client.close()
        finally:
            for proxy, _ in fronts:
                proxy.__exit__()


def password(context, folder, certificate, tls):
    entry = subprocess.run(["openssl", "passwd", "-apr1", "password"], capture_output=True, check=True, text=True, timeout=20).stdout
    path = os.path.join(folder, "htpasswd")
    with open(path, "w") as file:
        file.write("name:" + entry)
    with context.daemon(*options()) as daemon:
        servers = [daemon.address[1]]
        with nginx(folder, certificate, servers) as free, nginx(folder, certificate, servers, password_file=path) as locked:
            context.equal("a password: a program without it is refused", refusal(locked, tls), 401)
            locked.url = f"wss://name:password@{HOST}:{locked.port}/"
            context.equal("a password: a program that has it in its URL gets in", refusal(locked, tls), 101)
            answers = [curl(locked, certificate, "/healthz", *options)[0] for options in ([], ["--user", "name:password"])]
            context.equal("a password: curl -u gets in", answers, [401, 200])
            with Groups() as groups:
                groups.start(
                    "proxied.mjs", host=HOST, open=free.port, locked=locked.port, own=OWN, foreign=FOREIGN,
                    profile=context.path("proxied"),
                )
                ((_, event),) = groups.collect("done", 1, 60)
    context.equal("Chromium: the page that the daemon serves gets in", event["served"], "welcome")
    context.equal("Chromium: a page of the own site gets in", event["own"], "welcome")
    context.equal("Chromium: another site's page does not, and sees 1006 without a reason", event["foreign"], "1006")
    context.equal("Chromium: behind a password a page of another origin does not get in", event["crossOriginLocked"], "1006")
    context.equal("Chromium: behind a password a page of the same host does", event["sameOriginLocked"], "welcome")
    context.note(f"after that, the page of another origin: {event['crossOriginAgain']}")
    context.equal("a password: Node's ws with `auth` gets in", event["program"], "welcome")


class Site(http.server.BaseHTTPRequestHandler):
    """The site that knows one cookie."""

    def do_GET(self):
        known = self.path == "/session" and "session=known" in self.headers.get("Cookie", "")
        self.send_response(204 if known else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


def login(context, folder, certificate, tls):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site, context.daemon(*options()) as daemon:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        with nginx(folder, certificate, [daemon.address[1]], site_port=site.server_address[1]) as proxy:
            known, unknown = ({"Cookie": f"session={value}"} for value in ("known", "unknown"))
            statuses = [
                refusal(proxy, tls, path="ws", additional_headers=cookie, origin=origin)
                for cookie, origin in ((known, OWN), (unknown, OWN), ({}, OWN), (known, FOREIGN))
            ]
            context.equal("a login: its cookie and the own site's page are both needed", statuses, [101, 401, 401, 403])
        site.shutdown()
