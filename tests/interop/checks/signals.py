"""How the daemon ends, refuses to begin, and says what it has done."""

import signal
import socket
import subprocess

from support.wire import Closed, RawClient

CLIENTS = 50


def run(context):
    ends_well(context, signal.SIGTERM)
    ends_well(context, signal.SIGINT)
    second_daemon(context)
    sums(context)
    refuses_nonsense(context)


def ends_well(context, number):
    name = signal.Signals(number).name
    with context.daemon() as daemon:
        clients = [RawClient(daemon.address) for _ in range(CLIENTS)]
        for client in clients:
            client.subscribe("ending")
        daemon.signal(number)
        ends = [client.until_closed() for client in clients]
        # A well-behaved client answers the close; then it is the server that ends the connection.
        for client in clients:
            client.send(8, b"\x03\xe9")
        codes = {end.code for end in ends}
        context.equal(f"{name} closes every connection with 1001", codes, {1001})
        context.holds("each close says why in words", all(end.reason for end in ends), repr(ends[0].reason))
        ended = 0
        for client in clients:
            try:
                client.next_frame()
            except Closed:
                ended += 1
        context.equal("the server ends the connection once the close is answered", ended, CLIENTS)
        context.equal(f"{name} ends the daemon with status 0", daemon.wait(), 0)
        context.holds("its last line sums up", "deliveries" in daemon.log[-1], daemon.log[-1])
        try:
            socket.create_connection(daemon.address).close()
            refused = False
        except ConnectionRefusedError:
            refused = True
        context.holds("nothing listens any more", refused)


def second_daemon(context):
    with context.daemon() as daemon:
        listen = "%s:%d" % daemon.address
        second = subprocess.run(
            [context.binary, "serve", "--listen", listen], capture_output=True, timeout=20, text=True
        )
        said = second.stderr.strip()
        context.holds("a second daemon on the same port ends with a failure", second.returncode not in (0, 101), f"status {second.returncode}")
        plain = listen in said and "panicked" not in said and "backtrace" not in said and len(said.splitlines()) <= 3
        context.holds("and says in a sentence which address is taken", plain, said)
        with RawClient(daemon.address) as client:
            context.equal("the first daemon serves on", client.next_json()["type"], "welcome")


def sums(context):
    with context.daemon() as daemon:
        subscribers = [RawClient(daemon.address) for _ in range(3)]
        for client in subscribers:
            client.subscribe("sums")
        for number in range(5):
            subscribers[0].publish("sums", b"%d" % number)
        for client in subscribers[1:]:
            for _ in range(5):
                client.until("message")
        line = daemon.sums()
        context.equal("SIGUSR1 logs how many messages were published", line.get("messages"), 5)
        context.equal("and how many deliveries that made", line.get("deliveries"), 15)
        with RawClient(daemon.address) as client:
            context.equal("and the daemon goes on", client.next_json()["type"], "welcome")


def refuses_nonsense(context):
    for options in (["--retain-bytes", "lots"], ["--no-such-thing"], ["--listen", "nowhere:99999"]):
        done = subprocess.run([context.binary, "serve", *options], capture_output=True, timeout=20, text=True)
        plain = done.returncode not in (0, 101) and done.stderr.strip() and "panicked" not in done.stderr
        first = (done.stderr.strip().splitlines() or [""])[0]
        context.holds(f"`serve {' '.join(options)}` is refused with a sentence", plain, first)
