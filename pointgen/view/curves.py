"""Curves as inline SVG: what a page needs to show how numbers changed over a training.

Matplotlib is no dependency, and plotly would add 4 MB of script to each page. These charts are a
few kilobytes of markup, need no script, and take their colours from the page, light or dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

__all__ = ["COLOURS", "Chart", "Line", "brief", "svg"]

Place: TypeAlias = Callable[[np.ndarray], np.ndarray]  # of values, in pixels

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 10, 40  # free around the plot, for the labels of the axes
# Of the lines; the page around may set --line-0, ... to suit its background.
COLOURS = tuple(
    f"var(--line-{number}, {colour})"
    for number, colour in enumerate(("#1f6feb", "#d9480f", "#2b8a3e", "#9c36b5"))
)
LOG_FROM = 30.0  # of largest to smallest: below, a linear axis shows as much and reads easier
MOST_POINTS = 240  # of a drawn line: about two pixels each
MARKED = 40  # so few points are marked, as the line between them is only a guess
STRAY = 0.02  # share of values at either end that may lie outside, where they would flatten all
FLATTENED = 4.0  # times the range without them


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: for the legend.
        x: (P,), ascending.
        y: (P,); what is not finite is left out.
    """

    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Chart:
    """Curves over common axes.

    Attributes:
        title: what is shown.
        lines: at most four.
        x_name: label of the horizontal axis.
        y_name: label of the vertical axis, with the unit where there is one.
        log: whether the vertical axis is logarithmic; None is where it helps.
    """

    title: str
    lines: Sequence[Line]
    x_name: str = "step"
    y_name: str = ""
    log: bool | None = None

    @property
    def legend(self) -> list[str]:
        """The name of each line with its last value."""
        ends = [_finite(line)[1][-1:] for line in self.lines]
        return [
            " ".join([line.name, *map(brief, end)]).strip()
            for line, end in zip(self.lines, ends, strict=True)
        ]


def svg(chart: Chart) -> str:
    """Return the chart as an SVG element, without its title and legend.

    Many points become the mean of each part of the line, with a band from its lowest to its
    highest. A linear axis leaves out single values that would flatten all others, and says so.
    """
    found = [_finite(line) for line in chart.lines]
    values = np.concatenate([np.empty(0), *(y for _, y in found)])
    if not len(values):
        return '<svg viewBox="0 0 460 30"><text x="8" y="20" class="tick">no values</text></svg>'
    log = _helps(values) if chart.log is None else chart.log and bool((values > 0).all())
    low, high = _range(values, log)
    along, first, last = np.concatenate([x for x, _ in found]), LEFT, WIDTH - RIGHT
    start, stop = float(along.min()), float(along.max())
    stop = stop if stop > start else start + 1

    def across(x: np.ndarray) -> np.ndarray:
        return first + (last - first) * (x - start) / (stop - start)

    def up(y: np.ndarray) -> np.ndarray:
        share = (_scale(y, log) - _scale(low, log)) / (_scale(high, log) - _scale(low, log))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * np.clip(share, -1, 2)

    outside = int(((values < low) | (values > high)).sum())
    parts = [
        *_horizontal(low, high, log, up),
        *_vertical(start, stop, across),
        *_names(chart, outside),
        f'<svg x="{LEFT - 3}" y="0" width="{last - LEFT + 6}" height="{HEIGHT - BOTTOM + 3}" '
        f'viewBox="{LEFT - 3} 0 {last - LEFT + 6} {HEIGHT - BOTTOM + 3}">',  # cuts what is outside
        *(
            piece
            for number, (x, y) in enumerate(found)
            for piece in _curve(across(x), y, up, number)
        ),
        "</svg>",
    ]
    ends = ", ".join(chart.legend)
    label = html.escape(f"{chart.title} over {chart.x_name}; at the end {ends}")
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return head + "".join(parts) + "</svg>"


def brief(value: float) -> str:
    """Return a number as short as people read it: 0.0123, 2e-5, 45.6k."""
    text = f"{value:.4g}" if abs(value) >= 1 else f"{value:.3g}"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):
            text = f"{value / size:.3g}{unit}"
            break
    return text.replace("e-0", "e-").replace("-", "\N{MINUS SIGN}")


def _finite(line: Line) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def _helps(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() >= LOG_FROM * values.min())


def _scale(values: np.ndarray | float, log: bool) -> np.ndarray:
    return np.log(np.maximum(values, 1e-300)) if log else np.asarray(values, dtype=float)


def _range(values: np.ndarray, log: bool) -> tuple[float, float]:
    """Return the ends of the vertical axis, a little beyond the values."""
    scaled = _scale(values, log)
    low, high = float(scaled.min()), float(scaled.max())
    inner = np.quantile(scaled, [STRAY, 1 - STRAY])
    width = float(inner[1] - inner[0])
    if not log and width > 0 and high - low > FLATTENED * width:
        low, high = max(low, inner[0] - width / 4), min(high, inner[1] + width / 4)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    return (math.exp(low), math.exp(high)) if log else (low, high)


def _curve(x: np.ndarray, y: np.ndarray, up: Place, number: int) -> Iterator[str]:
    """Yield the band, the line and the marks of one curve, `x` being in pixels."""
    colour = COLOURS[number]
    if not len(x):
        return
    if len(x) > 2 * MOST_POINTS:
        parts = np.array_split(np.arange(len(x)), MOST_POINTS)
        lowest, highest = (np.array([f(y[part]) for part in parts]) for f in (np.min, np.max))
        x, y = (np.array([of[part].mean() for part in parts]) for of in (x, y))
        there, back = _points(x, up(highest)), _points(x[::-1], up(lowest[::-1]))
        yield f'<polygon points="{there} {back}" style="fill:{colour};opacity:.18"/>'
    yield (
        f'<polyline points="{_points(x, up(y))}" '
        f'style="fill:none;stroke:{colour};stroke-width:1.6;stroke-linejoin:round"/>'
    )
    if len(x) <= MARKED:
        for place, height in zip(x, up(y), strict=True):
            yield f'<circle cx="{place:.1f}" cy="{height:.1f}" r="2.2" style="fill:{colour}"/>'


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _horizontal(low: float, high: float, log: bool, up: Place) -> Iterator[str]:
    """Yield the horizontal lines of the grid and their values."""
    ticks = _powers(low, high) if log else _steps(low, high, 5)
    for value, height in zip(ticks, up(np.array(ticks)), strict=True):
        yield f'<path d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}" class="grid"/>'
        yield _text(LEFT - 6, height + 4, brief(value), "end")


def _vertical(start: float, stop: float, across: Place) -> Iterator[str]:
    """Yield the marks of the horizontal axis and their values."""
    yield f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}" class="axis"/>'
    ticks = _steps(start, stop, 6)
    for value, place in zip(ticks, across(np.array(ticks)), strict=True):
        yield f'<path d="M{place:.1f} {HEIGHT - BOTTOM}v4" class="axis"/>'
        yield _text(place, HEIGHT - BOTTOM + 17, brief(value), "middle")


def _names(chart: Chart, outside: int) -> Iterator[str]:
    """Yield what the axes are called, and that values lie outside."""
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, chart.x_name, "middle")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'<text transform="translate(12 {middle:.0f}) rotate(-90)" class="tick middle">'
    yield f"{turned}{html.escape(chart.y_name)}</text>"
    if outside:
        yield _text(WIDTH - RIGHT, TOP + 9, f"{outside} values outside", "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="tick {anchor}">{html.escape(text)}</text>'


def _steps(low: float, high: float, about: int) -> list[float]:
    """Return the multiples in a range of 1, 2 or 5 times a power of ten, about so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= 0.7 * rough)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return powers of ten in a range, at most six, and where they are few their 2 and 5 fold."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    every = max(1, math.ceil((last - first + 1) / 6))
    factors = (1, 2, 5) if last - first < 2 else (1,)
    powers = range(first - 1, last + 1) if len(factors) > 1 else range(first, last + 1, every)
    return [v for power in powers for f in factors if low <= (v := f * 10.0**power) <= high]
