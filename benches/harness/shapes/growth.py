"""How the cost of a delivery goes with the number of subscribers, of channels, and with the size of a message."""

from ..series import Metric, Shape, Variant
from .throughput import PER_CPU, PER_SECOND

EACH = Metric("cpu_us_each", "server.cpu_us_each")
SUBSCRIBERS = (10, 100, 1_000, 10_000)
CHANNELS = (1, 10, 100, 1_000, 10_000, 100_000)
SIZES = (16, 128, 1_024, 8_192, 65_536)
# What publishes to one of the channels only, where others publish to all in turn.
SAME = "philote, to one of them"
CONNECTIONS = 100
RUNS = 3
SECONDS = 0.3


def subscribers(bench):
    """One channel, one message under way, more and more subscribers."""
    return [
        Shape(
            name=f"subscribers-{count}",
            title=f"{count:,} subscribers, 1 message under way",
            variants=[
                Variant(server.name, server, f"fanout --subs {count} --inflight 1 --messages {{messages}}")
                for server in bench.servers
            ],
            metrics=[EACH, PER_SECOND],
            runs=RUNS,
            first_guess=max(1, 20_000 // count),
            seconds=SECONDS,
        )
        for count in SUBSCRIBERS
    ]


def channels(bench):
    """More and more channels with one subscriber each, on 100 connections; one message under way, so that each is a
    read and a write of its own however many there are. Who has one channel a connection has no part."""
    able = [server for server in bench.servers if server.name not in ("nchan", "uwebsockets")]
    kib = Metric("kib_per_channel", "server_memory.per_channel.pss_kib")
    return [
        Shape(
            name=f"channels-{count}",
            title=f"{count:,} channel{'s'[: count - 1]} with one subscriber each, 1 message under way",
            variants=[
                *(Variant(server.name, server, words_of(count)) for server in able),
                Variant(SAME, bench.philote, f"{words_of(count)} --busy 1"),
            ],
            metrics=[EACH, PER_SECOND, kib],
            runs=RUNS,
            first_guess=2_000,
            seconds=SECONDS,
        )
        for count in CHANNELS
    ]


def words_of(count):
    """Arguments of wsload."""
    return f"channels --channels {count} --per-conn {-(-count // CONNECTIONS)} --inflight 1 --messages {{messages}}"


def sizes(bench):
    """100 subscribers, one message under way, longer and longer messages."""
    return [
        Shape(
            name=f"size-{size}",
            title=f"{size:,} bytes, 100 subscribers, 1 message under way",
            variants=[
                Variant(server.name, server, f"fanout --subs 100 --inflight 1 --size {size} --messages {{messages}}")
                for server in bench.servers
            ],
            metrics=[EACH, PER_CPU],
            runs=RUNS,
            first_guess=200,
            seconds=SECONDS,
        )
        for size in SIZES
    ]
