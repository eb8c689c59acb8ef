"""Drawing points: from a surface, or fewer from many."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["farthest_points", "normals_of_draw", "resample", "sample_surface", "values_of_draw"]


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw points from a triangle mesh, uniformly by area.

    Args:
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices.
        count: How many points, at least 1.
        rng: Source of randomness.

    Returns:
        (count, 3) float32, data units.

    Raises:
        ValueError: A shape or index is wrong, a used vertex is not finite, or the area is zero.
    """
    return values_of_draw(vertices, faces, vertices, count, rng).astype(np.float32)


def values_of_draw(
    vertices: np.ndarray,
    faces: np.ndarray,
    values: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return what the vertices have, at the points that `sample_surface` draws.

    Args:
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices.
        values: (V, C), of each vertex; between them they are linear on every face.
        count: How many points there are, at least 1.
        rng: In the state from which the points are drawn.

    Returns:
        (count, C) float64.

    Raises:
        ValueError: As in `sample_surface`.
    """
    areas, _ = _areas(vertices, faces)
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    picks = _pick_faces(areas, count, rng)
    a, b, c = values[faces[picks]].astype(np.float64).swapaxes(0, 1)
    u, v = rng.random((2, count, 1))
    # The square root makes the density even: the segment at distance u from a has length ~ u.
    u = np.sqrt(u)
    return a + u * ((1 - v) * (b - a) + v * (c - a))


def normals_of_draw(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the normals of the points that `sample_surface` draws from the same arguments.

    It chooses the face of each point first; the same choice is made here.

    Args:
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices.
        count: How many points there are.
        rng: In the state from which the points were drawn.

    Returns:
        (count, 3) float32, of length 1: the normals of the faces, by the right-hand rule.

    Raises:
        ValueError: As in `sample_surface`.
    """
    areas, corners = _areas(vertices, faces)
    picks = _pick_faces(areas, count, rng)
    a, b, c = corners[picks].swapaxes(0, 1)
    return (np.cross(b - a, c - a) / (2 * areas[picks, None])).astype(np.float32)


def _pick_faces(areas: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose a face (count,) for each point of a draw, in proportion to the areas (F,)."""
    ends = np.cumsum(areas)
    # A draw is in [0, total), but its product may round up to the total: stay below the last end.
    picks = np.searchsorted(ends, rng.random(count) * ends[-1], side="right")
    return np.minimum(picks, np.flatnonzero(areas)[-1])


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


def _areas(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas (F,) and corners (F, 3, 3) of the triangles, checked."""
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
    return areas, corners
