"""Delivery times at a fixed rate, in an open loop, and what readers that do not keep up do to the others."""

from ..series import Metric, Shape, Variant

P50 = Metric("p50_ms", "latency_us.p50", 1e-3)
P99 = Metric("p99_ms", "latency_us.p99", 1e-3)
CPU = Metric("cpu_us_each", "server.cpu_us_each")
RATE = Metric("deliveries_per_s", "deliveries_per_s", higher_is_better=True)


def latency(bench):
    """1,000 subscribers, 100 messages a second: what a steady load meets."""
    words = f"latency --subs 1000 --rate 100 --seconds {bench.effort.seconds(4)}"
    return [
        Shape(
            name="latency-1000",
            title="1,000 subscribers, 100 messages a second",
            variants=[Variant(server.name, server, words) for server in bench.servers],
            metrics=[P50, P99, CPU],
            # What a virtual machine loses to its host is most of the highest percentile of many runs.
            runs=11,
            asked=[("nchan", "<=", 1.0)],
        )
    ]


def stalled(bench):
    """The same with and without one among the subscribers that stops reading."""
    words = f"slow --subs 999 --rate 100 --seconds {bench.effort.seconds(4)} --size 512 --resume 0.5"
    return [
        Shape(
            name="stalled-1-of-1000",
            title="999 subscribers that read, with and without one that does not",
            variants=[
                Variant("without", bench.philote, f"{words} --stalled 0"),
                Variant("with one stalled", bench.philote, f"{words} --stalled 1"),
            ],
            metrics=[P99, P50],
        )
    ]


def slow_reader(bench):
    """A flood among 20 readers, with and without one more that reads a hundredth of it."""
    words = f"flood --pubs 8 --subs 20 --seconds {bench.effort.seconds(3)} --resume 10"
    return [
        Shape(
            name="slow-reader-in-a-flood",
            title="8 publishers at full speed, 20 readers, with and without one at a hundredth",
            variants=[
                Variant("without", bench.philote, f"{words} --slow 0"),
                Variant("with one slow", bench.philote, f"{words} --slow 1 --slow-rate 1/100"),
            ],
            metrics=[RATE],
            # Publishers and readers are processes of their own, ten in all: they and the server share both cores.
            core=bench.both_cores,
        )
    ]
