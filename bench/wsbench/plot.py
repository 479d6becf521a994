# SPDX-License-Identifier: MIT
"""A line chart as SVG, with nothing but Python."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 60, 50
COLORS = ("#0b6fa4", "#c2571a", "#3a7d34", "#7a3e9d")


def _short(v):
    for unit, text in ((2**20, "Mi"), (2**10, "Ki")):
        if v >= unit and v % unit == 0:
            return f"{v // unit:g}{text}"
    return f"{v:,.0f}" if v >= 10 else f"{v:g}"


def _decades(low, high):
    """1, 2 and 5 times powers of ten within the range and one on either side."""
    marks = [m * 10.0**e for e in range(-4, 10) for m in (1, 2, 5)]
    if high / low > 300:
        marks = [10.0**e for e in range(-4, 10)]
    below = [m for m in marks if m <= low * 1.0001]
    above = [m for m in marks if m >= high * 0.9999]
    return [m for m in marks if below[-1] <= m <= above[0]]


def _even(high):
    """Round marks from 0 to just over high."""
    step = 10.0**math.floor(math.log10(high)) if high > 0 else 1.0
    for part in (0.2, 0.5, 1):
        if high / (step * part) <= 6:
            step *= part
            break
    return [i * step for i in range(int(math.ceil(high / step)) + 1)]


class _Axis:
    def __init__(self, values, marks, log, start, end):
        self.marks = marks
        self.log = log
        self.start, self.end = start, end
        ends = [*values, *marks]
        self.low, self.high = self._at(min(ends)), self._at(max(ends))

    def _at(self, v):
        return math.log10(v) if self.log else v

    def place(self, v):
        span = self.high - self.low or 1
        return self.start + (self._at(v) - self.low) / span * (self.end - self.start)


def render(title, x_name, y_name, lines, log=True):
    """
    lines: {label: [(x, y)]}, those of floors dashed. log: both axes; else both start at 0. Returns the SVG text.
    """
    xs = sorted({x for pts in lines.values() for x, _ in pts})
    ys = [y for pts in lines.values() for _, y in pts]
    ax = _Axis(xs, xs if log else _even(max(xs)), log, LEFT, WIDTH - RIGHT)
    ay = _Axis(ys, _decades(min(ys), max(ys)) if log else _even(max(ys)), log, HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>']
    for v in ay.marks:
        y = ay.place(v)
        out += [f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(v)}</text>']
    for v in ax.marks:
        x = ax.place(v)
        out += [f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="#555"/>',
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(v)}</text>']
    out += [f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#555"/>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_name)}</text>',
            f'<text x="16" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
            f'transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2})">{escape(y_name)}</text>']
    for i, (label, pts) in enumerate(lines.items()):
        color = COLORS[i % len(COLORS)]
        path = " ".join(f"{ax.place(x):.1f},{ay.place(y):.1f}" for x, y in pts)
        dashes = ' stroke-dasharray="6 4"' if label.startswith("floor") else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dashes}/>')
        out += [f'<circle cx="{ax.place(x):.1f}" cy="{ay.place(y):.1f}" r="3" fill="{color}"/>' for x, y in pts]
        at = LEFT + i * (WIDTH - LEFT - RIGHT) // len(lines)
        out += [f'<path d="M{at} 42h18" stroke="{color}" stroke-width="2"{dashes}/>',
                f'<text x="{at + 23}" y="46" fill="{color}">{escape(label)}</text>']
    return "\n".join([*out, "</svg>", ""])


def write(path, title, x_name, y_name, lines, log=True):
    if lines:
        with open(path, "w", encoding="utf-8") as f:
            f.write(render(title, x_name, y_name, lines, log))
