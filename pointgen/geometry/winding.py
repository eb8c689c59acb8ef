"""Normals of a cloud that agree about what is inside: by the winding number of its points."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.distance import pdist, squareform

__all__ = ["winding_normals"]

ROUNDS = 20
FIRST, LAST = 2.0, 1.0  # widths, in spacings: nearer than that a point's influence grows no more


def winding_normals(points: np.ndarray) -> np.ndarray:
    """Return outward unit normals (N, 3) of points (N, 3), from no other knowledge.

    The sum over points j of a_j d / (4 pi r^3), where a_j is a normal as long as its area and d
    leads to j over the distance r, is 1 inside and 0 outside, if the normals are right. In turn
    the areas take a step of least squares towards 1/2 at the points, between in and out, and turn
    to where the number falls most. Both sides of a thin wall so take part in each other's normals.
    Dense sums do for a few thousand points; they need memory for 5 N^2 numbers.

    Args:
        points: (N, 3), any unit, all different.

    Source: Lin et al. 2024, "Fast and globally consistent normal orientation based on the winding
        number normal consistency". No library that installs everywhere has it.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - (low + high) / 2) / float((high - low).max())
    squares = squareform(pdist(points, "sqeuclidean"))  # (N, N)
    np.fill_diagonal(squares, np.inf)
    spacing = float(np.median(np.sqrt(squares.min(axis=1))))
    np.fill_diagonal(squares, 1e-30)
    cubes = squares**-1.5  # on the diagonal too large for any width, which all are cut to
    fifths = cubes / squares
    areas = np.zeros_like(points)
    for width in spacing * np.linspace(FIRST, LAST, ROUNDS):
        near = np.minimum(cubes, width**-3)
        far = np.where(near < cubes, 0.0, fifths)
        missing = _adjoint(near, points, 0.5 - _winding(near, points, areas))
        change = _winding(near, points, missing)
        areas = areas + (missing**2).sum() / (change**2).sum() * missing
        length = np.linalg.norm(areas, axis=1, keepdims=True)
        areas = _units(_fall(near, far, points, areas)) * length
    return _units(areas)


def _winding(near: np.ndarray, points: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Return the winding number (N,) at the points."""
    sums = near @ np.column_stack([areas, (areas * points).sum(axis=1)])
    return (sums[:, 3] - (points * sums[:, :3]).sum(axis=1)) / (4 * math.pi)


def _adjoint(near: np.ndarray, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the areas (N, 3) that add most to the winding number where values (N,) are high."""
    sums = near @ np.column_stack([values[:, None] * points, values])
    return (points * sums[:, 3:] - sums[:, :3]) / (4 * math.pi)


def _fall(near: np.ndarray, far: np.ndarray, points: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Return where (N, 3) the winding number falls most: the sum of a / r^3 - 3 (a d) d / r^5.

    With d = x_j - x_i written out, each of its terms is one product of a matrix with few columns.
    """
    along = (areas * points).sum(axis=1, keepdims=True)
    outer = (areas[:, :, None] * points[:, None]).reshape(-1, 9)
    sums = far @ np.concatenate([along * points, along, outer, areas], axis=1)
    first, total, outer, area = np.split(sums, [3, 4, 13], axis=1)
    own = np.einsum("ni,nij->nj", points, outer.reshape(-1, 3, 3))
    straight = (area * points).sum(axis=1, keepdims=True)
    return near @ areas - 3 * (first - own - (total - straight) * points)


def _units(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
