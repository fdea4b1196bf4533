"""A window far too small and readers that stop now and then: arrivals and gaps account for every message."""

from checks.broadcast import Run
from support import corpus
from support.streams import missing

MESSAGES = 10_000
BYTES = 20_000_000
SUBSCRIBERS = 50  # of each library
STOPPING = 20  # of each library


def plan(rng):
    """Two or three stops: [having read this seq, read on when the publishers are past that seq]."""
    stops = []
    at = rng.randint(200, 2000)
    while at < 8000 and len(stops) < 3:
        until = at + rng.randint(500, 2500)
        stops.append([at, until])
        at = until + rng.randint(100, 1500)
    return stops


def run(context):
    values = corpus.make(MESSAGES, BYTES, context.seed + 1)
    rng = context.random()
    python = [plan(rng) if n < STOPPING else [] for n in range(SUBSCRIBERS)]
    node = [plan(rng) if n < STOPPING else [] for n in range(SUBSCRIBERS)]
    with context.daemon("--retain-messages", "50", "--retain-bytes", "256KiB") as daemon:
        work = Run(context, daemon.address, values)
        streams = work.go(python, node, small_buffers=STOPPING)
        sums = daemon.sums()
    expected = work.expected()
    seqs = sorted(expected)
    total = len(values) + 1
    missed_by = [sum(len(missing(gap, seqs)) for gap in stream["gaps"]) for stream in streams]
    accounted = [stream["arrived"] + missed for stream, missed in zip(streams, missed_by)]
    context.equal("for each subscriber, arrivals and announced gaps make up every message", set(accounted), {total})
    lagged = [stream for stream in streams if stream["gaps"]]
    missed = sum(missed_by)
    gaps = sum(len(stream["gaps"]) for stream in streams)
    context.holds("who stops reading is told of gaps", len(lagged) >= STOPPING, f"{len(lagged)} subscribers, {gaps} gaps, {missed:,} messages missed")
    published = set(expected.values())
    wrong = [text for seen in work.seen() for text in seen if text not in published]
    context.equal("what arrives is byte for byte what was published", wrong[:1], [])
    context.note(f"the daemon counts: {sums['line']}")
