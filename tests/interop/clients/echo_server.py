"""An echo server on Python `websockets`: in one frame, or at /fragmented in several. Prints its port."""

import asyncio

from websockets.asyncio.server import serve

LIMIT = 1 << 25


async def echo(connection):
    fragmented = connection.request.path == "/fragmented"
    async for message in connection:
        if fragmented and len(message) > 2:
            third = len(message) // 3
            await connection.send([message[:third], message[third : 2 * third], message[2 * third :]])
        else:
            await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=LIMIT) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
