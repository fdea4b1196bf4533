"""What idle connections, subscriptions and channels cost in resident memory."""

from support.groups import Groups
from support.wire import NO_MASKING, RawClient, publication

FEW = 2_000
MANY = 8_000
FURTHER = 50  # subscriptions of each connection, beside its first
CHANNELS = 100_000
CONNECTION_BYTES = 400
SUBSCRIPTION_BYTES = 64
CHANNEL_BYTES = 1024
PATIENCE_SECONDS = 120

# Idle connections are the subject: no ping shall come in between.
QUIET = ("--ping-interval", "600s")


def run(context):
    many = min(MANY, context.files - 500)
    plain = connections(context, many, deflate=False)
    deflate = connections(context, many, deflate=True)
    context.holds(
        "a connection that negotiated permessage-deflate costs what another does",
        abs(deflate - plain) <= 40, f"{deflate:.0f} B and {plain:.0f} B",
    )
    channels(context)


def warm(daemon, deflate):
    """Has the daemon make what it makes once: buffers, compressors, a channel's first segments."""
    clients = [RawClient(daemon.address, deflate=deflate) for _ in range(10)]
    for client in clients:
        if deflate and "permessage-deflate" not in client.response:
            raise AssertionError(f"permessage-deflate was not negotiated: {client.response}")
        client.send_json(type="subscribe", channel="idle")
        client.send_json(type="publish", channel="idle", data="w" * 1000)
        client.send(9, b"done")
    for client in clients:
        while client.next_frame() != (0x8A, b"done"):
            pass
    for client in clients:
        client.leave()
        client.close()


def connections(context, many, deflate):
    """Bytes for each of `many` connections."""
    words = "with permessage-deflate" if deflate else "without compression"
    with context.daemon(*QUIET) as daemon, Groups() as holders:
        warm(daemon, deflate)
        empty = daemon.rss()
        holder = holders.start(
            "holder.py", address=daemon.address, source="127.0.0.2", count=FEW, channel="idle", deflate=deflate
        )
        holders.collect("ready", 1, PATIENCE_SECONDS)
        few = daemon.rss()
        holder.tell(more=many - FEW)
        holders.collect("ready", 1, PATIENCE_SECONDS)
        full = daemon.rss()
        each = (full - empty) / many
        further = (full - few) / (many - FEW)
        context.holds(
            f"each of {many:,} idle connections on a channel, {words}, costs at most {CONNECTION_BYTES} B",
            each <= CONNECTION_BYTES, f"{each:.0f} B; from {FEW:,} to {many:,} {further:.0f} B; {empty >> 10} to {full >> 10} KiB in all",
        )
        if not deflate:
            subscriptions(context, daemon, holders, holder, many)
        return each


def subscriptions(context, daemon, holders, holder, many):
    names = [f"further.{n}" for n in range(FURTHER)]
    with RawClient(daemon.address) as client:
        for name in names:
            client.publish(name, b"0")
    before = daemon.rss()
    holder.tell(subscribe=names)
    holders.collect("ready", 1, PATIENCE_SECONDS)
    each = (daemon.rss() - before) / (many * FURTHER)
    context.holds(
        f"each of {many * FURTHER:,} further subscriptions costs at most {SUBSCRIPTION_BYTES} B",
        each <= SUBSCRIPTION_BYTES, f"{each:.1f} B",
    )


def channels(context):
    with context.daemon(*QUIET, "--max-channels", str(CHANNELS + 10)) as daemon, RawClient(daemon.address) as client:
        client.publish("first", b"0")
        before = daemon.rss()
        for number in range(CHANNELS):
            client.send_text(publication(f"channel.of.some.{number}", b'{"price":%d}' % number), key=NO_MASKING)
        client.roundtrip()
        each = (daemon.rss() - before) / CHANNELS
        context.holds(
            f"each of {CHANNELS:,} channels with one small message costs at most {CHANNEL_BYTES} B",
            each <= CHANNEL_BYTES, f"{each:.0f} B",
        )
        last = client.subscribe(f"channel.of.some.{CHANNELS - 1}", last=1)
        context.holds("and each is there", client.next_json()["seq"] == last["seq"] > 0)
