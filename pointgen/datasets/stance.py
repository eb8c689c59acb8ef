"""Which axis is up: where the kinds of things, or a floor, can tell; and splits that are turned.

A heuristic, and honest about it: chairs are mostly taller than wide, airplanes flattest from above,
and the fullest slab of a table is its top. Of most other categories it cannot tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType

import numpy as np

from pointgen.datasets.facts import ShapeFacts
from pointgen.datasets.findings import Finding
from pointgen.datasets.survey import Examined, Group

__all__ = ["Stance", "stance_findings", "stances"]

AXES = "xyz"
UP = "y"  # the project's convention, and ShapeNet's; ModelNet has z up


def _longest(facts: ShapeFacts) -> int:
    return int(facts.extent.argmax())


def _shortest(facts: ShapeFacts) -> int:
    return int(facts.extent.argmin())


def _fullest(facts: ShapeFacts) -> int:
    return int(np.argmax(facts.slabs))


WITNESSES: MappingProxyType[str, Callable[[ShapeFacts], int]] = MappingProxyType(
    dict.fromkeys(("bookshelf", "bottle", "chair", "door", "lamp", "person"), _longest)
    | dict.fromkeys(("rocket", "tower", "vase", "wardrobe"), _longest)
    | dict.fromkeys(("airplane", "car", "keyboard", "skateboard"), _shortest)
    | dict.fromkeys(("desk", "table"), _fullest)
)
TOPPED = ("desk", "table")  # their fullest slab is above their middle, if they stand upright

FEWEST = 8  # shapes that say something about a category
AGREE = 0.7  # of the shapes of a category, that name the same axis
ON_FLOOR, ALL_ON_FLOOR = 0.01, 0.9  # of the diagonal, between floor and lowest point; of the shapes
# Differences of the logarithms of the sides, of typical shapes in two splits.
TURNED, EQUAL = 0.4, 0.2


@dataclass(frozen=True)
class Stance:
    """How the shapes of a category stand.

    Attributes:
        category: its name.
        up: "x", "y" or "z"; "-y" where they stand on their heads; None where that cannot be told.
        agreeing: how many of the shapes say so.
        count: of how many.
    """

    category: str
    up: str | None
    agreeing: int
    count: int


def stances(by_group: dict[Group, list[Examined]]) -> list[Stance]:
    """Return how the shapes of each category stand, by those of the first split that is there."""
    found: dict[str, Stance] = {}
    for group, shapes in by_group.items():
        if group.category not in found:
            found[group.category] = _stance(group.category, [shape.facts for shape in shapes])
    return list(found.values())


def stance_findings(
    by_group: dict[Group, list[Examined]], found: Sequence[Stance]
) -> Iterator[Finding]:
    """Yield the categories that do not stand upright, and the splits that are turned."""
    lying = [
        f"{its.category}: {its.up} is up, say {its.agreeing} of {its.count} shapes"
        for its in found
        if its.up not in (UP, None)
    ]
    if lying:
        message = f"shapes seem to stand on another axis than {UP}, which is up here"
        yield Finding("up axis", "warning", message, tuple(lying))
    turned = list(_turned(by_group))
    if turned:
        message = "the axes of one split seem to be those of another in another order"
        yield Finding("turned splits", "error", message, tuple(turned))


def _stance(category: str, facts: Sequence[ShapeFacts]) -> Stance:
    solid = [each for each in facts if each.dimensions == 3]
    nothing = Stance(category, None, 0, len(solid))
    if len(solid) < FEWEST:
        return nothing
    if category not in WITNESSES:
        return _on_floor(category, solid) or nothing
    (axis, votes), *_ = Counter(map(WITNESSES[category], solid)).most_common(1)
    if votes < AGREE * len(solid):
        return _on_floor(category, solid) or nothing
    below = category in TOPPED and np.median([each.heights[axis] for each in solid]) < 0.4
    return Stance(category, ("-" if below else "") + AXES[axis], votes, len(solid))


def _on_floor(category: str, facts: Sequence[ShapeFacts]) -> Stance | None:
    """Where nearly all shapes end at 0 on one side of one axis only, that is the floor."""
    ends = np.array([[each.low, each.high] for each in facts])  # (S, 2, 3)
    sizes = np.array([each.diagonal for each in facts])
    near = (np.abs(ends) <= ON_FLOOR * sizes[:, None, None]).sum(axis=0)  # (2, 3)
    floors = np.argwhere(near >= ALL_ON_FLOOR * len(facts))
    if len(floors) != 1:
        return None
    side, axis = floors[0]
    return Stance(category, ("" if side == 0 else "-") + AXES[axis], int(near.max()), len(facts))


def _turned(by_group: dict[Group, list[Examined]]) -> Iterator[str]:
    """Compare the typical sides of every split with those of the first of its category."""
    first: dict[str, tuple[Group, np.ndarray]] = {}
    for group, shapes in by_group.items():
        solid = [shape.facts for shape in shapes if shape.facts.dimensions == 3]
        if len(solid) < FEWEST:
            continue
        sides = np.log([each.extent / each.diagonal for each in solid])
        typical = np.median(sides, axis=0)  # (3,)
        reference, expected = first.setdefault(group.category, (group, typical))
        gaps = {order: _gap(typical[list(order)], expected) for order in permutations(range(3))}
        best = min(gaps, key=lambda order: gaps[order])
        if gaps[0, 1, 2] > TURNED and gaps[best] < EQUAL:
            names = ", ".join(AXES[axis] for axis in best)
            yield f"x, y, z of {reference} are {names} of {group}"


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())
