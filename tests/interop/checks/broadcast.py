"""100 subscribers of two libraries get 10,000 messages from 10 publishers, each byte as it was written."""

from support import corpus
from support.groups import Groups
from support.streams import message_text
from support.wire import RawClient

CHANNEL = "bulk.données"
MESSAGES = 10_000
BYTES = 20_000_000
SUBSCRIBERS = 50  # of each library
LAST = '"the end"'


class Run:
    """Publishes a corpus through the daemon to subscribers with the given plans of when to stop reading."""

    def __init__(self, context, address, values):
        self.context = context
        self.address = address
        self.values = values
        self.seqs = {}
        self.highest = 0

    def go(self, python_plans, node_plans, small_buffers=0):
        context = self.context
        saved = context.path("corpus")
        corpus.save(saved, self.values)
        common = {"address": self.address, "channel": CHANNEL, "last": LAST}
        self.frames = [context.path("python-frames"), context.path("node-frames")]
        with Groups() as subscribers, Groups() as publishers:
            subscribers.start(
                "python_subscribers.py", **common, plans=python_plans, frames=self.frames[0],
                compressed=len(python_plans) // 2, small_buffers=small_buffers,
            )
            subscribers.start(
                "node_subscribers.mjs", **common, plans=node_plans, frames=self.frames[1],
                compressed=len(node_plans) // 2,
            )
            subscribers.collect("ready", 2, 60)
            share = {"address": self.address, "channel": CHANNEL, "corpus": saved, "window": 4}
            publishers.start("python_publishers.py", **share, shares=[[n, 10] for n in range(0, 10, 2)])
            publishers.start("node_publishers.mjs", **share, shares=[[n, 10] for n in range(1, 10, 2)])

            def acked(_, event):
                self.seqs.update((seq, index) for index, seq in event["pairs"])
                self.highest = max([self.highest, *(seq for _, seq in event["pairs"])])
                subscribers.tell(progress=self.highest)

            publishers.collect("done", 2, 120, others=acked)
            with RawClient(self.address) as closing:
                self.last_seq = closing.publish(CHANNEL, LAST.encode())["seq"]
            subscribers.tell(progress=self.last_seq)
            done = subscribers.collect("done", 2, 120)
        return [stream for _, event in done for stream in event["streams"]]

    def expected(self):
        """The bytes of every message by seq, as the acknowledgements say they were numbered."""
        texts = {seq: message_text(CHANNEL, seq, self.values[index]) for seq, index in self.seqs.items()}
        texts[self.last_seq] = message_text(CHANNEL, self.last_seq, LAST.encode())
        return texts

    def seen(self):
        """The different messages that each library's subscribers saw, in order."""
        return [corpus.load(path) for path in self.frames]


def run(context):
    values = corpus.make(MESSAGES, BYTES, context.seed)
    sizes = sorted(map(len, values))
    context.note(
        f"{len(values)} messages of {sizes[0]} to {sizes[-1]} B, {sum(sizes):,} B in all, "
        f"{sum(size < 1024 for size in sizes):,} of them under 1 KiB"
    )
    # The window holds everything: a library that is slow for a moment is no defect of the daemon.
    with context.daemon("--retain-bytes", "64MiB", "--retain-messages", "0") as daemon:
        work = Run(context, daemon.address, values)
        streams = work.go([[]] * SUBSCRIBERS, [[]] * SUBSCRIBERS)
        used = daemon.cpu_seconds()
    total = len(values) + 1
    context.equal("every publication has a number of its own", sorted(work.seqs.values()), list(range(len(values))))
    whole = sum(stream["arrived"] == total for stream in streams)
    context.equal("each of the 100 subscribers gets all 10,000 messages, in order", whole, 2 * SUBSCRIBERS)
    context.equal("nobody is told of a gap", sum(len(stream["gaps"]) for stream in streams), 0)
    texts = work.expected()
    wanted = [texts[seq] for seq in sorted(texts)]
    for library, seen in zip(("Python websockets", "Node ws"), work.seen()):
        different = [a for a, b in zip(seen, wanted) if a != b]
        detail = f"{different[0][:200]!r}" if different else ""
        same = not different and len(seen) == len(wanted)
        context.holds(f"{library} sees each message byte for byte as it was published", same, detail)
    compressed = sum(stream["deflate"] for stream in streams)
    deliveries = sum(stream["arrived"] for stream in streams)
    each = used / max(1, deliveries) * 1e6
    context.note(f"{deliveries:,} deliveries, {compressed} subscribers on permessage-deflate; daemon {used:.1f} s of CPU, {each:.1f} µs each")

