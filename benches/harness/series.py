"""Runs of several variants in alternation, repeated until the best of each agree.

What else the machine does only ever makes a run worse, and it comes and goes. So the variants take turns,
and a variant whose three best runs differ by more than the spread allowed is run again, a few times at
most. The figure is the median of all its runs.
"""

import statistics
from dataclasses import dataclass, field

from .servers import Failed

# The three best runs may differ by so much of the best.
SPREAD = 0.05
# How many runs a variant may have beyond those asked for.
EXTRA = 2
# Calibration aims at runs of at most so many seconds, whatever CPU they take.
LONGEST_SECONDS = 1.5


@dataclass
class Variant:
    """One of those that are compared: a server, and what wsload does to it."""

    label: str
    server: object
    # Arguments of wsload. `{messages}` stands for as many as make a run of a good length.
    words: str
    # Exit codes of wsload that are an answer as well.
    allow: tuple = ()
    # What else goes on at the server meanwhile: `present(running, core)` is entered before and left after.
    beside: object = None


@dataclass
class Metric:
    """A figure of a report: where it stands, times what, and which is better."""

    name: str
    path: str
    factor: float = 1.0
    higher_is_better: bool = False

    def of(self, report):
        """The figure."""
        value = report
        for step in self.path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            raise Failed(f"wsload did not report {self.path}")
        return value * self.factor


@dataclass
class Shape:
    """What is measured: variants, and the figures that are taken of each."""

    name: str
    title: str
    variants: list
    # The first is the one that runs have to agree on.
    metrics: list
    runs: int = 5
    # With `{messages}`: how many to begin with, and how long a run should be, in CPU seconds.
    first_guess: int = 500
    seconds: float = 0.6
    # Cores of the server: one number, or a list as taskset takes it; None is the one of this run.
    core: object = None
    # Arguments of wsload for a run at the same server before the one that is measured.
    before: object = None
    # What philote is held to: (metric, variant it is compared with or None, bound as a sentence and a test).
    asked: list = field(default_factory=list)
    timeout: int = 60


def measure(shape, once, effort, tell):
    """Measures a shape; its figures by label and metric. `once(variant, words)` gives a report."""
    words, figures, broken = {}, {}, {}
    runs = effort.runs or shape.runs
    variants = list(shape.variants)
    taken = {variant.label: [] for variant in variants}

    def attempt(variant, act):
        try:
            act()
        except Failed as failure:
            broken[variant.label] = str(failure)
            tell(f"{shape.name}: {variant.label}: {failure}")
            variants.remove(variant)

    def complete(variant):
        report = once(variant, words[variant.label])
        for metric in shape.metrics:
            metric.of(report)
        return report

    for variant in list(variants):
        attempt(variant, lambda v=variant: words.update({v.label: fitting(shape, v, once, effort)}))
    for turn in range(runs + (EXTRA if runs > 2 else 0)):
        due = variants if turn < runs else [v for v in variants if spread(shape, taken[v.label]) > SPREAD]
        if not due:
            break
        for variant in list(due):
            attempt(variant, lambda v=variant: taken[v.label].append(complete(v)))
    for label, reports in taken.items():
        if label in broken:
            figures[label] = {"error": broken[label]}
        elif reports:
            figures[label] = {metric.name: figure(metric, reports) for metric in shape.metrics}
    return figures


def fitting(shape, variant, once, effort):
    """The words of a variant, with as many messages as make a run of a good length."""
    if "{messages}" not in variant.words:
        return variant.words
    count, wanted = shape.first_guess, shape.seconds * effort.length
    for _ in range(3):
        report = once(variant, variant.words.replace("{messages}", str(count)))
        cpu, wall = report["server"]["cpu_s"], report["wall_s"]
        longer = min(wanted / max(cpu, 1e-4), LONGEST_SECONDS * effort.length / max(wall, 1e-4))
        close = cpu > wanted / 5 or wall > LONGEST_SECONDS * effort.length / 5
        count = max(1, int(count * min(longer, 20.0)))
        if close:
            break
    return variant.words.replace("{messages}", str(count))


def figure(metric, reports):
    """Median, all values, and the spread of the best three."""
    values = [metric.of(report) for report in reports]
    return {
        "median": rounded(statistics.median(values)),
        "runs": [rounded(value) for value in values],
        "spread": round(spread_of(values, metric.higher_is_better), 3),
    }


def spread(shape, reports):
    """The spread of the figure that runs have to agree on."""
    metric = shape.metrics[0]
    return spread_of([metric.of(report) for report in reports], metric.higher_is_better)


def spread_of(values, higher_is_better):
    """By how much the three best differ, as a part of the best."""
    best = sorted(values, reverse=higher_is_better)[:3]
    return (max(best) - min(best)) / max(abs(best[0]), 1e-12)


def rounded(value):
    """Five digits are more than any of this is good for."""
    return float(f"{value:.5g}")
