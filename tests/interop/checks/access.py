"""Who may come in, over TLS: tokens, cookies and certificates from curl, Python and Chromium, and what becomes of those that do not hold."""

import json
import os
import signal
import ssl
import subprocess

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from support.authority import Authority, openssl
from support.groups import Groups
from support.single import Client
from support.tokens import minted, signed, soon

HOST = "push.example.org"
OWN, FOREIGN = "https://example.org", "https://example.com"
ISSUER, AUDIENCE = "https://login.example.org", "push"
# What is not another's: subjects that are patterns or more than one part of a channel's name.
ODD = ("*", ">", "a.b")
RULES = """
[[allow]]
who = "anonymous"
subscribe = ["news"]

[[allow]]
who = "authenticated"
subscribe = ["inbox.{subject}"]
publish = ["inbox.{subject}"]

[[allow]]
who = "jwt:anna"
subscribe = ["by.token", "prices.>"]

[[allow]]
who = "cert:anna"
subscribe = ["by.certificate"]

[[allow]]
who = "basic:anna"
subscribe = ["by.password"]
"""
# The password `U*U`, as the makers of bcrypt's crypt_blowfish test theirs.
PASSWORD, ENTRY = "U*U", "anna:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"


class House:
    """The files of a daemon with all means, and who comes to it."""

    def __init__(self, context):
        folder = context.path("access")
        os.mkdir(folder)
        self.binary = context.binary
        self.minted = []
        self.authority = Authority(os.path.join(folder, "authority"))
        self.server = self.authority.sign("server", f"/CN={HOST}", f"DNS:{HOST}", "IP:127.0.0.1")
        self.rules, self.secret_file, self.public = (os.path.join(folder, name) for name in ("fanfare.toml", "secret", "public.pem"))
        self.private, self.stranger_file = (os.path.join(folder, name) for name in ("private.pem", "other"))
        self.secret = b"a secret of this house, 32 bytes or more"
        self.write_rules(RULES)
        write_secret(self.secret_file, self.secret)
        write_secret(self.stranger_file, b"a secret of another house, and as long")
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.private)
        openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def write_rules(self, text):
        with open(self.rules, "w") as file:
            file.write(text)

    def options(self, *more):
        return [
            "--listen-tls", "127.0.0.1:0", "--tls-cert", self.server.certificate, "--tls-key", self.server.key,
            "--jwt-secret-file", self.secret_file, "--jwt-key", self.public, "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE,
            "--token-cookie", "token", "--origin", OWN, "--host", HOST, *more,
        ]

    def certificates(self, whether):
        return ["--tls-client-ca", self.authority.certificate, "--tls-client", whether, "--tls-crl", self.authority.list]

    def token(self, subject="anna", *options, key=None):
        """As `fanfare token` makes it."""
        whence = ["--issuer", ISSUER, "--audience", AUDIENCE, "--expires", "1h"]
        token = minted(self.binary, key or self.secret_file, subject, *whence, *options)
        self.minted.append(token)
        return token

    def claims(self, **members):
        """The claims of a good token, with other members; those that are None are left out."""
        claims = {"sub": "anna", "exp": soon(), "iss": ISSUER, "aud": AUDIENCE} | members
        return {name: value for name, value in claims.items() if value is not None}

    def bad_tokens(self):
        """What does not hold, and what is wrong with it."""
        good = self.token()
        head, claims, signature = good.split(".")
        with open(self.public, "rb") as file:
            public = file.read()
        by = lambda **members: signed(self.secret, self.claims(**members))
        return {
            "no token at all": "nonsense",
            "a token cut short": good[:-8],
            "a token with other claims under the same signature": ".".join([head, by(sub="bert").split(".")[1], signature]),
            "a token without a signature": signed(b"", self.claims(), {"alg": "none"}).rpartition(".")[0] + ".",
            "a public key taken for a secret": signed(public, self.claims()),
            "a token of another key": self.token(key=self.stranger_file),
            "a token of another issuer": by(iss="https://login.example.com"),
            "a token of no issuer": by(iss=None),
            "a token for another audience": by(aud=["another", "Push"]),
            "a token for no audience": by(aud=None),
            "a token that is not valid yet": by(nbf=soon()),
            "a token without an end": by(exp=None),
            "a token of nobody": by(sub=None),
            "a token with an empty subject": by(sub=""),
            "a token that has ended": by(exp=soon(-3600)),
        }


def write_secret(path, secret):
    with open(path, "wb") as file:
        file.write(secret)
    os.chmod(path, 0o600)


def run(context):
    house = House(context)
    people = Clients(house)
    with context.daemon(*house.options(*house.certificates("optional"), "--config", house.rules, "--log", "trace")) as daemon:
        door = Door(house, daemon)
        posts(context, house, door, people)
        handshakes(context, house, door)
        certificates(context, house, door, people)
        messages(context, house, door)
        odd_subjects(context, house, door, people)
        reloads(context, house, door, daemon, people)
        signatures = [token.rpartition(".")[2] for token in house.minted]
        shown = sum(any(signature in line for signature in signatures) for line in daemon.log)
        context.equal(f"none of {len(signatures)} tokens is in the log of the level trace", shown, 0)
    pages(context, house)
    nothing_granted(context, house)
    required(context, house, people)
    passwords(context, house)


class Clients:
    """Certificates of clients."""

    def __init__(self, house):
        sign = house.authority.sign
        self.anna = sign("anna", "/CN=anna")
        self.named = sign("named", "/CN=anna", "email:eve@example.org", "URI:spiffe:eve")
        self.ended = sign("ended", "/CN=anna", ended=True)
        self.revoked = sign("revoked", "/CN=anna")
        self.later = sign("later", "/CN=anna")
        self.odd = {subject: sign(f"odd{n}", f"/CN={subject}") for n, subject in enumerate(ODD)}
        # An empty DNS name, which openssl does not take as a text; and no name at all.
        self.empty, self.nameless = sign("empty", "/CN=anna", "DER:30:02:82:00"), sign("nameless", "/O=house")
        self.foreign = Authority(os.path.join(house.authority.folder, "foreign")).sign("anna", "/CN=anna")
        house.authority.revoke(self.revoked)


class Door:
    """A daemon's port for TLS, as clients come to it."""

    def __init__(self, house, daemon):
        self.authority = house.authority.certificate
        self.port = daemon.tls_port()

    def curl(self, channel, *options, pair=None):
        """The status of a publication with curl: 0 if there is none."""
        return int(self.said(channel, *options, pair=pair))

    def said(self, channel, *options, pair=None):
        """What curl says of a publication: its status, with options for more requests theirs, too."""
        shown = ["--cert", pair.certificate, "--key", pair.key] if pair else []
        done = subprocess.run(
            ["curl", "--silent", "--max-time", "20", "--noproxy", "*", "--cacert", self.authority, "--resolve", f"{HOST}:{self.port}:127.0.0.1",
             "--output", os.devnull, "--write-out", "%{http_code}", "--data-binary", "1", *shown, *options, f"https://{HOST}:{self.port}/channels/{channel}"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, text=True)
        return done.stdout

    def open(self, path="", *, pair=None, user=None, **options):
        tls = ssl.create_default_context(cafile=self.authority)
        if pair:
            tls.load_cert_chain(pair.certificate, pair.key)
        at = f"{user}@" if user else ""
        return Client(f"wss://{at}{HOST}:{self.port}/{path}", host="127.0.0.1", port=self.port, ssl=tls, proxy=None, **options)

    def tried(self, path="", **options):
        """What becomes of a WebSocket: the status that refuses it, the code that closes it, or the answer to a ping."""
        try:
            with self.open(path, **options) as client:
                client.recv(20)
                return ask(client, "ping")["type"]
        except InvalidStatus as error:
            return error.response.status_code
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        except (InvalidMessage, OSError):
            return "no answer"


def ask(client, kind, **members):
    """The answer to a request; messages before it are passed over."""
    client.send(json.dumps({"type": kind, "id": kind, **members}))
    while True:
        answer = json.loads(client.recv(20))
        if answer.get("id") == kind:
            return answer


def verdict(client, kind, topic, **members):
    """The type of the answer, or the code of the error. The topic is a channel, or a pattern if it has a `*` or a `>`."""
    named = "pattern" if set("*>") & set(topic) and kind == "subscribe" else "channel"
    answer = ask(client, kind, **{named: topic}, **members)
    return answer.get("code", answer["type"])


def closed_with(client):
    """The code with which the daemon closes a connection."""
    try:
        while True:
            client.recv(20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def bearer(token):
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def cookie(token, origin=OWN):
    return {"additional_headers": {"Cookie": f"a=b; token={token}; c=d"}, "origin": origin}


def posts(context, house, door, people):
    shown = lambda token: ["--header", f"Authorization: Bearer {token}"]
    context.equal("curl: with a token that `fanfare token` made, a publication is taken", door.curl("inbox.anna", *shown(house.token())), 201)
    context.equal("curl: with one of a private key, too", door.curl("inbox.anna", *shown(house.token(key=house.private))), 201)
    context.equal("curl: with one that names several audiences, too", door.curl("inbox.anna", *shown(signed(house.secret, house.claims(aud=["x", AUDIENCE])))), 201)
    context.equal("curl: in ?token=, too", door.curl(f"inbox.anna?token={house.token()}"), 201)
    context.equal("curl: without anything it is answered 401", door.curl("inbox.anna"), 401)
    context.equal("curl: with somebody else's token it is answered 403", door.curl("inbox.anna", *shown(house.token("bert"))), 403)
    for what, token in house.bad_tokens().items():
        context.equal(f"curl: {what} is answered 401", door.curl("inbox.anna", *shown(token)), 401)
    for value in ("Bearer", "Bearer ", "Digest x", "Basic", "Basic !"):
        context.equal(f"curl: Authorization: {value} is answered 401", door.curl("inbox.anna", "--header", f"Authorization: {value}"), 401)
    twice_over = [*shown(house.token()), f"https://{HOST}:{door.port}/channels/inbox.anna", "--next", "--cacert", door.authority,
                  "--output", os.devnull, "--write-out", " %{http_code} %{num_connects}", "--silent", "--data-binary", "1"]
    context.equal("curl: the next request on the connection has to show its own", door.said("inbox.anna", *twice_over), "201 401 0")
    posted = lambda *fields: door.curl("inbox.anna", *(option for field in (f"Cookie: token={house.token()}", *fields) for option in ("--header", field)))
    found = posted(f"Origin: {OWN}"), posted(f"Origin: {FOREIGN}"), posted("Sec-Fetch-Site: cross-site"), posted()
    context.equal("curl: for a publication a cookie counts from pages that may use the daemon", found, (201, 403, 401, 401))
    twice = [*shown(house.token()), *shown(house.token())]
    context.equal("curl: two tokens are answered 401", door.curl("inbox.anna", *twice), 401)
    beside = door.curl("inbox.anna", *shown("nonsense"), pair=people.anna)
    context.equal("curl: a bad token beside a good certificate is answered 401", beside, 401)


def handshakes(context, house, door):
    good = house.token()
    ways = {
        "Authorization": lambda token: {"path": "", **bearer(token)}, "?token=": lambda token: {"path": f"?token={token}"},
        "the cookie": lambda token: {"path": "", **cookie(token)},
    }
    for way, options in ways.items():
        with door.open(**options(good)) as client:
            context.equal(f"Python: with a token in {way} one's own channel is there", verdict(client, "subscribe", "inbox.anna"), "subscribed")
            context.equal(f"Python: with a token in {way} nobody else's is", verdict(client, "subscribe", "inbox.bert"), "forbidden")
            context.equal(f"Python: with a token in {way} one may publish", verdict(client, "publish", "inbox.anna", data=1), "published")
    for what, token in house.bad_tokens().items():
        code = 4510 if what.endswith("has ended") else 4401
        found = (
            door.tried(**bearer(token)), door.tried(f"?token={token}"), door.tried(f"?token={token}", origin=OWN), door.tried(**cookie(token)),
            door.tried(**cookie(token, FOREIGN)),
        )
        context.equal(f"Python: {what} gets 401, and a page's a close with {code}", found, (401, 401, code, code, 403))
    found = (
        door.tried(f"?token={good}", **bearer("nonsense")), door.tried("?token=nonsense", **bearer(good)),
        door.tried(f"?token={good}&token={good}"), door.tried("?token="), door.tried("?token=nonsense", **cookie(good)),
    )
    context.equal("Python: the first place counts, and nothing falls back to the next", found, (401, "pong", 401, 401, 4401))
    found = [door.tried(**cookie(good, origin)) for origin in (FOREIGN, "null", "https://example.org.example.com")]
    context.equal("Python: a cookie from a page that may not use the daemon gets 403", found, [403] * 3)
    with door.open(**cookie(good, None)) as client:
        context.equal("Python: a cookie without an Origin does not count", verdict(client, "subscribe", "inbox.anna"), "unauthenticated")
    with door.open() as client:
        context.equal("Python: who shows nothing has what everybody has", verdict(client, "subscribe", "news"), "subscribed")
        found = [verdict(client, *what) for what in (("subscribe", "inbox.anna"), ("subscribe", "inbox.*"), ("subscribe", ">"))]
        context.equal("Python: and is unauthenticated for the rest", found, ["unauthenticated"] * 3)


def certificates(context, house, door, people):
    context.equal("curl: with a certificate a publication is taken", door.curl("inbox.anna", pair=people.anna), 201)
    context.equal("curl: with somebody else's channel it is answered 403", door.curl("inbox.bert", pair=people.anna), 403)
    for what in ("ended", "revoked", "foreign"):
        context.equal(f"curl: with one that is {what} there is no answer", door.curl("inbox.anna", pair=getattr(people, what)), 0)
    with door.open(pair=people.anna) as client:
        context.equal("Python: with a certificate one's own channel is there", verdict(client, "subscribe", "inbox.anna"), "subscribed")
        found = verdict(client, "subscribe", "by.certificate"), verdict(client, "subscribe", "by.token")
        context.equal("Python: and the same name by a token is somebody else", found, ("subscribed", "forbidden"))
    with door.open(pair=people.named) as client:
        found = verdict(client, "subscribe", "inbox.anna"), verdict(client, "subscribe", "inbox.spiffe:eve")
        context.equal("Python: a certificate's URI is its name, and not what stands beside it", found, ("forbidden", "subscribed"))
    with door.open(pair=people.anna, **bearer(house.token("bert"))) as client:
        context.equal("Python: a token counts before a certificate", verdict(client, "subscribe", "inbox.bert"), "subscribed")
    with door.open(pair=people.anna) as client:
        answer = ask(client, "auth", token=house.token())["type"]
        found = answer, verdict(client, "subscribe", "by.token"), verdict(client, "subscribe", "by.certificate")
        context.equal("Python: a token by auth takes the place of a certificate", found, ("authenticated", "subscribed", "forbidden"))
    found = door.tried(pair=people.anna, **cookie("nonsense")), door.tried(pair=people.anna, **bearer("nonsense"))
    context.equal("Python: a bad token beside a good certificate is refused", found, (4401, 401))


def messages(context, house, door):
    with door.open() as client:
        for what, token in house.bad_tokens().items():
            code = "token_expired" if what.endswith("has ended") else "token_invalid"
            context.equal(f"Python: auth with {what} is {code}", ask(client, "auth", token=token).get("code"), code)
        answer = ask(client, "auth", token=house.token())
        context.equal("Python: and auth with a good one says who it is", (answer["type"], answer.get("subject")), ("authenticated", "anna"))
        context.equal("Python: from then on one's own channel is there", verdict(client, "subscribe", "inbox.anna"), "subscribed")
        other = ask(client, "auth", token=house.token("bert")).get("code")
        context.equal("Python: auth with another subject's token is token_invalid", other, "token_invalid")
    # Within the 30 s by which clocks may differ a token that has ended still holds: this one for some seconds.
    brief = house.claims(exp=soon(-22))
    with door.open(**bearer(signed(house.secret, brief))) as renewed, door.open(**bearer(signed(house.secret, brief))) as ending:
        for client in (renewed, ending):
            verdict(client, "subscribe", "inbox.anna")
        publish = lambda number: renewed.send(json.dumps({"type": "publish", "channel": "inbox.anna", "data": number}))
        publish(1)
        renewed.send(json.dumps({"type": "auth", "token": house.token()}))
        publish(2)
        context.equal("Python: a token that is not renewed closes with 4510", closed_with(ending), 4510)
        publish(3)
        came = [json.loads(renewed.recv(20)) for _ in range(4)]
        context.equal("Python: one that auth renews does not", [event["type"] for event in came], ["message", "authenticated", "message", "message"])
        seqs = [event["seq"] - came[0]["seq"] for event in came if event["type"] == "message"]
        context.equal("Python: and its subscription goes on without a hole", seqs, [0, 1, 2])
    with door.open(**bearer(house.token("anna", "--subscribe", "prices.>", "--publish"))) as client:
        found = [verdict(client, *what) for what in (
            ("subscribe", "prices.oak"), ("subscribe", "prices.*"), ("subscribe", "news"), ("subscribe", "inbox.anna"), ("subscribe", ">"),
        )]
        wanted = ["subscribed", "subscribed", "subscribed", "forbidden", "forbidden"]
        context.equal("Python: a token's claims hold instead of the rules, beside what everybody has", found, wanted)
        context.equal("Python: an empty list grants nothing", verdict(client, "publish", "inbox.anna", data=1), "forbidden")
        narrower = ask(client, "auth", token=house.token("anna", "--subscribe", "news"))["type"]
        ended = {}
        while len(ended) < 2:
            event = json.loads(client.recv(20))
            ended[event.get("channel", event.get("pattern"))] = event["type"], event.get("reason")
        wanted = {name: ("unsubscribed", "forbidden") for name in ("prices.oak", "prices.*")}
        context.equal("Python: a token that allows less ends what it does not allow", (narrower, ended), ("authenticated", wanted))


def odd_subjects(context, house, door, people):
    for subject in ODD:
        ways = {"a token": bearer(house.token(subject)), "a certificate": {"pair": people.odd[subject]}}
        for way, options in ways.items():
            with door.open(**options) as client:
                topics = ["inbox.anna", "inbox.*", "inbox.>", "*", ">", "*.anna", "inbox.a", "inbox.a.b", "a.b", "by.token", "by.certificate"]
                found = {topic: verdict(client, "subscribe", topic) for topic in topics}
                found |= {f"to {topic}": verdict(client, "publish", topic, data=1) for topic in ("inbox.anna", "inbox.a.b", "inbox.a")}
                context.equal(f"{way} whose subject is {subject!r} gets nothing that is another's", set(found.values()), {"forbidden"})
                context.equal(f"{way} whose subject is {subject!r} has what everybody has", verdict(client, "subscribe", "news"), "subscribed")
    for what, pair in (("whose first name is empty", people.empty), ("without a name", people.nameless)):
        with door.open(pair=pair) as client:
            found = verdict(client, "subscribe", "inbox.anna"), verdict(client, "subscribe", "news")
            context.equal(f"a certificate {what} is nobody's", found, ("unauthenticated", "subscribed"))


def pages(context, house):
    """Without certificates of clients: a daemon that asks Chromium for one gets no WebSocket from it."""
    good, bad = house.token(), house.token(key=house.stranger_file)
    ended = signed(house.secret, house.claims(exp=soon(-3600)))
    tries = {
        "a cookie from the right origin": (OWN, good, "subscribed"),
        "the same for somebody else's channel": (OWN, house.token("bert"), "forbidden"),
        "no cookie from the right origin": (OWN, None, "unauthenticated"),
        "a cookie of another key": (OWN, bad, 4401),
        "a cookie that has ended": (OWN, ended, 4510),
        "a cookie from another site": (FOREIGN, good, 1006),
        "a cookie from another origin of the same site": ("https://evil.example.org", good, 1006),
        "a cookie from the right host by another port": (f"{OWN}:8443", good, 1006),
        "no cookie from another site": (FOREIGN, None, 1006),
    }
    with context.daemon(*house.options("--config", house.rules)) as daemon, Groups() as groups:
        door = Door(house, daemon)
        groups.start(
            "access.mjs", host=HOST, port=door.port, profile=context.path("access.chromium"),
            tries=[{"name": name, "origin": origin, "cookie": token, "channel": "inbox.anna"} for name, (origin, token, _) in tries.items()],
        )
        ((_, event),) = groups.collect("done", 1, 60)
    for name, (_, _, wanted) in tries.items():
        context.equal(f"Chromium: {name}: {wanted}", event["results"][name], wanted)


def reloads(context, house, door, daemon, people):
    """What is taken away is gone for those who are there, and nothing else is."""

    def reload(*, well=True):
        daemon.signal(signal.SIGHUP)
        daemon.wait_log(lambda line: "SIGHUP: " in line and ("means:" in line) == well, 20)

    anna, stranger = door.open(**bearer(house.token())), door.open()
    certified = door.open(pair=people.anna)
    with anna, stranger, certified:
        for client, topic in ((anna, "inbox.anna"), (anna, "prices.*"), (anna, "news"), (stranger, "news"), (certified, "by.certificate")):
            verdict(client, "subscribe", topic)
        house.write_rules(RULES + "[[allow]]\nwho = 1\n")
        reload(well=False)
        context.equal("a reload with a rule that makes no sense changes nothing", verdict(anna, "publish", "inbox.anna", data=1), "published")
        house.write_rules(RULES.replace('"by.token", "prices.>"', '"by.token", "prices.oak"').replace('publish = ["inbox.{subject}"]', "publish = []"))
        reload()
        event = json.loads(anna.recv(20))
        while event["type"] == "message":
            event = json.loads(anna.recv(20))
        found = event["type"], event.get("pattern"), event.get("reason"), "id" in event
        context.equal("revoked by reload: a subscription ends with `unsubscribed`, `forbidden`", found, ("unsubscribed", "prices.*", "forbidden", False))
        found = verdict(anna, "publish", "inbox.anna", data=1), verdict(anna, "subscribe", "prices.*"), verdict(anna, "subscribe", "prices.oak")
        context.equal("revoked by reload: so do publications", found, ("forbidden", "forbidden", "subscribed"))
        context.equal("revoked by reload: the other subscriptions go on", verdict(anna, "subscribe", "inbox.anna"), "already_subscribed")
        others = verdict(stranger, "subscribe", "news"), verdict(certified, "subscribe", "by.certificate")
        context.equal("revoked by reload: and so do others'", others, ("already_subscribed", "already_subscribed"))
        write_secret(house.secret_file, b"a new secret of this house, as long as that")
        reload()
        context.equal("revoked by reload: a key that is gone closes its tokens' connections with 4401", closed_with(anna), 4401)
        house.write_rules('[[allow]]\nwho = "cert:anna"\nsubscribe = ["by.certificate"]\n')
        reload()
        with door.open(pair=people.later) as later:
            context.equal("a certificate gets in", verdict(later, "subscribe", "by.certificate"), "subscribed")
            house.authority.revoke(people.later)
            reload()
            context.equal("revoked by reload: a certificate in the list closes its connections with 4401", closed_with(later), 4401)
        context.equal("revoked by reload: not any more when the list has it", door.curl("by.certificate", pair=people.later), 0)
        house.write_rules('[[allow]]\nwho = "cert:bert"\nsubscribe = ["news"]\n')
        reload()
        context.equal("revoked by reload: somebody to whom nothing is left is closed with 4403", closed_with(certified), 4403)
    house.write_rules(RULES)
    write_secret(house.secret_file, house.secret)


def nothing_granted(context, house):
    """Where strangers have nothing, they have --auth-timeout to say who they are."""
    house.write_rules(RULES.replace('who = "anonymous"', 'who = "subject:nobody"'))
    with context.daemon(*house.options("--config", house.rules, "--auth-timeout", "3s")) as daemon:
        door = Door(house, daemon)
        with door.open() as silent, door.open() as known:
            answer = ask(known, "auth", token=house.token())["type"]
            context.equal("Python: a stranger to whom nothing is granted is closed with 4401 after --auth-timeout", closed_with(silent), 4401)
            context.equal("Python: one who has said who it is, is not", (answer, ask(known, "ping")["type"]), ("authenticated", "pong"))
        nothing = house.token("anna", "--subscribe", "--publish")
        context.equal("Python: a token to which nothing is granted gets 403", door.tried(**bearer(nothing)), 403)
    house.write_rules(RULES)


def required(context, house, people):
    with context.daemon(*house.options(*house.certificates("required"), "--config", house.rules)) as daemon:
        door = Door(house, daemon)
        shown = ["--header", f"Authorization: Bearer {house.token()}"]
        found = door.curl("inbox.anna", pair=people.anna), door.curl("inbox.anna", *shown, pair=people.anna), door.curl("inbox.anna", *shown)
        context.equal("curl: where certificates are required, nobody gets in without, whatever the token", found, (201, 201, 0))
        found = [door.tried(pair=pair) for pair in (people.ended, people.revoked, people.foreign, None)]
        context.equal("Python: nor with one that does not hold", found, ["no answer"] * 4)


def passwords(context, house):
    """HTTP Basic, with a daemon that has it."""
    options = subprocess.run([house.binary, "serve", "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, text=True).stdout
    if "--htpasswd" not in options:
        return context.note("this daemon has no --htpasswd")
    entries = house.secret_file + ".htpasswd"
    write_secret(entries, ENTRY.encode())
    with context.daemon(*house.options("--config", house.rules, "--htpasswd", entries)) as daemon:
        door = Door(house, daemon)
        context.equal("curl: with -u a publication is taken", door.curl("inbox.anna", "--user", f"anna:{PASSWORD}"), 201)
        context.equal("curl: with -u somebody else's channel is answered 403", door.curl("inbox.bert", "--user", f"anna:{PASSWORD}"), 403)
        for pair in ("anna:U*V", "anna:", "bert:U*U", "Anna:U*U", ":U*U", f"anna:{PASSWORD} "):
            context.equal(f"curl: -u {pair!r} is answered 401", door.curl("inbox.anna", "--user", pair), 401)
        # The library takes the name and the password from the URL.
        with door.open(user=f"anna:{PASSWORD.replace('*', '%2A')}") as client:
            found = [verdict(client, "subscribe", channel) for channel in ("inbox.anna", "by.password", "by.token", "by.certificate")]
            context.equal("Python: with a password one is nobody but that", found, ["subscribed", "subscribed", "forbidden", "forbidden"])
            write_secret(entries, ENTRY.replace("anna", "bert").encode())
            daemon.signal(signal.SIGHUP)
            context.equal("Python: one whose name is gone after a reload is closed with 4401", closed_with(client), 4401)
        pairs = (f"anna:{PASSWORD}", "bert:wrong", f"bert:{PASSWORD}")
        found = [door.tried(user=pair.replace("*", "%2A")) for pair in pairs]
        context.equal("Python: and from then on the password of the new name holds, and nothing else", found, [401, 401, "pong"])
