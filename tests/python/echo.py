"""A WebSocket echo server by another hand, to prove the raw client of the tests.

Prints its port, serves one connection, and prints the code that it was closed with.
"""

import asyncio

from websockets.asyncio.server import serve


async def main():
    over = asyncio.get_running_loop().create_future()

    async def echo(connection):
        async for message in connection:
            await connection.send(message)
        over.set_result((connection.close_code, connection.close_reason))

    async with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        print(*await asyncio.wait_for(over, 60), flush=True)


asyncio.run(main())
