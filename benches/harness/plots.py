"""The pictures of benches/plots, drawn from a file of results."""

from . import svg


def figures(results, prefix, metric):
    """label -> [(number in the shape's name, median), ...] of the shapes whose names begin so."""
    series = {}
    for name, shape in results["shapes"].items():
        if not name.startswith(prefix) or not name[len(prefix) :].isdigit():
            continue
        for label, figure in shape["figures"].items():
            if metric in figure:
                series.setdefault(label, []).append((int(name[len(prefix) :]), figure[metric]["median"]))
    return {label: sorted(points) for label, points in series.items()}


def throughput(results):
    """What a CPU second delivers, shape by shape."""
    rows = {}
    for shape in results["shapes"].values():
        if shape["group"] == "throughput":
            row = {
                label: figure["deliveries_per_cpu_s"]["median"] / 1000
                for label, figure in shape["figures"].items()
                if "deliveries_per_cpu_s" in figure
            }
            rows[shape["title"].split(" who ")[0]] = row
    title = "Deliveries per second of the server's CPU, 128 bytes"
    return svg.dots(title, "thousands of deliveries per CPU second, logarithmic; further right is better", rows)


def drawn(results):
    """File name -> picture, for every picture that there are figures for."""
    each = "cpu_us_each"
    wanted = {
        "subscribers.svg": (
            figures(results, "subscribers-", each),
            "CPU per delivery as a channel grows",
            "subscribers of the channel, logarithmic; 1 message under way",
            "server CPU per delivery, µs",
            False,
        ),
        "channels.svg": (
            figures(results, "channels-", each),
            "CPU per delivery as channels become many",
            "channels with one subscriber each, logarithmic; published to in turn, 1 message under way",
            "server CPU per delivery, µs",
            False,
        ),
        "channels-memory.svg": (
            {
                label: [(x, y) for x, y in points if x >= 1000]
                for label, points in figures(results, "channels-", "kib_per_channel").items()
            },
            "Memory per channel as channels become many",
            "channels with one subscriber each, logarithmic",
            "KiB (PSS) per channel",
            False,
        ),
        "sizes.svg": (
            figures(results, "size-", each),
            "CPU per delivery as messages grow",
            "bytes of data in a message, logarithmic; 100 subscribers, 1 message under way",
            "server CPU per delivery, µs, logarithmic",
            True,
        ),
    }
    pictures = {}
    for name, (series, title, x_label, y_label, log_y) in wanted.items():
        series = {label: points for label, points in series.items() if len(points) > 1}
        if series:
            pictures[name] = svg.lines(title, x_label, y_label, series, log_y)
    if any(shape["group"] == "throughput" for shape in results["shapes"].values()):
        pictures["throughput.svg"] = throughput(results)
    return pictures
