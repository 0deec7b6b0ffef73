"""philote with TLS beside itself without: what sealing costs a delivery, a connection and a handshake."""

from ..series import Shape, Variant
from .memory import CONNECTIONS, HANDSHAKES, KIB
from .throughput import PER_CPU, PER_SECOND, TOGETHER

SHAPES = (
    ("tls-fanout-100x1", "100 subscribers, 1 message under way", "fanout --subs 100 --inflight 1", 1000),
    ("tls-fanout-100x16", "100 subscribers, 16 under way", "fanout --subs 100 --inflight 16", 4000),
    ("tls-fanout-1000x16", "1,000 subscribers, 16 under way", "fanout --subs 1000 --inflight 16", 400),
)


def shapes(bench):
    """The same with and without, in turns."""
    count = bench.effort.connections(CONNECTIONS)
    idle = f"idle --conns {count} --seconds {bench.effort.seconds(2)}"

    def both(words):
        return [Variant("plain", bench.philote, words), Variant("TLS", bench.secured, words)]

    return [
        *(
            Shape(
                name=name,
                title=title,
                variants=both(words + " --messages {messages}"),
                metrics=[PER_CPU, PER_SECOND, TOGETHER],
                first_guess=guess,
            )
            for name, title, words, guess in SHAPES
        ),
        Shape(
            name="tls-idle",
            title=f"{count:,} idle connections, each with a channel of its own",
            variants=both(idle),
            metrics=[KIB],
            runs=3,
        ),
        Shape(
            name="tls-handshakes",
            title=f"{count:,} handshakes, 64 at a time",
            variants=both(f"connect --conns {count} --hold 0.1"),
            metrics=[HANDSHAKES],
            runs=3,
        ),
    ]
