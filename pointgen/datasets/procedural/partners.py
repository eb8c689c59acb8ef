"""Pairs of built-in shapes that have a few attributes in common, and no others but by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from pointgen.datasets.base import Partner
from pointgen.datasets.procedural.config import ProceduralConfig, seeded
from pointgen.datasets.procedural.shapes import CATEGORIES, Recipe, build_shape
from pointgen.datasets.settings import Progress, Split
from pointgen.geometry.sampling import sample_surface

__all__ = ["ProceduralPartners"]


class ProceduralPartners:
    """For each shape and factor another shape, drawn anew but for the factor's attributes."""

    def __init__(
        self,
        config: ProceduralConfig,
        factors: Mapping[str, Sequence[str]],
        split: Split,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Make all partners, of twice `config.num_points` points, and keep them in memory.

        Raises:
            ValueError: There are several categories, or the one lacks an attribute.
        """
        if len(config.categories) > 1:
            raise ValueError(
                f"data.clouds.categories: expected one, as each is built from other attributes, "
                f"got {', '.join(config.categories)}"
            )
        (category,) = config.categories
        names = [name for of in factors.values() for name in of]
        count, points = config.count(split), 2 * config.num_points
        self._points = np.zeros((count, len(factors), points, 3), dtype=np.float32)
        self._attributes = np.zeros((count, len(names)), dtype=np.float32)
        for index in range(count):
            recipe = CATEGORIES[category](seeded(category, index, split=split, seed=config.seed))
            if index == 0:
                _check(category, recipe, factors)
            known = asdict(recipe)
            self._attributes[index] = [known[name] for name in names]
            for place, (factor, of) in enumerate(factors.items()):
                rng = seeded(f"{category} {factor}", index, split=split, seed=config.seed)
                other = replace(CATEGORIES[category](rng), **{name: known[name] for name in of})
                shape = build_shape(other)
                self._points[index, place] = sample_surface(
                    shape.vertices, shape.faces, points, rng
                )
            if progress:
                progress(index + 1, count)

    def fixed(self, index: int) -> Partner:
        """Return the partner of a shape that evaluation uses: of one factor after the other."""
        place = index % self._points.shape[1]
        return Partner(self._points[index, place], place)

    def drawn(self, index: int, rng: np.random.Generator) -> Partner:
        """Return the partner of a shape for a random factor."""
        place = int(rng.integers(self._points.shape[1]))
        return Partner(self._points[index, place], place)

    def attributes(self, index: int) -> np.ndarray:
        """Return the attributes of a shape, in the order of the factors, (A,) float32."""
        return self._attributes[index]


def _check(category: str, recipe: Recipe, factors: Mapping[str, Sequence[str]]) -> None:
    known = asdict(recipe)
    for factor, names in factors.items():
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"data.factors.{factor}: a {category} has no {', '.join(unknown)}; it has "
                f"{', '.join(known)}"
            )
