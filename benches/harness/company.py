"""What happens at a server beside the run that is measured: a crowd that is connected, and an operator who looks at it."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import threading
import time

from .machine import pinned
from .servers import Failed

CONNECT_SECONDS = 60
# Between one page of connections and the next.
PAGE_SECONDS = 0.1
PAGE = 1000


class Crowd:
    """So many idle connections; with `watched`, all of them are listed again and again meanwhile, a page at a time."""

    def __init__(self, wsload, connections, watched):
        self.wsload, self.connections, self.watched = wsload, connections, watched

    @contextlib.contextmanager
    def present(self, running, core):
        """Connected, and listed if they are to be, for as long as this is entered."""
        # From many addresses: those of the crowd before it still have their ports.
        options = ["--conns", self.connections, "--seconds", 600, "--timeout", 700, "--sources", 10]
        command = pinned([self.wsload, "idle", *options, *running.words()], core)
        idle = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watcher = Watcher(running.address, token_for(running), core)
        try:
            deadline = time.monotonic() + CONNECT_SECONDS
            while watcher.connections() < self.connections:
                if idle.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{self.connections} connections were not there in time")
                time.sleep(0.05)
            with watcher.watching() if self.watched else contextlib.nullcontext():
                yield
        finally:
            idle.kill()
            idle.wait()


class Watcher:
    """Asks for what only an operator may see."""

    def __init__(self, address, token, core):
        self.client = http.client.HTTPConnection(address, timeout=10)
        self.headers, self.core = {"Authorization": f"Bearer {token}"}, core
        self.pages, self.broke, self.ended = 0, None, threading.Event()

    def get(self, path):
        """The answer's body."""
        self.client.request("GET", path, headers=self.headers)
        answer = self.client.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Failed(f"GET {path}: {answer.status} {body[:200]!r}")
        return body

    def connections(self):
        """How many there are."""
        return json.loads(self.get("/api/connections?limit=1"))["total"]

    @contextlib.contextmanager
    def watching(self):
        """Lists all connections, over and over, in a thread on the given core."""
        thread = threading.Thread(target=self.watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()
        if self.broke or not self.pages:
            raise Failed(f"listing connections: {self.broke or 'not a page was read'}")

    def watch(self):
        """The thread."""
        os.sched_setaffinity(0, {self.core})
        after = ""
        try:
            while not self.ended.wait(PAGE_SECONDS):
                page = self.get(f"/api/connections?limit={PAGE}{after}")
                self.pages += 1
                # Taking all of it apart would keep the generator, on the same core, from reading.
                following = re.search(rb'"next":"([^"]+)"', page[-200:])
                after = f"&after={following[1].decode()}" if following else ""
        except (Failed, OSError, http.client.HTTPException, ValueError) as broke:
            self.broke = broke


def token_for(running):
    """A token that manages, signed with the secret that the generator is told."""
    words = running.words()
    secret = words[words.index("--secret") + 1]

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(b'{"api":true,"manage":true,"read":[],"write":[]}')
    mac = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(mac)).decode()
