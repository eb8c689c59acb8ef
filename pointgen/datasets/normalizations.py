"""Normalisations: which one shapes have, and whether all of them have the same.

ShapeNetCore's versions are normalised differently, as are the sets that others made of them. In
version 2 the diagonal of the bounding box is 1, and the box is not centred at the origin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pointgen.datasets.facts import ShapeFacts
from pointgen.datasets.findings import Finding
from pointgen.datasets.survey import Examined, Group

__all__ = ["Measures", "measures", "normalization_findings"]

CONVENTIONS: MappingProxyType[str, Callable[[ShapeFacts], float]] = MappingProxyType(
    {
        "unit diagonal": lambda facts: facts.diagonal,
        "longest side 1": lambda facts: float(facts.extent.max()),
        "longest side 2": lambda facts: float(facts.extent.max()) / 2,
        "unit radius": lambda facts: facts.radius,
        "unit deviation": lambda facts: facts.deviation,
    }
)
# Points of a surface seldom reach its very corners, so what they measure is a little too small.
NEAR_ONE = (0.97, 1.005)
CENTRED = 0.01  # of the diagonal, between the centre of the box and the origin
NEARLY_ALL, MOST, HARDLY_ANY = 0.9, 0.6, 0.5
FEWEST = 5  # shapes that say something about a group
SEVERAL = 3  # shapes that are otherwise than most; fewer are odd ones, and found as such
OTHER_SCALE = 2.0  # as many times larger, where no convention is known
SPREADS = 3.0  # and as many standard deviations


@dataclass(frozen=True)
class Measures:
    """How the shapes of a group are normalised.

    Attributes:
        count: shapes.
        shares: of the shapes, those that have each of the normalisations.
        centred: the share of those whose boxes are centred at the origin.
        size: median of the logarithms of the diagonals.
        deviation: their standard deviation, judged by the half next to the median.
    """

    count: int
    shares: dict[str, float]
    centred: float
    size: float
    deviation: float

    @property
    def convention(self) -> str | None:
        """The normalisation that nearly all of the shapes have, if any."""
        found = (name for name, share in self.shares.items() if share >= NEARLY_ALL)
        return next(found, None)

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.convention is None:
            return f"no usual normalisation, typical diagonal {np.exp(self.size):.3g}"
        return self.convention + (", centred boxes" if self.centred >= NEARLY_ALL else "")


def measures(shapes: Sequence[Examined]) -> Measures:
    """Measure a group of at least one shape."""
    facts = [shape.facts for shape in shapes]
    low, high = NEAR_ONE
    sizes = np.log([each.diagonal for each in facts])
    middle = float(np.median(sizes))
    return Measures(
        count=len(facts),
        shares={
            name: float(np.mean([low <= value(each) <= high for each in facts]))
            for name, value in CONVENTIONS.items()
        },
        centred=float(
            np.mean([np.linalg.norm(each.middle) <= CENTRED * each.diagonal for each in facts])
        ),
        size=middle,
        deviation=1.4826 * float(np.median(np.abs(sizes - middle))),
    )


def normalization_findings(measured: dict[Group, Measures]) -> Iterator[Finding]:
    """Yield where shapes of one category, or of several, are normalised in different ways."""
    large = {group: its for group, its in measured.items() if its.count >= FEWEST}
    splits = _between_splits(large)
    if splits:
        message = "the splits of a category are normalised differently (two ShapeNet versions?)"
        yield Finding("mixed splits", "error", message, tuple(splits))
    else:
        if inside := _inside(large):
            message = "some shapes are normalised otherwise than most (two ShapeNet versions?)"
            yield Finding("mixed shapes", "warning", message, tuple(inside))
        if categories := _between_categories(large):
            message = "categories are normalised differently (two ShapeNet versions?)"
            yield Finding("mixed categories", "warning", message, tuple(categories))


def _between_splits(measured: dict[Group, Measures]) -> list[str]:
    """Compare every split of a category with the first that is there."""
    first: dict[str, Group] = {}
    found = []
    for group, its in measured.items():
        reference = first.setdefault(group.category, group)
        if _contradict(measured[reference], its):
            found.append(f"{reference}: {measured[reference]}; {group}: {its}")
    return found


def _contradict(one: Measures, other: Measures) -> bool:
    for a, b in ((one, other), (other, one)):
        if a.convention and b.shares[a.convention] < HARDLY_ANY:
            return True
    if one.convention:
        return (
            min(one.centred, other.centred)
            < HARDLY_ANY
            <= NEARLY_ALL
            <= max(one.centred, other.centred)
        )
    spread = SPREADS * max(one.deviation, other.deviation)
    return abs(one.size - other.size) > max(float(np.log(OTHER_SCALE)), spread)


def _inside(measured: dict[Group, Measures]) -> list[str]:
    found = []
    for group, its in measured.items():
        name, share = max(its.shares.items(), key=lambda pair: pair[1])
        if MOST <= share < NEARLY_ALL and (1 - share) * its.count >= SEVERAL:
            found.append(f"{group}: {name} for {share:.0%} of the shapes")
    return found


def _between_categories(measured: dict[Group, Measures]) -> list[str]:
    """Compare every group with the normalisation that most of them have."""
    named = Counter(its.convention for its in measured.values() if its.convention)
    if not named:
        return []
    (usual, _), *_ = named.most_common(1)
    return [
        f"{group}: {its}, most others: {usual}"
        for group, its in measured.items()
        if its.shares[usual] < HARDLY_ANY
    ]
