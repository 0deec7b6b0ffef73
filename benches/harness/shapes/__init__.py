"""What is measured, by group: `SHAPES=throughput,latency` selects some, and so do the names of single shapes."""

from . import api, growth, latency, memory, starving, throughput, tls, workers

GROUPS = {
    "throughput": throughput.shapes,
    "latency": latency.latency,
    "stalled": latency.stalled,
    "slow-reader": latency.slow_reader,
    "handshakes": memory.handshakes,
    "memory": memory.shapes,
    "tls": tls.shapes,
    "subscribers": growth.subscribers,
    "channels": growth.channels,
    "sizes": growth.sizes,
    "workers": workers.shapes,
    "http": api.publishing,
    "listing": api.listing,
    "starving": starving.shapes,
}


def selected(names, bench):
    """The shapes of these groups or names, all where there are none; and the names that mean nothing."""
    unknown, chosen = set(names), []
    for group, make in GROUPS.items():
        for shape in make(bench):
            if not names or group in names or shape.name in names:
                chosen.append((group, shape))
            unknown -= {group, shape.name}
    return chosen, sorted(unknown)
