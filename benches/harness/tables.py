"""Results as text for a terminal, and as Markdown for benches/README.md."""

# What each metric is called and how it is written.
UNITS = {
    "deliveries_per_cpu_s": ("deliveries per CPU second, thousands", 1e-3, "{:,.0f}"),
    "deliveries_per_s": ("deliveries per second, thousands", 1e-3, "{:,.0f}"),
    "deliveries_per_read": ("deliveries per read", 1, "{:,.1f}"),
    "handshakes_per_cpu_s": ("handshakes per CPU second", 1, "{:,.0f}"),
    "handshakes_per_s": ("handshakes per second", 1, "{:,.0f}"),
    "p50_ms": ("latency, p50, ms", 1, "{:.2f}"),
    "p99_ms": ("latency, p99, ms", 1, "{:.2f}"),
    "cpu_us_each": ("CPU per delivery, µs", 1, "{:.3f}"),
    "kib_per_connection": ("KiB (PSS) per connection", 1, "{:.2f}"),
    "kib_per_channel": ("KiB (PSS) per channel", 1, "{:.2f}"),
    "share_of_a_core": ("share of a core, %", 100, "{:.2f}"),
    "idle_mib": ("PSS before, MiB", 1, "{:.1f}"),
    "peak_mib": ("PSS at the most, MiB", 1, "{:.1f}"),
    "after_mib": ("PSS after, MiB", 1, "{:.1f}"),
}
# What of a group is worth a row: the rest is in the JSON file.
SHOWN = {
    "throughput": ["deliveries_per_cpu_s"],
    "subscribers": ["cpu_us_each"],
    "channels": ["cpu_us_each", "kib_per_channel"],
    "sizes": ["cpu_us_each"],
}


def rows(results):
    """Lines of cells: shape, metric, then for each label its figure and, of its peers, how many times theirs."""
    for shape in results["shapes"].values():
        for metric in SHOWN.get(shape["group"], UNITS):
            figures = {
                label: figure[metric] for label, figure in shape["figures"].items() if metric in figure
            }
            if figures:
                yield shape, metric, figures


def written(metric, figure):
    """A figure, marked where its best runs did not agree."""
    _, factor, form = UNITS[metric]
    text = form.format(figure["median"] * factor)
    return text + ("*" if figure["spread"] > 0.05 and len(figure["runs"]) > 2 else "")


def ratio(figures, ours, theirs):
    """How many times one label's figure is another's."""
    if ours not in figures or theirs not in figures or not figures[theirs]["median"]:
        return ""
    return f"{figures[ours]['median'] / figures[theirs]['median']:.2f}"


def table(results, group):
    """The rows of a group: a heading and its lines, or nothing."""
    chosen = [row for row in rows(results) if row[0]["group"] == group]
    if not chosen:
        return []
    labels = list(dict.fromkeys(label for _, _, figures in chosen for label in figures))
    ours, others = labels[0], labels[1:]
    heading = ["shape", "figure", *labels, *(f"{ours} / {other}" for other in others), "runs"]
    lines = [heading]
    for shape, metric, figures in chosen:
        cells = [written(metric, figures[label]) if label in figures else "" for label in labels]
        ratios = [ratio(figures, ours, other) for other in others]
        runs = str(min(len(figure["runs"]) for figure in figures.values()))
        lines.append([shape["title"], UNITS[metric][0], *cells, *ratios, runs])
    return lines


# What README.md tells: shape, metrics, and how it is put there.
HEADLINES = (
    ("fanout-100x1", ["deliveries_per_cpu_s"], "deliveries per CPU second, thousands: 100 subscribers, 1 message under way"),
    ("fanout-100x16", ["deliveries_per_cpu_s"], "the same, 16 under way"),
    ("fanout-1000x16", ["deliveries_per_cpu_s"], "the same, 1,000 subscribers, 16 under way"),
    ("latency-1000", ["p50_ms", "p99_ms"], "delivery times with 1,000 subscribers at 100 messages a second, p50 / p99, ms"),
    ("idle-own-channels", ["kib_per_connection"], "memory of an idle connection, KiB"),
    ("handshakes", ["handshakes_per_cpu_s"], "handshakes per CPU second"),
)


def headline(results):
    """The few rows for those who will not read them all, each with what measures it again."""
    labels = list(results["servers"])
    lines = [["", *labels, "again"]]
    for name, metrics, title in HEADLINES:
        if name not in results["shapes"]:
            continue
        figures = results["shapes"][name]["figures"]
        cells = [
            " / ".join(written(metric, figures[label][metric]) for metric in metrics)
            if label in figures and "error" not in figures[label]
            else ""
            for label in labels
        ]
        lines.append([title, *cells, f"`make bench SHAPES={name}`"])
    return lines


def text(lines):
    """Lines of cells in columns."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths)]
        right = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:])]
        yield "  ".join(left + right).rstrip()


def markdown(lines):
    """Lines of cells as a table of Markdown."""
    if not lines:
        yield "Not measured."
        return
    heading, *body = lines
    yield "| " + " | ".join(heading) + " |"
    yield "|" + "|".join("--:" if at and is_figure(body, at) else "---" for at in range(len(heading))) + "|"
    for line in body:
        yield "| " + " | ".join(line) + " |"


def is_figure(body, at):
    """Whether a column holds figures, which stand on the right."""
    return all(not line[at] or line[at][0].isdigit() for line in body)


def verdicts(results):
    """For each thing that philote is held to: whether it holds, and a line about it."""
    for name, shape in results["shapes"].items():
        figures = shape["figures"]
        for other, sign, bound in shape.get("asked", []):
            ours = figures.get("philote", {})
            metrics = [metric for metric in ours if metric in shape["judged"]]
            for metric in metrics:
                mine = ours[metric]["median"]
                if other is None:
                    value, said = mine, f"{name}: {metric} {sign} {bound}"
                elif metric in figures.get(other, {}):
                    value = mine / figures[other][metric]["median"]
                    said = f"{name}: {metric} {sign} {bound} times {other}'s"
                else:
                    continue
                holds = value >= bound if sign == ">=" else value <= bound
                yield holds, f"{said}: {value:.4g}"
