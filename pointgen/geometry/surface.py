"""Surfaces through the points of a cloud, by Open3D's methods, with radii of the cloud's own."""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.spatial import cKDTree

from pointgen.geometry.libraries import load_open3d
from pointgen.geometry.normals import outward_normals

if TYPE_CHECKING:
    import open3d

__all__ = ["SurfaceMethod", "surface_of"]

SurfaceMethod = Literal["poisson", "pivot", "alpha"]

LEAST_DEPTH, MOST_DEPTH = 5, 10  # of Poisson's octree: 2^depth cells a side, if points are dense
ROOM, MORE_ROOM = 1.1, 3.0  # sides of its cube, in extents; a surface that leaves it has an edge
# Spacings from any point: a Poisson surface there closes what was open. Of 100,000 random points on
# a sphere, no place is that far from all; at 4.0 there were pinholes.
FAR = 5.0
BALLS = (1.5, 2.0, 3.0, 4.0)  # radii, in spacings, that roll over the points
ALPHA = 5.0  # spacings: the largest gap between points that is filled
FLAT = 1e-6  # of the largest extent: thinner is a plane


def surface_of(
    points: np.ndarray,
    normals: np.ndarray | None = None,
    *,
    method: SurfaceMethod = "poisson",
    watertight: bool = False,
    detail: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3), in the units of the points, and triangles (F, 3) of a surface.

    Args:
        points: (N, 3), finite, any units.
        normals: (N, 3), pointing outwards; estimated if left out. Only "alpha" needs none.
        method: "poisson" is smooth and closes small gaps; "pivot" uses the points themselves as
            vertices and leaves gaps open; "alpha" is the outside of clouds that are filled,
            or of thin plates, all of whose tetrahedra are small.
        watertight: poisson: keep the surface also where there are no points near.
        detail: more than 1 follows the points more closely: a finer grid, smaller radii.

    Returns:
        Triangles counter-clockwise seen from outside.

    Raises:
        ValueError: The points have no surface, or none by this method.
        ImportError: Open3D does not load.

    Source: Kazhdan and Hoppe 2013; Bernardini et al. 1999; Edelsbrunner and Mücke 1994.
    """
    o3d = load_open3d()
    if watertight and method != "poisson":
        raise ValueError(f"watertight: only poisson gives closed surfaces, not {method}")
    points, kept = np.unique(np.asarray(points, dtype=np.float64), axis=0, return_index=True)
    centre, size = _box(points)
    points = (points - centre) / size
    if normals is None:
        if method != "alpha":
            normals = outward_normals(points)
    else:
        normals = _units(np.asarray(normals, dtype=np.float64)[kept])
    spacing = _spacing(points) / detail
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    if normals is not None:
        cloud.normals = o3d.utility.Vector3dVector(normals)
    match method:
        case "poisson":
            mesh = _poisson(o3d, cloud, spacing, watertight=watertight)
            if not watertight:
                away, _ = cKDTree(points).query(np.asarray(mesh.vertices))
                mesh.remove_vertices_by_mask(away > FAR * spacing * detail)
        case "pivot":
            radii = o3d.utility.DoubleVector([radius * spacing for radius in BALLS])
            mesh = o3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting(cloud, radii)
        case "alpha":
            mesh = o3d.geometry.TriangleMesh.create_from_point_cloud_alpha_shape(
                cloud, ALPHA * spacing
            )
            mesh.orient_triangles()
    mesh.remove_degenerate_triangles()
    mesh.remove_unreferenced_vertices()
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    if not len(faces):
        raise ValueError(
            f"no surface was found by {method} through {len(points)} points (is one far off?)"
        )
    return vertices * size + centre, faces


def _poisson(
    o3d: ModuleType, cloud: open3d.geometry.PointCloud, spacing: float, *, watertight: bool
) -> open3d.geometry.TriangleMesh:
    room = MORE_ROOM if watertight else ROOM
    depth = min(max(math.ceil(math.log2(room / spacing)), LEAST_DEPTH), MOST_DEPTH)
    # One thread: several add up in another order each time.
    mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth, scale=room, n_threads=1
    )
    return mesh


def _box(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the centre (3,) and largest extent of points.

    Raises:
        ValueError: They span no volume.
    """
    if len(points) < 4:
        raise ValueError(f"expected at least 4 different points, got {len(points)}")
    low, high = points.min(axis=0), points.max(axis=0)
    centre, size = (low + high) / 2, float((high - low).max())
    thin = np.linalg.svd((points - centre) / size, compute_uv=False)[-1] / math.sqrt(len(points))
    if thin < FLAT:
        raise ValueError("expected points around a body, got points of one plane")
    return centre, size


def _spacing(points: np.ndarray) -> float:
    """Return the median distance of points to their nearest neighbours."""
    away, _ = cKDTree(points).query(points, 2)
    return float(np.median(away[:, 1]))


def _units(normals: np.ndarray) -> np.ndarray:
    """Return normals of length one.

    Raises:
        ValueError: One has no direction.
    """
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not (length > 0).all():
        raise ValueError(f"normals: {int((length == 0).sum())} of {len(normals)} are zero")
    return normals / length
