"""One worker against two. Neither the server nor the generator is pinned here: both may use both cores."""

from ..series import Metric, Shape, Variant
from .latency import CPU, P50, P99
from .throughput import PER_CPU, PER_SECOND

SHAPES = (
    ("workers-fanout-100x16", "100 subscribers, 16 under way", "fanout --subs 100 --inflight 16", 4000),
    ("workers-fanout-1000x16", "1,000 subscribers, 16 under way", "fanout --subs 1000 --inflight 16", 400),
    ("workers-rooms-50x8", "50 rooms of 8 who all publish", "rooms --rooms 50 --members 8 --inflight 16", 200),
)


def shapes(bench):
    """Throughput both by CPU and by time, handshakes, and latency at a fixed rate."""
    if len(bench.workers) < 2:
        return []
    latency = f"latency --subs 1000 --rate 100 --seconds {bench.effort.seconds(4)}"
    handshakes = f"connect --conns {bench.effort.connections(8_000)} --hold 0.1"
    closed = [
        shape(bench, name, title, words + " --messages {messages}", [PER_SECOND, PER_CPU], guess)
        for name, title, words, guess in SHAPES
    ]
    return [
        *closed,
        shape(bench, "workers-latency-1000", "1,000 subscribers, 100 messages a second", latency, [P50, P99, CPU]),
        shape(
            bench,
            "workers-handshakes",
            "handshakes, 64 at a time",
            handshakes,
            [
                Metric("handshakes_per_s", "handshakes_per_s", higher_is_better=True),
                Metric("handshakes_per_cpu_s", "server.handshakes_per_cpu_s", higher_is_better=True),
            ],
        ),
    ]


def shape(bench, name, title, words, metrics, guess=500):
    """The same for each number of workers."""
    return Shape(
        name=name,
        title=title,
        variants=[Variant(named(server.workers), server, words) for server in bench.workers],
        metrics=metrics,
        first_guess=guess,
        core=bench.both_cores,
        runs=3,
    )


def named(count):
    """How many workers, in words."""
    return "1 worker" if count == 1 else f"{count} workers"
