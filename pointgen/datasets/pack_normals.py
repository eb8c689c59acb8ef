"""The normals of points that were drawn from a mesh."""

from __future__ import annotations

import numpy as np

from pointgen.geometry.sampling import pick_faces

__all__ = ["normals_of_draw"]


def normals_of_draw(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the normals of the points that `sample_surface` draws from the same arguments.

    It chooses the face of each point first; the same choice is made here.

    Args:
        vertices: (V, 3), data units.
        faces: (F, 3) int, indices of vertices.
        count: how many points there are.
        rng: in the state from which the points were drawn.

    Returns:
        (count, 3) float32, of length 1: the normals of the faces, by the right-hand rule.
    """
    a, b, c = vertices[faces].astype(np.float64).swapaxes(0, 1)
    crosses = np.cross(b - a, c - a)
    areas = np.linalg.norm(crosses, axis=1) / 2
    picks = pick_faces(areas, count, rng)
    return (crosses[picks] / (2 * areas[picks, None])).astype(np.float32)
