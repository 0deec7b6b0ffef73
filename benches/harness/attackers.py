"""Those who ask for much work at once beside the run that is measured: what everybody else notices of them."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import select
import socket
import ssl
import threading

from .servers import Failed

MESSAGE = 1 << 20
ITEMS = 10_000
CHANNELS = 4_096
HELLOS = 400
MEMBERS = 16
WAIT_SECONDS = 10


class Attacker:
    """Does one thing over and over while it is present, in a thread on the generator's core."""

    def __init__(self, attack):
        self.attack = attack

    @contextlib.contextmanager
    def present(self, running, core):
        """At work for as long as this is entered; it is a failure if it has never come to the end of one round."""
        ended, state = threading.Event(), {"rounds": 0, "broke": None}

        def work():
            os.sched_setaffinity(0, {core})
            try:
                for _ in self.attack(running, ended):
                    state["rounds"] += 1
                    if ended.is_set():
                        return
            except (OSError, ValueError) as broke:
                state["broke"] = broke

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(2 * WAIT_SECONDS)
        if state["broke"] or not state["rounds"]:
            raise Failed(f"{self.attack.__name__}: {state['broke'] or 'not one round was done'}")


def slow_messages(running, ended):
    """Messages of 1 MiB that are slow to parse, without a break, from a connection that may do nothing."""
    part = b'"\\n":0,'
    text = b"{" + (part * ((MESSAGE - 2) // len(part)))[:-1] + b"}"
    frame = b"\x81\xff" + len(text).to_bytes(8, "big") + bytes(4) + text
    with upgraded(running, {"read": [], "write": []}) as stream:
        while True:
            send(stream, frame, ended)
            yield


def large_publishes(running, ended):
    """Requests of 10,000 messages each, with a token that grants writing 4,096 channels."""
    names = [f"c{number}" for number in range(CHANNELS)]
    items = [{"channel": names[-1 - number % 64], "data": ""} for number in range(ITEMS)]
    body = json.dumps(items, separators=(",", ":")).encode()
    head = (
        f"POST /api/publish HTTP/1.1\r\nHost: {running.address}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token(running, {'api': True, 'write': names})}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with connected(running) as stream:
        while True:
            send(stream, head.encode() + body, ended)
            answer(stream, ended)
            yield


def hellos(running, ended):
    """The same first message of TLS on 400 connections at once, again and again."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    hello = outgoing.read()
    while True:
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(connected(running)) for _ in range(HELLOS)]
            for stream in streams:
                stream.sendall(hello)
            for stream in streams:
                if ended.is_set():
                    return
                # Others of the same burst may have had to make room.
                with contextlib.suppress(ConnectionResetError):
                    stream.recv(1)
        yield


def many_channels(running, ended):
    """Sixteen connections at once, each with 4,096 channels of its own, opened and closed again and again."""
    tokens = [
        token(running, {"read": [f"{member:x}-{number:x}" for number in range(CHANNELS)], "write": []})
        for member in range(MEMBERS)
    ]
    while True:
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(connected(running)) for _ in tokens]
            for stream, words in zip(streams, tokens, strict=True):
                send(stream, upgrade(running, words), ended)
            for stream in streams:
                answer(stream, ended)
        yield


def connected(running):
    """A socket to the server."""
    host, port = running.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=WAIT_SECONDS)


def upgraded(running, claims):
    """A socket that is a WebSocket connection."""
    stream = connected(running)
    stream.sendall(upgrade(running, token(running, claims)))
    if b" 101 " not in answer(stream, threading.Event()):
        raise ValueError("no upgrade")
    return stream


def upgrade(running, words):
    """The request for one."""
    return (
        f"GET / HTTP/1.1\r\nHost: {running.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {words}\r\n\r\n"
    ).encode()


def send(stream, everything, ended):
    """Sends all of it, or as much as goes out before the end."""
    rest = memoryview(everything)
    while rest and not ended.is_set():
        if select.select([], [stream], [], 0.1)[1]:
            rest = rest[stream.send(rest[: 256 * 1024]) :]


def answer(stream, ended):
    """An answer with its body, or as much as comes before the end."""
    read = b""
    while not ended.is_set():
        if not select.select([stream], [], [], 0.1)[0]:
            continue
        more = stream.recv(1 << 20)
        read += more
        head, found, body = read.partition(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        if not more or found and len(body) >= int(length):
            if found and not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")):
                raise ValueError(head.split(b"\r\n")[0].decode(errors="replace"))
            return read
    return read


def token(running, claims):
    """A token, signed with the secret that the generator is told."""
    words = running.words()
    secret = words[words.index("--secret") + 1]

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims, separators=(",", ":")).encode())
    mac = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(mac)).decode()
