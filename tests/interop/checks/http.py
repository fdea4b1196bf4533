"""Plain HTTP on the WebSocket's port, as curl and a bare socket see it."""

import json
import re
import subprocess

from support.streams import message_text
from support.wire import RawClient, dial, read_until_end, upgrade

SECONDS = "20"


class Answer:
    """What curl got."""

    def __init__(self, raw):
        # Of several heads (after 100 Continue) the last is the answer's.
        head, _, rest = raw.partition(b"\r\n\r\n")
        while re.match(rb"HTTP/1\.1 1\d\d", head):
            head, _, rest = rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        self.body = rest

    def json(self):
        return json.loads(self.body)


def curl(url, *options, body=None):
    """One request by curl, with the head of its answer."""
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", SECONDS, "--noproxy", "*", *options, url]
    if body is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"curl {options} {url}: {done.stderr.decode()}")
    return Answer(done.stdout)


def run(context):
    with context.daemon("--max-message", "4KiB") as daemon:
        pages(context, daemon)
        publishing(context, daemon)
        reading(context, daemon)
        many(context, daemon)
        refusals(context, daemon)
        upgrades(context, daemon)
        names_and_pages(context, daemon)
        kept_alive(context, daemon)
        pipelined(context, daemon)
        bodies(context, daemon)


def pages(context, daemon):
    page = curl(daemon.http + "/")
    context.equal("GET / answers", page.status, 200)
    context.holds("with a page that says what this is and how to connect", b"fanfare" in page.body.lower() and b"ws" in page.body)
    owed = {"date", "content-length", "content-type", "connection"}
    context.equal("with Date, Content-Length, Content-Type and Connection", owed - page.headers.keys(), set())
    head = curl(daemon.http + "/", "--head")
    same = {name for name in owed - {"date"} if head.headers.get(name) != page.headers.get(name)}
    context.holds("HEAD / answers the same head without the body", head.status == 200 and not same and not head.body, f"differs: {same}" if same else "")
    health = curl(daemon.http + "/healthz")
    context.holds("GET /healthz answers 200 ok", health.status == 200 and health.body.strip() == b"ok")
    shown_behind_a_proxy(context)
    context.equal("HEAD /healthz answers 200", curl(daemon.http + "/healthz", "--head").status, 200)


def shown_behind_a_proxy(context):
    with context.daemon("--trusted-proxy", "127.0.0.1", "--trusted-proxy-header", "x-forwarded-for") as daemon:
        shown_by(context, daemon)


def shown_by(context, daemon):
    """Runs the page's script as a browser does that came by way of a proxy with TLS, another port and a path."""
    page = curl(daemon.http + "/", "--header", "Accept: text/html").body.decode()
    script = re.search("<script>(.*?)</script>", page, re.DOTALL).group(1)
    stub = """
        const places = { http: [{}], ws: [{}] };
        const location = new URL("https://example.com:8443/fanfare/?a=b#c");
        const document = { getElementsByClassName: (name) => places[name] };
        (0, eval)(`(location, document) => {${process.argv[1]}}`)(location, document);
        console.log(places.http[0].textContent, places.ws[0].textContent);
    """
    done = subprocess.run(["node", "--eval", stub, script], capture_output=True, timeout=60, text=True)
    shown = done.stdout.strip() or done.stderr
    context.equal("behind a proxy the page shows the address bar's URLs", shown, "https://example.com:8443/fanfare wss://example.com:8443/fanfare")
    text = curl(daemon.http + "/", "--header", "X-Forwarded-For: 192.0.2.1", "--header", "X-Forwarded-Proto: https").body.decode()
    context.holds("and the text for curl says wss:// where a proxy says https", "wss://" in text and " ws://" not in text)


def publishing(context, daemon):
    with RawClient(daemon.address) as subscriber:
        subscriber.subscribe("x")
        posted = curl(daemon.http + "/channels/x", body=b' {"price": 0.10} ')
        context.equal("POST /channels/x publishes", posted.status, 201)
        answer = posted.json()
        context.holds("and answers with epoch and seq", answer.get("seq", 0) > 0 and isinstance(answer.get("epoch"), str), posted.body.decode())
        text = message_text("x", answer["seq"], b'{"price": 0.10}')
        context.equal("a subscriber gets it byte for byte", subscriber.next_text(), text)
    escaped = curl(daemon.http + "/channels/donn%C3%A9es.%F0%9F%9A%80", body=b"1")
    with RawClient(daemon.address) as late:
        late.subscribe("données.\U0001f680", last=1)
        context.holds("a channel's name may be percent-encoded", escaped.status == 201 and late.next_json()["channel"] == "données.\U0001f680")
    for body, why in ((b"", "nothing"), (b"{", "half an object"), (b"1 2", "two values"), (b'"\xff"', "bad UTF-8"), (b"nul", "a wrong word")):
        refused = curl(daemon.http + "/channels/x", body=body)
        context.holds(f"POST of {why} is a 400 that says why", refused.status == 400 and len(refused.body) > 10, f"{refused.status} {refused.body[:120]!r}")
    for name in ("a..b", "a*", "%20", "%00", "%FF", "x" * 300):
        refused = curl(daemon.http + "/channels/" + name, body=b"1")
        context.holds(f"POST to the channel {name[:12]!r} is a 400", refused.status == 400 and refused.body, f"{refused.status} {refused.body[:120]!r}")
    forbidden = curl(daemon.http + "/channels/$own", body=b"1")
    context.holds("POST to a channel of the daemon's own is refused", forbidden.status in (400, 403), f"{forbidden.status}")
    big = curl(daemon.http + "/channels/x", body=b'"' + b"x" * 100_000 + b'"')
    context.holds("POST of more than --max-message is a 413 that curl can read", big.status == 413 and big.body, f"{big.status}")


def reading(context, daemon):
    for data in (b"1", b"[2]", b"3"):
        curl(daemon.http + "/channels/read", body=data)
    url = daemon.http + "/channels/read?last=2"
    answer = curl(url)
    context.equal("GET of a channel brings the newest messages", [(m["seq"], m["data"]) for m in answer.json()["messages"]], [(2, [2]), (3, 3)])
    tag = answer.headers.get("etag")
    context.equal("and its ETag brings a 304", curl(url, "--header", f"If-None-Match: {tag}").status, 304)
    curl(daemon.http + "/channels/read", body=b"4")
    context.equal("until there is something new", curl(url, "--header", f"If-None-Match: {tag}").status, 200)
    missing = curl(daemon.http + "/channels/nobody.was.here")
    context.equal("a channel that nobody uses is a 404", (missing.status, missing.json()["code"]), (404, "not_found"))
    context.equal("said as problem details", (missing.headers.get("content-type"), missing.json()["status"]), ("application/problem+json", 404))


def many(context, daemon):
    body = b'{"channel":"many","data":1}\n{"channel":"a b","data":2}\n{"channel":"many","data":3,"key":"k"}\n'
    lines = [json.loads(line) for line in curl(daemon.http + "/publish", body=body).body.splitlines()]
    told = [line.get("seq", line.get("code")) for line in lines]
    context.equal("POST /publish answers each line with a line", told, [1, "bad_channel", 2])
    again = curl(daemon.http + "/channels/many", "--header", "Idempotency-Key: k", body=b"3")
    context.equal("a key of one is the Idempotency-Key of another", (again.status, again.json()["seq"]), (201, 2))


def refusals(context, daemon):
    context.equal("an unknown path is a 404", curl(daemon.http + "/nowhere").status, 404)
    for path, method in (("/", "DELETE"), ("/healthz", "POST"), ("/channels/x", "DELETE"), ("/publish", "GET")):
        refused = curl(daemon.http + path, "--request", method)
        context.holds(f"{method} {path} is a 405 with Allow", refused.status == 405 and refused.headers.get("allow"), f"{refused.status}, Allow: {refused.headers.get('allow')}")
    upgrade = ["--header", "Connection: Upgrade", "--header", "Upgrade: websocket", "--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    old = curl(daemon.http + "/", *upgrade, "--header", "Sec-WebSocket-Version: 8")
    context.holds("a WebSocket of another version is a 426 with the version spoken", old.status == 426 and old.headers.get("sec-websocket-version") == "13", f"{old.status} {old.headers}")
    context.equal("GET /ws without an upgrade is a 426", curl(daemon.http + "/ws").status, 426)
    other = curl(daemon.http + "/", *upgrade, "--header", "Sec-WebSocket-Version: 13", "--header", "Sec-WebSocket-Protocol: mqtt, soap")
    context.holds("only unknown sub-protocols are a 400 that names the known", other.status == 400 and b"json.fanfare.v1" in other.body, f"{other.status} {other.body[:120]!r}")
    long = curl(daemon.http + "/", "--header", "X-Long: " + "x" * 60_000)
    context.holds("a head of 60 KB is a 431 that curl can read", long.status == 431 and long.body, f"{long.status}")
    context.equal("HTTP/1.0 is served", curl(daemon.http + "/healthz", "--http1.0").status, 200)
    sock = dial(daemon.address)
    sock.sendall(b"GET / HTTP/3.7\r\nHost: localhost\r\n\r\n")
    said, _ = read_until_end(sock)
    context.holds("another major version is a 505", said.startswith(b"HTTP/1.1 505 "), f"{said[:60]!r}")


def upgrades(context, daemon):
    """What proxies and clients put into requests that are no WebSockets."""
    proxied = ["--header", "Connection: upgrade", "--header", "Upgrade: websocket"]
    for what, options in (("Upgrade: websocket", proxied), ("an offer of HTTP/2", ["--http2"])):
        context.equal(f"POST with {what} publishes", curl(daemon.http + "/channels/x", *options, body=b"1").status, 201)
        context.equal(f"GET / with {what} is the page", curl(daemon.http + "/", *options).status, 200)
    for path, expected in (("/", 200), ("/ws", 426)):
        head = curl(daemon.http + path, *proxied, "--head")
        context.holds(f"HEAD {path} with Upgrade: websocket has no body", head.status == expected and not head.body, f"{head.status} {head.body!r}")


def names_and_pages(context, daemon):
    """What a daemon on loopback to which nothing is configured makes of names and of pages that are not this machine's."""
    port = daemon.address[1]

    def opened(field, *more, host="localhost"):
        """The statuses of a WebSocket and of a POST with these fields."""
        fields = [field, *more] if field else []
        sock = dial(daemon.address)
        sock.sendall(upgrade(host, extra=fields))
        status = int(sock.recv(12).split(b" ")[1])
        sock.close()
        options = [option for each in [f"Host: {host}", *fields] for option in ("--header", each)]
        return status, curl(daemon.http + "/channels/x", *options, body=b"1").status

    for host in ("localhost", f"localhost:{port}", f"app.localhost:{port}", f"127.0.0.1:{port}", "[::1]"):
        context.equal(f"Host: {host.replace(str(port), 'PORT')} is right on loopback", opened("", host=host), (101, 201))
    for host in ("example.org", f"example.org:{port}", "localhost.example.org", "127.0.0.1.example.org", "notlocalhost"):
        context.equal(f"Host: {host.replace(str(port), 'PORT')} gets 421", opened("", host=host), (421, 421))
    for origin in ("http://localhost:3000", "https://localhost", "http://app.localhost:5173", "http://127.0.0.1:8000", "http://[::1]:8000"):
        context.equal(f"a page of {origin} may use the daemon", opened(f"Origin: {origin}"), (101, 201))
    for origin in ("https://example.org", "null", "http://localhost.example.org", "http://127.0.0.1.example.org", "http://192.0.2.1", "file://", "nonsense"):
        context.equal(f"Origin: {origin} gets 403", opened(f"Origin: {origin}"), (403, 403))
    two = opened("Origin: http://localhost", "Origin: https://example.org")
    context.equal("two Origin fields get 403", two, (403, 403))
    for field in ("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org", "X-Real-IP: 192.0.2.1", "Via: 1.1 proxy"):
        context.equal(f"a proxy that nobody named as trusted gets 403 for {field.partition(':')[0]}", opened(field), (403, 403))


def kept_alive(context, daemon):
    # curl says with %{num_connects} how many connections each transfer needed.
    urls = [daemon.http + path for path in ("/healthz", "/", "/nowhere", "/healthz")]
    done = subprocess.run(
        ["curl", "--silent", "--max-time", SECONDS, "--noproxy", "*", "--output", "/dev/null", "--output", "/dev/null",
         "--output", "/dev/null", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n", *urls],
        capture_output=True, timeout=60, text=True)
    lines = done.stdout.split("\n")[:-1]
    context.equal("four requests share one connection", lines, ["200 1", "200 0", "404 0", "200 0"])


def pipelined(context, daemon):
    sock = dial(daemon.address)
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    post = b"POST /channels/pipe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n7"
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    sock.sendall(ask * 20 + post + ask * 20 + last)
    said, orderly = read_until_end(sock)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", said)
    context.equal("42 pipelined requests are answered in order", statuses, [b"200"] * 20 + [b"201"] + [b"200"] * 21)
    context.holds("and Connection: close is honoured", orderly)


def bodies(context, daemon):
    expected = curl(daemon.http + "/channels/x", "--header", "Expect: 100-continue", body=b"[1]")
    context.equal("Expect: 100-continue is answered and the body taken", expected.status, 201)
    sock = dial(daemon.address)
    sock.sendall(b"POST /channels/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    context.holds("100 Continue comes before the body is sent", sock.recv(4096).startswith(b"HTTP/1.1 100 "))
    sock.sendall(b"7")
    context.holds("and then the answer", sock.recv(4096).startswith(b"HTTP/1.1 201 "))
    chunked = curl(daemon.http + "/channels/x", "--header", "Transfer-Encoding: chunked", body=b'{"chunked":true}')
    sock = dial(daemon.address)
    sock.sendall(b"POST /channels/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1 ; a=b\r\n7\r\n0\t;c\r\n\r\n")
    context.holds("a chunk's extension may have white space before it", sock.recv(4096).startswith(b"HTTP/1.1 201 "))
    context.holds("a chunked body is taken, or refused in words", chunked.status == 201 or (chunked.status in (411, 501) and chunked.body), f"{chunked.status} {chunked.body[:120]!r}")
    sock = dial(daemon.address)
    sock.sendall(b"POST /channels/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n77")
    said, _ = read_until_end(sock)
    context.holds("two lengths that differ are a 400", said.startswith(b"HTTP/1.1 400 "), f"{said[:60]!r}")
