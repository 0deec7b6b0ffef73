"""The servers that are measured: whether they are there, and starting and stopping one.

Each run has a server of its own, freshly started on a port that the kernel chose, with everything it
writes in a scratch folder. philote runs as a release build with HS256 tokens, the peers with the
configurations of wsload/peers.
"""

import contextlib
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .machine import ROOT, pinned, said

PEERS = ROOT / "benches/wsload/peers"
START_SECONDS = 20
STOP_SECONDS = 30
MOST_CONNECTIONS = 20_000
# Kinds of keys of certificates, as openssl is told of them.
P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA_4096 = ("rsa:4096",)


class Failed(Exception):
    """What to tell of a server or a run that did not go well."""


class Running:
    """A server that is up: its process id, its address, and the words that tell wsload about it."""

    def __init__(self, target, pid, address, extra=()):
        self.target, self.pid, self.address, self.extra = target, pid, address, extra

    def words(self):
        """Arguments of wsload."""
        return ["--target", self.target, "--addr", self.address, "--server-pid", str(self.pid), *self.extra]


class Philote:
    """The release build, with `workers` workers and no other setting than room and a secret, or TLS too, with a key of some kind."""

    name = "philote"
    target = "philote"

    def __init__(self, binary, workers=1, secured=None):
        self.binary, self.workers, self.secured = binary, workers, secured

    def missing(self):
        """How to get it, where it is not there."""
        return None if Path(self.binary).exists() else "make"

    def version(self):
        """What it calls itself."""
        return said([self.binary, "--version"]).splitlines()[0]

    def commit(self):
        """The commit that it was built from."""
        found = re.search(r"commit ([0-9a-f]+)", self.version())
        return found[1] if found else "an unknown commit"

    @contextlib.contextmanager
    def start(self, core):
        """A server on a core, or on a list of them."""
        secret = secrets.token_hex(32)
        with tempfile.TemporaryDirectory(prefix="philote-bench-") as folder, socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM
        ) as notify:
            notify.bind(f"{folder}/notify")
            config = Path(folder, "config.toml")
            word, settings, extra = "", "", ("--secret", secret)
            if self.secured:
                certificate, key = certified(folder, self.secured)
                word, settings = " tls", f'tls.certificate = "{certificate}"\ntls.key = "{key}"\n'
                extra += ("--tls", "--ca", certificate)
            config.write_text(
                f'listen = ["127.0.0.1:0{word}"]\nworkers = {self.workers}\nauth.secret = "{secret}"\n'
                f"limits.max_connections = {MOST_CONNECTIONS}\n{settings}"
            )
            config.chmod(0o600)
            environment = kept_environment() | {"NOTIFY_SOCKET": f"{folder}/notify"}
            command = pinned([self.binary, "serve", "--config", config], core)
            with process(command, folder, environment) as (server, log):
                address = self.address(server, notify, log)
                yield Running("philote", server.pid, address, extra)

    @staticmethod
    def address(server, notify, log):
        """Waits until it is ready; where it listens stands in the same datagram."""
        deadline = time.monotonic() + START_SECONDS
        notify.settimeout(0.1)
        while time.monotonic() < deadline and server.poll() is None:
            try:
                words = notify.recv(4096).decode()
            except TimeoutError:
                continue
            found = re.search(r"^STATUS=listening on (127\.0\.0\.1:\d+)", words, re.MULTILINE)
            if "READY=1" in words.splitlines() and found:
                return found[1]
        raise Failed(f"philote did not start:\n{log.read_text(errors='replace')}")


def certified(folder, kind):
    """A certificate that signed itself for the loopback address, and its key of this kind."""
    certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "2",
        "-subj", "/CN=philote", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", key, "-out", certificate,
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Failed("openssl is not there: apt-get install -y --no-install-recommends openssl") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"openssl made no certificate: {error.stderr.strip()}") from None
    return certificate, key


class Nats:
    """nats-server with its WebSocket listener."""

    name = "nats"
    target = "nats"

    def missing(self):
        """How to get it, where it is not there."""
        there = shutil.which("nats-server", path=search_path())
        return None if there else "apt-get install -y --no-install-recommends nats-server"

    def version(self):
        """What it calls itself."""
        return "nats-server " + said([shutil.which("nats-server", path=search_path()), "--version"]).split()[-1]

    @contextlib.contextmanager
    def start(self, core):
        """A server on a core, or on a list of them."""
        with tempfile.TemporaryDirectory(prefix="nats-bench-") as folder:
            config, ports = with_free_ports(PEERS / "nats.conf", folder, ("9222", "4322"))
            command = [shutil.which("nats-server", path=search_path()), "-c", config]
            with process(pinned(command, core), folder, kept_environment()) as (server, log):
                address = f"127.0.0.1:{ports[0]}"
                wait_for(address, server, log)
                yield Running(self.target, server.pid, address)


class Nchan:
    """nginx with nchan, one worker, its channels in shared memory."""

    name = "nchan"
    target = "nchan"

    def missing(self):
        """How to get it, where it is not there."""
        module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
        there = module.exists() and shutil.which("nginx", path=search_path())
        return None if there else "apt-get install -y --no-install-recommends nginx libnginx-mod-nchan"

    def version(self):
        """What nginx calls itself, and the version of the package that nchan comes in."""
        nginx = said([shutil.which("nginx", path=search_path()), "-v"]).split("/")[-1]
        package = said(["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"])
        return f"nginx {nginx}, nchan {package or 'of unknown version'}"

    @contextlib.contextmanager
    def start(self, core):
        """A server on a core, or on a list of them."""
        with tempfile.TemporaryDirectory(prefix="nchan-bench-") as folder:
            os.chmod(folder, 0o755)
            config, ports = with_free_ports(PEERS / "nginx-nchan.conf", folder, ("8880",))
            command = [shutil.which("nginx", path=search_path()), "-p", f"{folder}/", "-c", config, "-e", "stderr"]
            with process(pinned(command, core), folder, kept_environment()) as (server, log):
                address = f"127.0.0.1:{ports[0]}"
                wait_for(address, server, log)
                yield Running(self.target, server.pid, address)


class Uwebsockets:
    """A bare relay on uWebSockets, compiled from peers/uwebsockets.c with the library that a package for Python carries."""

    name = "uwebsockets"
    target = "raw"
    package = "socketify"
    release = "0.0.31"

    def __init__(self, folder):
        """Library and program are below this folder."""
        self.folder = folder
        self.program = folder / "uwebsockets"

    def missing(self):
        """How to get it, where it is not there."""
        if not self.library():
            # From Python nothing but the file is wanted.
            return f"pip install --no-deps --target {self.folder}/{self.package} {self.package}=={self.release}"
        if not shutil.which("cc") or not any(Path("/usr/lib").glob("*/libuv.so.1")):
            return "apt-get install -y --no-install-recommends gcc libc6-dev libuv1"
        return None

    def library(self):
        """The library, where the package is installed."""
        kind = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        found = self.folder.glob(f"{self.package}/{self.package}/libsocketify_linux_{kind}.so")
        return next(found, None)

    def version(self):
        """It does not say which uWebSockets it carries."""
        return f"uWebSockets of {self.package} {self.release}"

    def is_current(self):
        """Whether it has been compiled since its source was changed."""
        source = PEERS / "uwebsockets.c"
        return self.program.exists() and self.program.stat().st_mtime >= source.stat().st_mtime

    def build(self):
        """Compiles the relay."""
        library = self.library()
        command = ["cc", "-O2", "-o", self.program, PEERS / "uwebsockets.c", "-L", library.parent, f"-l:{library.name}"]
        command += ["-l:libuv.so.1", f"-Wl,-rpath,{library.parent}"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise Failed(f"uwebsockets.c was not compiled:\n{built.stderr.strip()}")

    @contextlib.contextmanager
    def start(self, core):
        """A server on a core, or on a list of them."""
        if not self.is_current():
            self.build()
        with tempfile.TemporaryDirectory(prefix="uwebsockets-bench-") as folder:
            (port,) = free_ports(1)
            with process(pinned([self.program, port], core), folder, kept_environment()) as (server, log):
                address = f"127.0.0.1:{port}"
                wait_for(address, server, log, answered=False)
                yield Running(self.target, server.pid, address)


@contextlib.contextmanager
def process(command, folder, environment):
    """A process with its log in the folder. It is ended politely, and has to be gone in time."""
    log = Path(folder, "log")
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=folder
        )
    try:
        yield server, log
    except Failed as failure:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise Failed(f"{failure}\nthe server's log ended with:\n{tail}") from None
    finally:
        # The second one says: at once.
        for sign in (signal.SIGTERM, signal.SIGTERM):
            if server.poll() is None:
                server.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(STOP_SECONDS / 10)
        if server.poll() is None:
            server.kill()
            server.wait()


def wait_for(address, server, log, answered=True):
    """Waits until a request is answered there, since nginx listens before it has its worker; or until somebody listens."""
    host, port = address.split(":")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1) as asked:
            if not answered:
                return
            asked.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if asked.recv(1):
                return
        time.sleep(0.01)
    raise Failed(f"the server did not start:\n{log.read_text(errors='replace')}")


def with_free_ports(source, folder, ports):
    """A copy of a configuration with these ports replaced by free ones; its path, and the ports."""
    text, free = source.read_text(), free_ports(len(ports))
    for port, instead in zip(ports, free):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{instead}")
    copy = Path(folder, source.name)
    copy.write_text(text)
    return copy, free


def free_ports(count):
    """So many ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def search_path():
    """Where programs are: Debian has servers where a user's PATH does not look."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def kept_environment():
    """Of the environment, what no server takes for a setting."""
    names = ("PATH", "HOME", "TMPDIR", "LANG")
    return {name: os.environ[name] for name in names if name in os.environ}
