"""A surface of triangles, and what is known of its vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Surface"]


@dataclass(frozen=True)
class Surface:
    """One mesh.

    Attributes:
        vertices: (V, 3), data units.
        faces: (F, 3), indices of vertices.
        normals: (V, 3) float32, of each vertex, or None.
        colours: (V, 3) uint8, of each vertex, or None.
        left_out: what the file has of its vertices beyond that, and why it cannot be used.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None
    left_out: tuple[str, ...] = ()
