"""Normals of a cloud that point outwards, estimated from its points alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from pointgen.geometry.directions import all_around
from pointgen.geometry.libraries import load_open3d
from pointgen.geometry.winding import winding_normals

if TYPE_CHECKING:
    import open3d

__all__ = ["outward_normals"]

FEW = 4096  # points that can all tell each other what is out
NEIGHBOURS = 16  # whose plane is the normal's, and that say what is out
VIEWS = 64  # directions that the cloud is seen from
SEEN_AT_MOST = 10_000  # points whose visibility is found; the others follow their neighbours
ROUNDS = 30  # in which neighbours persuade each other


def outward_normals(points: np.ndarray) -> np.ndarray:
    """Return unit normals (N, 3) of points (N, 3) of any unit, N at least 4, not all in a plane.

    Up to 4096 points find theirs together, by the winding number: on thin walls, only a few
    spacings thick, that halves the error of surfaces. Of more, the direction is that of the plane
    through the nearest points. Its sign is found by looking at the cloud from all sides: what is
    seen from somewhere faces it there (Katz et al. 2007). Where that leaves doubt, as inside a mug,
    neighbours of like normals decide together. Passing the sign along a tree of neighbours instead
    (Hoppe et al. 1992; Open3D has it) turns whole parts of thin shapes inside out: 50 to 97 % of
    2048 points of built-in shapes had the right sign, against 87 to 97 %.
    """
    if len(points) <= FEW:
        return winding_normals(points)
    o3d = load_open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NEIGHBOURS))
    normals = np.asarray(cloud.normals)
    seen = _votes(points, normals)
    count = min(NEIGHBOURS, len(points) - 1)
    _, near = cKDTree(points).query(points, count + 1)
    near = near[:, 1:]
    alike = np.einsum("nd,nkd->nk", normals, normals[near])
    alike = 2 * np.sign(alike) * alike**2 / count
    sign = np.tanh(seen)
    for _ in range(ROUNDS):
        sign = np.tanh(seen + (alike * sign[near]).sum(axis=1))
    return np.where(sign < 0, -normals.T, normals.T).T


def _votes(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return how surely (N,) each normal has the right sign, from -4 (surely not) to 4."""
    o3d = load_open3d()
    step = math.ceil(len(points) / SEEN_AT_MOST)
    part = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points[::step]))
    low, high = points.min(axis=0), points.max(axis=0)
    size = float(np.linalg.norm(high - low))
    votes = np.zeros(len(points))
    for direction in all_around(VIEWS):
        seen = _visible(part, (low + high) / 2 + 2 * size * direction, 100 * size) * step
        votes[seen] += normals[seen] @ direction
    most = np.abs(votes).max()
    return 4 * votes / most if most > 0 else votes


def _visible(cloud: open3d.geometry.PointCloud, eye: np.ndarray, radius: float) -> np.ndarray:
    """Return the numbers of the points that are seen from a place."""
    _, seen = cloud.hidden_point_removal(eye, radius)
    return np.asarray(seen)
