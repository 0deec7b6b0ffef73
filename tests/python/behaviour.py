"""What a Python client sees of philote: one function a behaviour, run by name.

Arguments: the port and the name. The secret is in the environment (PHILOTE_TEST_SECRET).
Exits 0 where the behaviour is as promised. Tokens are signed with the standard library.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

PORT = int(sys.argv[1])
SECRET = os.environ["PHILOTE_TEST_SECRET"].encode()
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def token(algorithm="HS256", **claims):
    def encode(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    text = b".".join(map(encode, parts))
    return (text + b"." + encode(hmac.digest(SECRET, text, HASHES[algorithm]))).decode()


def open_with(given, **options):
    return connect(f"ws://127.0.0.1:{PORT}/?auth={given}", **options)


def message(channel, data):
    return json.dumps({"event": "message", "channel": channel, "data": data})


async def hears(connection, channel, data):
    text = await asyncio.wait_for(connection.recv(), 20)
    assert isinstance(text, str), "deliveries are text"
    heard = json.loads(text)
    assert list(heard) == ["issuer", "channel", "data"], text
    assert (heard["channel"], heard["data"]) == (channel, data), text
    assert uuid.UUID(heard["issuer"]).version == 4, text
    return heard["issuer"]


async def publish_and_subscribe():
    async with open_with(token(read=["c"])) as one, open_with(token(read=["c"])) as two:
        async with open_with(token(write=["c"])) as publisher:
            ids = set()
            for data in ["first", "ünïcödé 😀", '"quoted"\n', "x" * 100_000]:
                await publisher.send(message("c", data))
                ids.add(await hears(one, "c", data))
                ids.add(await hears(two, "c", data))
            assert len(ids) == 1, ids


async def each_algorithm():
    for algorithm in HASHES:
        async with open_with(token(algorithm, read=["c"], write=["c"])) as connection:
            await asyncio.wait_for(await connection.ping(), 20)


async def token_in_the_header():
    given = {"Authorization": f"Bearer {token(read=['c'])}"}
    async with connect(f"ws://127.0.0.1:{PORT}/any/path", additional_headers=given) as one:
        async with open_with(token(write=["c"])) as publisher:
            await publisher.send(message("c", "heard"))
            await hears(one, "c", "heard")


async def bad_token():
    for given in ["", "x", token(exp=1), token(read=["c"])[:-3]]:
        try:
            async with open_with(given):
                raise AssertionError("admitted")
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 401, refusal.response


async def fragmented_publish():
    async with open_with(token(read=["c"])) as one, open_with(token(write=["c"])) as publisher:
        text = message("c", "in pieces ü 😀")
        await publisher.send(iter(text))
        await hears(one, "c", "in pieces ü 😀")

        async def pieces():
            for character in text:
                yield character
                await asyncio.wait_for(await publisher.ping(), 20)

        await publisher.send(pieces())
        await hears(one, "c", "in pieces ü 😀")


async def binary_publish():
    async with open_with(token(read=["c"])) as one, open_with(token(write=["c"])) as publisher:
        await publisher.send(message("c", "as bytes").encode())
        await hears(one, "c", "as bytes")


async def ping_and_pong():
    async with open_with(token()) as connection:
        for payload in [b"", b"hello", bytes(range(125))]:
            await asyncio.wait_for(await connection.ping(payload), 20)
        await connection.pong(b"unasked")
        await asyncio.wait_for(await connection.ping(), 20)


async def pings_of_the_server_are_answered():
    """Started with an interval of 200 ms: whoever answers by its library alone stays."""
    async with open_with(token(read=["c"]), ping_interval=None) as one:
        seen = asyncio.Event()
        count = 0
        received = one.protocol.recv_frame

        def watched(frame):
            nonlocal count
            count += frame.opcode is Opcode.PING
            if count >= 8:
                seen.set()
            return received(frame)

        one.protocol.recv_frame = watched
        await asyncio.wait_for(seen.wait(), 20)
        async with open_with(token(write=["c"])) as publisher:
            await publisher.send(message("c", "alive"))
            await hears(one, "c", "alive")


async def own_close():
    for code, reason in [(1000, "done"), (1001, ""), (3000, "in words"), (4999, "ü" * 61)]:
        connection = await open_with(token())
        await connection.close(code, reason)
        assert connection.close_code == code, connection.close_code


async def closed_for(code, text):
    connection = await open_with(token(write=["c"]))
    try:
        await connection.send(text)
        await asyncio.wait_for(connection.recv(), 20)
        raise AssertionError("not closed")
    except ConnectionClosed as closed:
        assert closed.rcvd and closed.rcvd.code == code, closed
        assert closed.rcvd.reason, "a reason is given"


async def bad_messages():
    for text in ["", "x", "[]", '{"channel":"c","data":1}', '{"channel":"c"} x', b"\xff", b""]:
        await closed_for(1007, text)


async def large_messages():
    await closed_for(1009, message("c", "x" * (1024 * 1024)))


async def server_shutdown():
    """Says that it is open, and is closed by the stop that follows."""
    async with open_with(token(read=["c"])) as connection:
        print("open", flush=True)
        try:
            await asyncio.wait_for(connection.recv(), 20)
            raise AssertionError("not closed")
        except ConnectionClosed as closed:
            assert closed.rcvd and closed.rcvd.code == 1001, closed
            assert closed.rcvd.reason, "a reason is given"


async def flood_in_order():
    count = 3000
    async with open_with(token(read=["c"])) as one, open_with(token(write=["c"])) as publisher:

        async def publishes():
            for number in range(count):
                await publisher.send(message("c", str(number)))

        task = asyncio.create_task(publishes())
        for number in range(count):
            await hears(one, "c", str(number))
        await task


asyncio.run(globals()[sys.argv[2]]())
