"""The built-in dataset: shapes made on the spot, nothing to download."""

from __future__ import annotations

from collections import Counter
from typing import Literal
from zlib import crc32

import numpy as np
from pydantic import Field, field_validator

from pointgen.datasets.base import split_pools
from pointgen.datasets.procedural.shapes import CATEGORIES, Shape, make_shape
from pointgen.datasets.settings import Categories, CloudConfig, Progress, Split
from pointgen.geometry.sampling import sample_surface

__all__ = [
    "ProceduralConfig",
    "ProceduralSource",
    "made_shape",
    "sampled_shape",
    "seeded",
    "shape_id",
]


class ProceduralSource:
    """Built-in shapes, sampled once and kept in memory."""

    def __init__(self, points: np.ndarray, ids: list[str], categories: tuple[str, ...]) -> None:
        """Keep the points, (S, n, 3) float32: equally many shapes of each category, in order."""
        self._points = points
        self.categories = categories
        self.ids = ids
        self.labels = np.repeat(range(len(categories)), len(ids) // len(categories)).tolist()

    def pools(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the two pools of a shape: two thirds of its points, and the rest."""
        return split_pools(self._points[index])


class ProceduralConfig(CloudConfig):
    """Built-in shapes, made when the dataset is built and the same for the same settings.

    A shape depends on seed, split, category and its number only, so a larger `size` begins with
    the shapes of a smaller one.
    """

    kind: Literal["procedural"] = "procedural"

    categories: Categories = ("chair",)
    """which of the built-in categories, or all"""

    size: int = Field(default=1000, ge=1)
    """shapes of each category in the train split"""

    val_size: int = Field(default=100, ge=1)
    """shapes of each category in the val split"""

    test_size: int = Field(default=100, ge=1)
    """shapes of each category in the test split"""

    seed: int = Field(default=0, ge=0)
    """other seeds give other shapes"""

    points_per_shape: int | None = Field(default=None, ge=3)
    """points drawn from each surface once: two thirds for `points`, one third for `target`;
    six times num_points if not given, kept in memory at 12 bytes each"""

    @field_validator("categories")
    @classmethod
    def _known(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if categories == ("all",):
            return tuple(CATEGORIES)
        unknown = [name for name in categories if name not in CATEGORIES]
        if unknown:
            known = ", ".join(CATEGORIES)
            raise ValueError(f"expected some of {known}, got {', '.join(unknown)}")
        twice = [name for name, times in Counter(categories).items() if times > 1]
        if twice:
            raise ValueError(f"expected each category once, got {', '.join(twice)} more than once")
        return categories

    def count(self, split: Split) -> int:
        """Return the number of shapes of each category in a split."""
        return {"train": self.size, "val": self.val_size, "test": self.test_size}[split]

    def source(self, split: Split, *, progress: Progress | None = None) -> ProceduralSource:
        """Make and sample the shapes of a split.

        Raises:
            ValueError: `points_per_shape` is too small for `num_points`.
        """
        per_shape = self.points_per_shape or 6 * self.num_points
        if per_shape // 3 < self.num_points:
            raise ValueError(
                f"data.points_per_shape: expected at least {3 * self.num_points}, three times "
                f"num_points, got {per_shape}"
            )
        keys = [(name, i) for name in self.categories for i in range(self.count(split))]
        points = np.zeros((len(keys), per_shape, 3), dtype=np.float32)
        for row, (category, index) in enumerate(keys):
            _, points[row] = sampled_shape(
                category, index, split=split, seed=self.seed, count=per_shape
            )
            if progress:
                progress(row + 1, len(keys))
        ids = [shape_id(category, index, split) for category, index in keys]
        return ProceduralSource(points, ids, self.categories)


def shape_id(category: str, index: int, split: Split) -> str:
    """Name a built-in shape; no two of all splits have the same name."""
    place = "" if split == "train" else f"{split}_"
    return f"{category}_{place}{index:05d}"


def made_shape(
    category: str, index: int, *, split: Split, seed: int
) -> tuple[Shape, np.random.Generator]:
    """Make one shape of a split; return what its points are to be drawn with, too."""
    rng = seeded(category, index, split=split, seed=seed)
    return make_shape(category, rng), rng


def seeded(name: str, index: int, *, split: Split, seed: int) -> np.random.Generator:
    """Return the source of all that is random of one shape of a category, or by another name."""
    return np.random.default_rng([seed, crc32(split.encode()), crc32(name.encode()), index])


def sampled_shape(
    category: str, index: int, *, split: Split, seed: int, count: int
) -> tuple[Shape, np.ndarray]:
    """Make one shape of a split and draw `count` points, (count, 3) float32, from its surface."""
    shape, rng = made_shape(category, index, split=split, seed=seed)
    return shape, sample_surface(shape.vertices, shape.faces, count, rng)
