"""Messages over HTTP beside messages over a socket, and what it does to deliveries when connections are listed."""

from ..company import Crowd
from ..series import Metric, Shape, Variant
from .growth import EACH
from .latency import P50, P99

CROWD = 10_000


def publishing(bench):
    """What a message costs, one subscriber."""
    socket = "fanout --subs 1 --inflight {} --messages {{messages}}"
    post = "post --subs 1 --batch {} --messages {{messages}}"
    return [
        Shape(
            name="publish-over-http",
            title="a message to one subscriber",
            variants=[
                Variant("HTTP, 100 a request", bench.philote, post.format(100)),
                Variant("HTTP, 1 a request", bench.philote, post.format(1)),
                Variant("socket, 1 under way", bench.philote, socket.format(1)),
                Variant("socket, 16 under way", bench.philote, socket.format(16)),
                Variant("socket, 100 under way", bench.philote, socket.format(100)),
            ],
            metrics=[EACH],
            first_guess=5_000,
            seconds=0.3,
        )
    ]


def listing(bench):
    """Delivery times among many connections, while an operator's tools list them all."""
    words = f"latency --subs 100 --rate 200 --seconds {bench.effort.seconds(4)}"
    crowd = bench.effort.connections(CROWD)
    return [
        Shape(
            name="connections-listed",
            title=f"100 subscribers, 200 messages a second, {crowd:,} others connected",
            variants=[
                Variant("undisturbed", bench.philote, words, beside=Crowd(bench.wsload, crowd, False)),
                Variant("while all are listed", bench.philote, words, beside=Crowd(bench.wsload, crowd, True)),
            ],
            metrics=[P99, P50],
        )
    ]
