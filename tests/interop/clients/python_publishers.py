"""Publishers that use Python `websockets` and pace themselves by their acknowledgements.

Task: `address`, `channel`, `corpus` (the file of what to publish), `shares` (for each publisher
[first, step]: which of the corpus are its own), `window` (how many may be unacknowledged).
Reports {"event": "acked", "pairs": [[index in the corpus, seq], ...]} as it goes, then "done".
"""

import asyncio
import json

from websockets.asyncio.client import connect

from clients.reporting import failed, report, task
from support.corpus import load

# White space around `data` is not part of it, so some of it stands there.
AROUND = [(b"", b""), (b" ", b""), (b"\n\t", b" \r\n"), (b"", b"  ")]
REPORT_EVERY = 50


async def publisher(task, corpus, first, step):
    host, port = task["address"]
    mine = range(first, len(corpus), step)
    channel = json.dumps(task["channel"]).encode()
    async with connect(f"ws://{host}:{port}/", ping_interval=None, proxy=None) as websocket:
        assert json.loads(await websocket.recv())["type"] == "welcome"
        assert websocket.subprotocol is None
        pairs = []
        waiting = 0

        async def acknowledgement():
            ack = json.loads(await websocket.recv())
            assert ack["type"] == "published" and ack["channel"] == task["channel"], ack
            pairs.append([ack["id"], ack["seq"]])
            if len(pairs) == REPORT_EVERY:
                report("acked", pairs=pairs)
                pairs.clear()

        for index in mine:
            before, after = AROUND[index % len(AROUND)]
            text = b'{"type":"publish","channel":%b,"data":%b%b%b,"id":%d}' % (
                channel, before, corpus[index], after, index)
            await websocket.send(text, text=True)
            waiting += 1
            if waiting == task["window"]:
                await acknowledgement()
                waiting -= 1
        for _ in range(waiting):
            await acknowledgement()
        report("acked", pairs=pairs)


async def main():
    work = task()
    corpus = load(work["corpus"])
    await asyncio.gather(*(publisher(work, corpus, *share) for share in work["shares"]))
    report("done")


try:
    asyncio.run(main())
except Exception as error:
    failed(error)
