"""Subscribers that use Python `websockets`: check order and bytes as messages come.

Task: `address`, `channel`, `plans` (for each subscriber a list of [at seq, until seq]: having read
`at seq` it stops reading until the publishers have passed `until seq`), `compressed` (how many
of them offer permessage-deflate), `small_buffers` (how many get a small receive buffer), `frames`
(the file to leave the frames seen in), `last` (the data of the message after which to stop).
Order: {"progress": seq}.
"""

import asyncio
import json
import socket

from websockets.asyncio.client import connect

from clients.reporting import failed, listen, report, task
from support.corpus import save
from support.streams import Stream


class Subscribers:
    def __init__(self, task):
        self.task = task
        self.frames = {}
        self.progress = 0
        self.passed = asyncio.Event()
        self.subscribed = 0

    def order(self, order):
        self.progress = order["progress"]
        self.passed.set()
        self.passed = asyncio.Event()

    async def until_passed(self, seq):
        while self.progress < seq:
            await self.passed.wait()

    def socket(self, index):
        sock = socket.socket()
        if index < self.task["small_buffers"]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(tuple(self.task["address"]))
        sock.setblocking(False)
        return sock

    async def subscriber(self, index):
        task = self.task
        host, port = task["address"]
        async with connect(
            f"ws://{host}:{port}/ws",
            sock=self.socket(index),
            compression="deflate" if index < task["compressed"] else None,
            subprotocols=["json.fanfare.v1"],
            max_queue=4,
            ping_interval=None,
            proxy=None,
        ) as websocket:
            assert websocket.subprotocol == "json.fanfare.v1"
            assert json.loads(await websocket.recv())["type"] == "welcome"
            await websocket.send(json.dumps({"type": "subscribe", "id": index, "channel": task["channel"]}))
            reply = json.loads(await websocket.recv())
            assert reply["type"] == "subscribed" and reply["id"] == index, reply
            self.subscribed += 1
            if self.subscribed == len(task["plans"]):
                report("ready")
            stream = Stream(task["channel"], reply)
            await self.read(websocket, stream, list(task["plans"][index]))
            deflate = any(e.name == "permessage-deflate" for e in websocket.protocol.extensions)
        return {"arrived": stream.arrived, "gaps": stream.gaps, "deflate": deflate}

    async def read(self, websocket, stream, plan):
        last = self.task["last"].encode()
        while True:
            if plan and stream.position >= plan[0][0]:
                await self.until_passed(plan.pop(0)[1])
            text = await websocket.recv(decode=False)
            data = stream.take(text)
            if data is None:
                continue
            if self.frames.setdefault(stream.position, text) != text:
                raise AssertionError(f"subscribers got different bytes for {stream.position}")
            if data == last:
                return


async def main():
    subscribers = Subscribers(task())
    loop = asyncio.get_running_loop()
    listen(lambda order: loop.call_soon_threadsafe(subscribers.order, order))
    count = len(subscribers.task["plans"])
    streams = await asyncio.gather(*(subscribers.subscriber(index) for index in range(count)))
    save(subscribers.task["frames"], (subscribers.frames[seq] for seq in sorted(subscribers.frames)))
    report("done", streams=streams)


try:
    asyncio.run(main())
except Exception as error:
    failed(error)
