"""What connections cost: memory while they are idle, CPU for their pings, and their handshakes."""

from ..series import Metric, Shape, Variant

KIB = Metric("kib_per_connection", "server_memory.per_connection.pss_kib")
SHARE = Metric("share_of_a_core", "server_share")
HANDSHAKES = Metric("handshakes_per_cpu_s", "server.handshakes_per_cpu_s", higher_is_better=True)
CONNECTIONS = 8_000
# As many as the generator reads again within seconds: each has a mebibyte waiting, some of it in the kernel.
HELD = 500


def shapes(bench):
    """Idle connections, and memory that comes and goes with traffic."""
    count = bench.effort.connections(CONNECTIONS)
    idle = f"idle --conns {count} --seconds {bench.effort.seconds(2)}"
    every = [(server.name, server) for server in bench.servers]
    rest = bench.effort.seconds(60)
    held = bench.effort.connections(HELD)
    return [
        Shape(
            name="idle-own-channels",
            title=f"{count:,} idle connections, each with a channel of its own",
            variants=[Variant(name, server, idle) for name, server in every],
            metrics=[KIB],
            runs=3,
            asked=[(None, "<=", 2.5)],
        ),
        Shape(
            name="idle-one-channel",
            title=f"{count:,} idle connections, all with one channel",
            variants=[Variant(name, server, f"{idle} --shared") for name, server in every],
            metrics=[KIB],
            runs=3,
            asked=[(None, "<=", 2.5)],
        ),
        Shape(
            name="idle-cpu",
            title=f"{count:,} idle connections, pinged every 25 seconds",
            variants=[
                Variant("philote", bench.philote, f"idle --conns {count} --seconds {bench.effort.seconds(60)}")
            ],
            metrics=[SHARE],
            runs=1,
            asked=[(None, "<=", 0.01)],
            timeout=100,
        ),
        Shape(
            name="memory-given-back",
            title=f"{held:,} subscribers who read nothing for 5 seconds, then a minute of rest",
            variants=[
                Variant(
                    "philote",
                    bench.philote,
                    f"swell --subs {held} --hold --size 128 --rate 800 --seconds 5 --rest {rest}",
                )
            ],
            metrics=[
                Metric("after_mib", "server_pss_kib.after", 1 / 1024),
                Metric("idle_mib", "server_pss_kib.idle", 1 / 1024),
                Metric("peak_mib", "server_pss_kib.peak", 1 / 1024),
            ],
            runs=1,
            timeout=100,
        ),
    ]


def handshakes(bench):
    """Handshakes for each second of the server's CPU; philote verifies a token in each."""
    count = bench.effort.connections(CONNECTIONS)
    words = f"connect --conns {count} --hold 0.1"
    variants = [Variant(server.name, server, words) for server in bench.servers]
    return [
        Shape(
            name="handshakes",
            title=f"{count:,} handshakes, 64 at a time, where as many were connected before",
            variants=variants,
            metrics=[HANDSHAKES],
            before=words,
            asked=[(None, ">=", 30_000)],
        ),
        Shape(
            name="handshakes-fresh",
            title=f"{count:,} handshakes, 64 at a time, of a server that has just started",
            variants=variants,
            metrics=[HANDSHAKES],
        ),
    ]
