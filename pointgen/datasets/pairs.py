"""Pairs of shapes that share a factor: a few attributes of built-in shapes, or the category."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from pydantic import field_validator

from pointgen.datasets.around import Around
from pointgen.datasets.base import CloudDataset, Partner, Partners, Source
from pointgen.datasets.procedural.config import ProceduralConfig
from pointgen.datasets.procedural.partners import ProceduralPartners
from pointgen.datasets.settings import Progress, Split

__all__ = ["PairsConfig"]


class PairsConfig(Around):
    """Shapes of any other dataset, each with one that shares a factor with it."""

    kind: Literal["pairs"] = "pairs"

    factors: dict[str, tuple[str, ...]]
    """what each factor is measured by: attributes of the built-in shapes of one category; or, for
    the only factor, the names of all categories, which shapes of one category share"""

    @field_validator("factors")
    @classmethod
    def _once(cls, factors: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not factors:
            raise ValueError("expected a factor")
        if empty := [name for name, of in factors.items() if not of]:
            raise ValueError(f"{empty[0]}: expected attributes, got none")
        times = Counter(name for of in factors.values() for name in of)
        if twice := [name for name, count in times.items() if count > 1]:
            raise ValueError(f"expected each attribute once, got {', '.join(twice)} more than once")
        return factors

    def source(self, split: Split, *, progress: Progress | None = None) -> Source:
        """Find the shapes of a split."""
        return self.shapes.source(split, progress=progress)

    def build(self, split: Split, *, progress: Progress | None = None) -> CloudDataset:
        """Build the dataset of a split.

        Raises:
            ValueError: The data are not there, or do not have such factors.
        """
        shapes = self.shapes
        source = shapes.source(split, progress=progress)
        partners: Partners
        if tuple(self.factors.values()) == (tuple(source.categories),):
            partners = _OfOneCategory(source)
        elif isinstance(shapes, ProceduralConfig):
            partners = ProceduralPartners(shapes, self.factors, split, progress=progress)
        else:
            raise ValueError(
                f"data.factors: expected one factor of the categories "
                f"{', '.join(source.categories)}: only built-in shapes have attributes"
            )
        return CloudDataset(
            source, num_points=self.num_points, normalize=self.normalize, partners=partners
        )


class _OfOneCategory:
    """Partners are other shapes of the same category; the only one of its kind is its own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._labels = np.asarray(source.labels)
        self._attributes = np.eye(len(source.categories), dtype=np.float32)[self._labels]
        self._places = {label: np.flatnonzero(self._labels == label) for label in set(self._labels)}

    def fixed(self, index: int) -> Partner:
        return self._behind(index, 1)

    def drawn(self, index: int, rng: np.random.Generator) -> Partner:
        count = len(self._places[self._labels[index]])
        return self._behind(index, int(rng.integers(1, max(count, 2))))

    def attributes(self, index: int) -> np.ndarray:
        return self._attributes[index]

    def _behind(self, index: int, offset: int) -> Partner:
        """Return the shape so many places behind another; after the last comes the first."""
        places = self._places[self._labels[index]]
        place = int(places[(np.searchsorted(places, index) + offset) % len(places)])
        return Partner(self._source.pools(place)[0], 0, place)
