"""What others notice of one client that asks a worker for as much work as it can: reported, not judged."""

from ..attackers import Attacker, hellos, large_publishes, many_channels, slow_messages
from ..series import Shape, Variant
from .latency import P50, P99

SUBSCRIBERS = 20


def shapes(bench):
    """Delivery times of 20 subscribers, 100 messages a second, with and without each attacker."""
    words = f"latency --subs {SUBSCRIBERS} --rate 100 --seconds {bench.effort.seconds(4)}"
    attacks = (
        ("slow-messages", "messages of 1 MiB that are slow to parse", slow_messages, bench.philote),
        ("large-publishes", "requests of 10,000 messages among 4,096 granted channels", large_publishes, bench.philote),
        ("many-channels", "16 connections with 4,096 channels each, opened at once", many_channels, bench.philote),
        ("hellos-p256", "400 ClientHellos at once, a key of P-256", hellos, bench.secured),
        ("hellos-rsa4096", "400 ClientHellos at once, a key of RSA-4096", hellos, bench.secured_rsa),
    )
    return [
        Shape(
            name=f"starving-{name}",
            title=title,
            variants=[
                Variant("undisturbed", server, words),
                Variant("with the attacker", server, words, beside=Attacker(attack)),
            ],
            metrics=[P50, P99],
            runs=3,
        )
        for name, title, attack, server in attacks
    ]
