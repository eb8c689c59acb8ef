"""What a few numbers say about one cloud, whatever it is: the facts that a check judges by."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

__all__ = ["ShapeFacts", "facts_of"]

# A point is astray when it is so many times farther from the middle than nine tenths of the points.
ASTRAY = 20.0
BODY = 0.9
# Less than this share of the longest principal axis is float32's rounding and no extent.
FLAT = 1e-5
SLABS = 25  # of an axis; a table top is about one of them
# Odd numbers without a pattern: multiplied by them, the coordinates of a point become one number.
MIXERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
STIR = 0xBF58476D1CE4E5B9


@dataclass(frozen=True)
class ShapeFacts:
    """One cloud in numbers, in data units. Boxes and all that follows leave stray points out.

    Attributes:
        count: points.
        distinct: points that differ from each other.
        strays: points far outside of all others.
        farthest: how far out the farthest point is, in radii of the body of the shape.
        dimensions: 0: one place, 1: a line, 2: a plane, 3: a shape.
        low: smallest coordinates.
        high: largest coordinates.
        centroid: mean of the points.
        radius: largest distance from the centroid.
        deviation: standard deviation of all coordinates around the centroid.
        slabs: for each axis the share of the points in the fullest of 25 slabs across it.
        heights: for each axis where that slab is, from 0 (low) to 1 (high).
        digest: the same for the same points in any order.
    """

    count: int
    distinct: int
    strays: int
    farthest: float
    dimensions: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    centroid: tuple[float, ...]
    radius: float
    deviation: float
    slabs: tuple[float, ...]
    heights: tuple[float, ...]
    digest: str

    @property
    def extent(self) -> np.ndarray:
        """Sides of the bounding box, (3,)."""
        return np.subtract(self.high, self.low)

    @property
    def diagonal(self) -> float:
        """Diagonal of the bounding box."""
        return float(np.linalg.norm(self.extent))

    @property
    def middle(self) -> np.ndarray:
        """Centre of the bounding box, (3,)."""
        return np.add(self.low, self.high) / 2


def facts_of(points: np.ndarray) -> ShapeFacts:
    """Return the facts of a cloud.

    Args:
        points: (N, 3) float32, finite, N > 0, data units.
    """
    numbers = _numbers(points)
    columns = np.ascontiguousarray(points.T, dtype=np.float64)  # (3, N)
    near, farthest = _body(columns)
    kept = columns[:, near]
    low, high, centroid = kept.min(axis=1), kept.max(axis=1), kept.mean(axis=1)
    offsets = kept - centroid[:, None]
    squares = np.square(offsets)
    fullest = [_fullest_slab(*of_axis) for of_axis in zip(kept, low, high, strict=True)]
    return ShapeFacts(
        count=len(points),
        distinct=1 + int(np.count_nonzero(np.diff(numbers))),
        strays=len(points) - kept.shape[1],
        farthest=farthest,
        dimensions=_dimensions(offsets) if (low < high).any() else 0,
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        centroid=tuple(centroid.tolist()),
        radius=float(np.sqrt(squares.sum(axis=0).max())),
        deviation=float(np.sqrt(squares.mean())),
        slabs=tuple(share for share, _ in fullest),
        heights=tuple(height for _, height in fullest),
        digest=blake2b(numbers.tobytes(), digest_size=16).hexdigest(),
    )


def _numbers(points: np.ndarray) -> np.ndarray:
    """Return one number for each point, sorted: the same points in another order give the same."""
    single = np.ascontiguousarray(points, dtype=np.float32) + np.float32(0)  # -0.0 is 0.0
    bits = single.view(np.uint32).astype(np.uint64)
    mixed = bits[:, 0] * np.uint64(MIXERS[0])
    for axis in (1, 2):
        mixed = (mixed ^ (mixed >> np.uint64(31))) + bits[:, axis] * np.uint64(MIXERS[axis])
    return np.sort((mixed ^ (mixed >> np.uint64(29))) * np.uint64(STIR))


def _body(columns: np.ndarray) -> tuple[np.ndarray, float]:
    """Return which points belong to the shape, and the farthest distance in radii of its body."""
    middle = np.median(columns, axis=1, keepdims=True)
    distances = np.sqrt(np.square(columns - middle).sum(axis=0))
    rank = int(BODY * (len(distances) - 1))
    body = np.partition(distances, rank)[rank]
    if body == 0:  # most points are one: none of the others is astray
        return np.ones(len(distances), dtype=bool), 0.0
    return distances <= ASTRAY * body, float(distances.max() / body)


def _dimensions(offsets: np.ndarray) -> int:
    scaled = offsets / np.abs(offsets).max()  # so that the squares of tiny shapes are not 0
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(scaled @ scaled.T), 0))
    return int((spread > FLAT * spread[-1]).sum())


def _fullest_slab(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    if low == high:
        return 1.0, 0.5
    slab = ((values - low) * (SLABS / (high - low))).astype(np.int64).clip(max=SLABS - 1)
    counts = np.bincount(slab, minlength=SLABS)
    return float(counts.max() / len(values)), float((counts.argmax() + 0.5) / SLABS)
