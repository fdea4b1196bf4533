"""What Python `websockets` makes of the daemon, one claim after the other. Task: `address`."""

import asyncio
import base64
import json

import websockets
from websockets.asyncio.client import connect

from clients.reporting import failed, report, task

HOST, PORT = task()["address"]
URL = f"ws://{HOST}:{PORT}"
LONG = "prices of märz, 漢字 and \U0001f680; " * 400


def claim(said, found, wanted=True):
    report("tried", said=said, ok=found == wanted, detail="" if found == wanted else f"{found!r}, not {wanted!r}")


async def roundtrip(websocket, channel):
    """Subscribes and publishes on one connection; returns what came back."""
    await websocket.send(json.dumps({"type": "subscribe", "id": "s", "channel": channel}))
    assert json.loads(await websocket.recv())["type"] == "subscribed"
    await websocket.send(json.dumps({"type": "publish", "id": 1, "channel": channel, "data": LONG}, ensure_ascii=False))
    events = [json.loads(await websocket.recv()) for _ in range(2)]
    return {event["type"]: event for event in events}


async def ask(websocket, **members):
    await websocket.send(json.dumps(members, ensure_ascii=False))
    return json.loads(await websocket.recv())


async def patterns_and_payloads(websocket):
    await websocket.recv()
    followed = await ask(websocket, type="subscribe", id=1, pattern="python.*")
    claim("follows a pattern", (followed["type"], followed["pattern"], followed["seq"]), ("subscribed", "python.*", 0))
    data, raw = bytes(range(256)), "\0 \t märz \U0001f680"
    came = [
        await ask(websocket, type="publish", channel="python.bytes", encoding="base64", data=base64.b64encode(data).decode()),
        await ask(websocket, type="publish", channel="python.text", encoding="text", data=raw),
    ]
    claim("gets its messages in order", [(m["seq"], m["channel"], m["channel_seq"]) for m in came], [(1, "python.bytes", 1), (2, "python.text", 1)])
    claim("gets bytes and a text back", (base64.b64decode(came[0]["data"]), came[1]["data"]), (data, raw))
    await websocket.send(json.dumps({"type": "unsubscribe", "pattern": "python.*"}))
    await websocket.recv()
    answers = [await ask(websocket, type="publish", id=n, channel="python.once", key="k", data=n) for n in (1, 2)]
    claim("publishes once what has the same key", [(a["seq"], a.get("duplicate")) for a in answers], [(1, None), (1, True)])


def deflates(websocket):
    return [extension.name for extension in websocket.protocol.extensions] == ["permessage-deflate"]


async def main():
    for compression in ("deflate", None):
        words = "with permessage-deflate" if compression else "without compression"
        async with connect(URL + "/", compression=compression, proxy=None) as websocket:
            claim(f"agrees on a connection {words}", deflates(websocket), compression is not None)
            welcome = json.loads(await websocket.recv())
            claim(f"is welcomed {words}", (welcome["type"], welcome["protocol"]), ("welcome", "json.fanfare.v1"))
            events = await roundtrip(websocket, f"python {compression}".replace(" ", "."))
            claim(f"gets back what it published {words}", events["message"]["data"], LONG)
    async with connect(URL + "/ws", subprotocols=["json.fanfare.v1", "other"], proxy=None) as websocket:
        claim("is given the sub-protocol it offered", websocket.subprotocol, "json.fanfare.v1")
        claim("gets a pong for its ping", await (await websocket.ping()) >= 0)
    async with connect(URL + "/ws", subprotocols=["json.fanfare.v1"], proxy=None) as websocket:
        await patterns_and_payloads(websocket)
    async with connect(URL + "/echo", max_size=None, proxy=None) as websocket:
        for data in (LONG * 10, bytes(range(256)) * 4096):
            await websocket.send(data)
            claim(f"is echoed {type(data).__name__} of {len(data)}", await websocket.recv() == data)
    try:
        async with connect(URL, subprotocols=["mqtt"], proxy=None):
            claim("is refused an unknown sub-protocol", False)
    except websockets.InvalidStatus as refused:
        claim("is refused an unknown sub-protocol", refused.response.status_code, 400)
    async with connect(URL, proxy=None) as websocket:
        await websocket.send(b"binary")
        try:
            while True:
                await websocket.recv()
        except websockets.ConnectionClosed as closed:
            claim("learns why it was closed", (closed.rcvd.code, bool(closed.rcvd.reason)), (1003, True))
    report("done")


try:
    asyncio.run(main())
except Exception as error:
    failed(error)
