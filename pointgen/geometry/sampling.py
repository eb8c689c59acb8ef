"""Drawing points: from a surface, or fewer from many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "Spots",
    "farthest_points",
    "normals_at",
    "resample",
    "sample_surface",
    "spots_on",
    "values_at",
]


class Spots(NamedTuple):
    """Where points lie on a mesh.

    Attributes:
        corners: (n, 3) int, the vertices of the face that each point lies on.
        u: (n, 1), how far it is from the first of them towards the opposite side, in [0, 1].
        v: (n, 1), how far it is on the way from the second to the third.
    """

    corners: np.ndarray
    u: np.ndarray
    v: np.ndarray


def spots_on(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> Spots:
    """Choose where to draw points from a triangle mesh, uniformly by area.

    Args:
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices.
        count: How many points, at least 1.
        rng: Source of randomness.

    Raises:
        ValueError: A shape or index is wrong, a used vertex is not finite, or the area is zero.
    """
    areas = _areas(vertices, faces)
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    ends = np.cumsum(areas)
    # A draw is in [0, total), but its product may round up to the total: stay below the last end.
    picks = np.searchsorted(ends, rng.random(count) * ends[-1], side="right")
    picks = np.minimum(picks, np.flatnonzero(areas)[-1])
    u, v = rng.random((2, count, 1))
    # The square root makes the density even: the segment at distance u from a has length ~ u.
    return Spots(faces[picks], np.sqrt(u), v)


def values_at(spots: Spots, values: np.ndarray) -> np.ndarray:
    """Return values (n, C) float64 between those of the vertices (V, C), linear on each face."""
    a, b, c = values[spots.corners].astype(np.float64).swapaxes(0, 1)
    return a + spots.u * ((1 - spots.v) * (b - a) + spots.v * (c - a))


def normals_at(spots: Spots, vertices: np.ndarray) -> np.ndarray:
    """Return the normals (n, 3) float32 of the faces, of length 1, by the right-hand rule."""
    a, b, c = vertices[spots.corners].astype(np.float64).swapaxes(0, 1)
    normals = np.cross(b - a, c - a)
    return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw points (count, 3) float32, data units, from a triangle mesh, uniformly by area.

    See `spots_on` for the arguments and errors.
    """
    return values_at(spots_on(vertices, faces, count, rng), vertices).astype(np.float32)


def resample(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random subset without repetition.

    Args:
        points: (N, C).
        count: How many points to keep, from 1 to N.
        rng: Source of randomness.

    Returns:
        (count, C), in random order.

    Raises:
        ValueError: There are fewer points than asked for.
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"count: expected 1 to {len(points)} (the points at hand), got {count}")
    return points[rng.permutation(len(points))[:count]]


@torch.no_grad()
def farthest_points(points: Tensor, count: int) -> Tensor:
    """Choose well-spread points: each next one is the farthest from those already chosen.

    Args:
        points: (B, N, 3).
        count: How many points to choose, from 1 to N. The first is point 0 of each cloud, and of
            equally far points the first is taken.

    Returns:
        (B, count) int64: indices into N.

    Raises:
        ValueError: The shape is wrong or there are fewer points than asked for.
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"points: expected (B, N, 3), got {tuple(points.shape)}")
    if not 1 <= count <= points.shape[1]:
        raise ValueError(f"count: expected 1 to {points.shape[1]}, got {count}")
    rows = torch.arange(len(points), device=points.device)
    chosen = torch.zeros(len(points), count, dtype=torch.int64, device=points.device)
    gaps = torch.full(points.shape[:2], torch.inf, dtype=points.dtype, device=points.device)
    for i in range(1, count):
        last = points[rows, chosen[:, i - 1]].unsqueeze(1)  # (B, 1, 3)
        gaps = torch.minimum(gaps, (points - last).square().sum(dim=-1))
        # A point once chosen must not come again, even when all the gaps are zero.
        gaps.scatter_(1, chosen[:, i - 1 : i], -1.0)
        chosen[:, i] = gaps.argmax(dim=1)
    return chosen


def _areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the areas (F,) of the triangles, checked."""
    for name, array in (("vertices", vertices), ("faces", faces)):
        if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0:
            raise ValueError(f"{name}: expected (n, 3) with n > 0, got {array.shape}")
    if not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"faces: expected integers, got {faces.dtype}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(
            f"faces: expected indices from 0 to {len(vertices) - 1}, "
            f"got {faces.min()} to {faces.max()}"
        )
    corners = vertices[faces].astype(np.float64)
    if not np.isfinite(corners).all():
        raise ValueError("vertices: expected finite values, got NaN or infinity")
    sides = corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
    if not 0 < areas.sum() < np.inf:
        raise ValueError(f"faces: expected a positive finite total area, got {areas.sum()}")
    return areas
