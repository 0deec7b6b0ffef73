"""Charts as SVG: lines over a logarithmic axis, and rows of dots. Nothing but text, so that what changes shows in a diff."""

import math
from html import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 84, 24, 64, 60
FONT = "font-family='DejaVu Sans, Helvetica, Arial, sans-serif'"
# Told apart without colours as well: each has its own mark.
STYLES = {
    "philote": ("#c2410c", "circle"),
    "nats": ("#1d4ed8", "square"),
    "nchan": ("#15803d", "triangle"),
    "uwebsockets": ("#6b21a8", "diamond"),
    "philote, to one of them": ("#eab308", "circle"),
}


class Axis:
    """A range of values on a stretch of the picture."""

    def __init__(self, low, high, begin, end, logarithmic):
        self.low, self.high, self.begin, self.end, self.logarithmic = low, high, begin, end, logarithmic

    def at(self, value):
        """Where a value stands."""
        if self.logarithmic:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)


def nice_top(value):
    """A round number that is not less: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 1.02)


def decades(low, high):
    """The powers of ten around these values."""
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))


def number(value):
    """A value as a label: thousands with commas, no more digits than it has."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.10g}"


def words(x, y, text, anchor="middle", size=13, colour="#333", more=""):
    """A line of text."""
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' fill='{colour}'{more}>{escape(text)}</text>"


def stroke(x1, y1, x2, y2, colour="#ddd", width=1):
    """A straight line."""
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' stroke-width='{width}'/>"


def mark(shape, x, y, colour, size=5):
    """One point."""
    if shape == "square":
        return f"<rect x='{x - size:.1f}' y='{y - size:.1f}' width='{2 * size}' height='{2 * size}' fill='{colour}'/>"
    if shape == "triangle":
        corners = f"{x:.1f},{y - size - 1:.1f} {x - size - 1:.1f},{y + size:.1f} {x + size + 1:.1f},{y + size:.1f}"
        return f"<polygon points='{corners}' fill='{colour}'/>"
    if shape == "diamond":
        reach = size + 1
        corners = f"{x:.1f},{y - reach:.1f} {x + reach:.1f},{y:.1f} {x:.1f},{y + reach:.1f} {x - reach:.1f},{y:.1f}"
        return f"<polygon points='{corners}' fill='{colour}'/>"
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size}' fill='{colour}'/>"


def legend(labels, y):
    """What the marks mean, in one line."""
    parts, x = [], LEFT
    for label in labels:
        colour, shape = STYLES[label]
        parts += [mark(shape, x + 6, y - 4, colour), words(x + 18, y, label, "start", 13)]
        x += 44 + 7.5 * len(label)
    return parts


def document(height, title, parts):
    """The picture, with its title, on a background of its own so that it can be read on any page."""
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' {FONT} role='img' aria-label='{escape(title, quote=True)}'>",
            f"<rect width='{WIDTH}' height='{height}' fill='#fff'/>",
            words(LEFT, 26, title, "start", 16, "#111", " font-weight='bold'"),
            *parts,
            "</svg>\n",
        ]
    )


def lines(title, x_label, y_label, series, log_y=False, top=None):
    """A line for each label over a logarithmic x axis; `series` is label -> [(x, y), ...]."""
    height = 430
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    bottom, right = height - BOTTOM, WIDTH - RIGHT
    low, high = decades(min(ys), max(ys)) if log_y else (0.0, top or nice_top(max(ys)))
    across = Axis(xs[0], xs[-1], LEFT + 16, right - 16, True)
    up = Axis(low, high, bottom, TOP, log_y)
    parts = legend(series, 50)
    if log_y:
        steps = [low * 10**n for n in range(round(math.log10(high / low)) + 1)]
    else:
        steps = [high * n / 5 for n in range(6)]
    for step in steps:
        parts.append(stroke(LEFT, up.at(step), right, up.at(step)))
        parts.append(words(LEFT - 8, up.at(step) + 4, number(round(step, 6)), "end", 12))
    for x in xs:
        parts.append(stroke(across.at(x), bottom, across.at(x), bottom + 5, "#888"))
        parts.append(words(across.at(x), bottom + 20, number(x), "middle", 12))
    parts.append(stroke(LEFT, bottom, right, bottom, "#888"))
    parts.append(words((LEFT + right) / 2, height - 14, x_label))
    middle = (TOP + bottom) / 2
    parts.append(words(22, middle, y_label, more=f" transform='rotate(-90 22 {middle:.1f})'"))
    for label, points in series.items():
        colour, shape = STYLES[label]
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in sorted(points))
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [mark(shape, across.at(x), up.at(y), colour) for x, y in points]
    return document(height, title, parts)


def dots(title, x_label, rows, digits="{:,.0f}"):
    """A row for each name with a dot for each label, over a logarithmic axis; `rows` is name -> {label: value}."""
    step, left = 40, 250
    height = TOP + step * len(rows) + BOTTOM
    values = [value for row in rows.values() for value in row.values()]
    low, high = decades(min(values), max(values))
    bottom, right = height - BOTTOM, WIDTH - RIGHT - 10
    across = Axis(low, high, left, right, True)
    parts = legend(list(dict.fromkeys(label for row in rows.values() for label in row)), 50)
    at = low
    while at <= high * 1.001:
        parts.append(stroke(across.at(at), TOP, across.at(at), bottom))
        parts.append(words(across.at(at), bottom + 18, number(at), "middle", 12))
        at *= 10
    for index, (name, row) in enumerate(rows.items()):
        y = TOP + step * (index + 0.5)
        parts.append(words(left - 12, y + 4, name, "end", 12))
        ends = across.at(min(row.values())), across.at(max(row.values()))
        parts.append(stroke(ends[0], y, ends[1], y, "#bbb", 2))
        taken = -math.inf
        for label, value in sorted(row.items(), key=lambda pair: pair[1]):
            colour, shape = STYLES[label]
            x, said = across.at(value), digits.format(value)
            # Below, where it would run into its neighbour above.
            above = x - taken > 3 * len(said) + 14
            taken = x + 3 * len(said) if above else taken
            parts.append(mark(shape, x, y, colour))
            parts.append(words(x, y - 9 if above else y + 16, said, "middle", 10, colour))
    parts.append(words((left + right) / 2, height - 14, x_label))
    return document(height, title, parts)
