"""Sizes and places: shapes too small to compute with, or far from all the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointgen.datasets.findings import Finding
from pointgen.datasets.survey import Examined, Group

__all__ = ["size_findings"]

FEWEST = 5  # shapes that say something about the others
FAR = 4.0  # as many times larger, smaller or farther away than most
SPREADS = 6.0  # and as many standard deviations
USUAL_SIZES = (1e-6, 1e6)  # data units; beyond them the squares of float32 lose their digits


def size_findings(by_group: dict[Group, list[Examined]]) -> Iterator[Finding]:
    """Yield shapes of odd size or in odd places; groups are of shapes that have a size."""
    found = [shape for shapes in by_group.values() for shape in shapes if _extreme(shape)]
    if found:
        message = "shapes too small or too large to compute with: rescale them"
        examples = tuple(f"{shape.name}: diagonal {shape.facts.diagonal:.3g}" for shape in found)
        yield Finding("extreme size", "error", message, examples)
    usual = [[shape for shape in shapes if not _extreme(shape)] for shapes in by_group.values()]
    yield from _far_sizes(usual)
    yield from _far_places(usual)


def _extreme(shape: Examined) -> bool:
    low, high = USUAL_SIZES
    return not low <= shape.facts.diagonal <= high


def _far_sizes(groups: list[list[Examined]]) -> Iterator[Finding]:
    found: list[str] = []
    for shapes in filter(None, groups):
        sizes = np.log([shape.facts.diagonal for shape in shapes])
        middle = float(np.exp(np.median(sizes)))
        found += [
            f"{shapes[i].name}: diagonal {shapes[i].facts.diagonal:.3g}, of most {middle:.3g}"
            for i in np.flatnonzero(_far(sizes, np.log(FAR)))
        ]
    if found:
        message = "shapes of quite another size than the rest of their category"
        yield Finding("odd size", "warning", message, tuple(found))


def _far(values: np.ndarray, least: float) -> np.ndarray:
    """Return which values are far from the median, which must be by more than `least`."""
    if len(values) < FEWEST:
        return np.zeros(len(values), dtype=bool)
    gaps = np.abs(values - np.median(values))
    deviation = 1.4826 * float(np.median(gaps))  # the standard deviation, were they normal
    return gaps > max(least, SPREADS * deviation)


def _far_places(groups: list[list[Examined]]) -> Iterator[Finding]:
    found: list[str] = []
    for shapes in filter(None, groups):
        middles = np.array([shape.facts.middle for shape in shapes])
        size = float(np.median([shape.facts.diagonal for shape in shapes]))
        far = np.stack([_far(middles[:, axis], FAR * size) for axis in range(3)]).any(axis=0)
        found += [
            f"{shapes[i].name}: centred at {', '.join(f'{x:.3g}' for x in middles[i])}"
            for i in np.flatnonzero(far)
        ]
    if found:
        message = "shapes that lie far from the rest of their category"
        yield Finding("odd place", "warning", message, tuple(found))
