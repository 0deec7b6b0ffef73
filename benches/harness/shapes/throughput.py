"""Deliveries for each second of the server's CPU, in closed loops."""

from ..series import Metric, Shape, Variant

PER_CPU = Metric("deliveries_per_cpu_s", "server.deliveries_per_cpu_s", higher_is_better=True)
PER_SECOND = Metric("deliveries_per_s", "deliveries_per_s", higher_is_better=True)
TOGETHER = Metric("deliveries_per_read", "deliveries_per_read", higher_is_better=True)

# With one message under way servers differ by little, and their runs by a quarter.
MANY = 15
# As much as the bare relay, as far as that can be told.
LIMIT = 0.95
# Name, title, arguments, messages to begin with, runs, and how many times the figure of a peer it has to be. The
# factors beside nats are what uwebsockets reached there, on the machine that they were chosen on.
SHAPES = (
    ("fanout-100x1", "100 subscribers, 1 message under way", "fanout --subs 100 --inflight 1", 1000, MANY, (2.2, 1.0)),
    ("fanout-100x16", "100 subscribers, 16 under way", "fanout --subs 100 --inflight 16", 4000, 5, (3.2, 9.0)),
    ("fanout-100x128", "100 subscribers, 128 under way", "fanout --subs 100 --inflight 128", 8000, 5, (5.0, 9.0)),
    ("fanout-1000x1", "1,000 subscribers, 1 under way", "fanout --subs 1000 --inflight 1", 100, MANY, (2.2, 1.0)),
    ("fanout-1000x16", "1,000 subscribers, 16 under way", "fanout --subs 1000 --inflight 16", 400, 5, (4.4, 9.0)),
    ("rooms-50x8", "50 rooms of 8 who all publish, 16 under way each", "rooms --rooms 50 --members 8 --inflight 16", 200, 5, ()),
)


def shapes(bench):
    """One shape for each line of the table above."""
    return [
        Shape(
            name=name,
            title=title,
            variants=[Variant(server.name, server, words + " --messages {messages}") for server in bench.servers],
            metrics=[PER_CPU, PER_SECOND, TOGETHER],
            runs=runs,
            first_guess=guess,
            asked=[*((peer, ">=", times) for peer, times in zip(("nats", "nchan"), asked)), ("uwebsockets", ">=", LIMIT)],
        )
        for name, title, words, guess, runs, asked in SHAPES
    ]
