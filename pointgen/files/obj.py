"""Wavefront OBJ: the vertices and faces; materials, normals and other files are never opened.

Trimesh reads index 0 as the first vertex, and relative indices from the end of the file instead of
from the face's own line: surfaces that are wrong without an error.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointgen.files.errors import FileError, expect

__all__ = ["read_obj"]


def read_obj(path: Path) -> tuple[np.ndarray, list[list[int]]]:
    """Return vertices (V, 3) and polygons as lists of indices that count from 0."""
    text = path.read_text(encoding="latin-1").replace("\\\r\n", " ").replace("\\\n", " ")
    vertices: list[tuple[float, ...]] = []
    polygons: list[list[int]] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0] not in ("v", "f"):
            continue
        try:
            if words[0] == "v":
                vertices.append(_vertex(words))
            else:
                polygons.append(_polygon(words, len(vertices)))
        except ValueError as error:
            raise FileError(path, f"line {number}: {error}: {line.strip()[:60]!r}") from error
    expect(len(vertices) > 0, path, "expected a mesh, got no vertices")
    return np.array(vertices), polygons


def _vertex(words: list[str]) -> tuple[float, ...]:
    """Return x, y, z; a weight or a colour may follow."""
    if len(words) < 4:
        raise ValueError(f"expected 3 coordinates, got {len(words) - 1}")
    return float(words[1]), float(words[2]), float(words[3])


def _polygon(words: list[str], seen: int) -> list[int]:
    """Return the vertex of each corner `v/vt/vn`; a negative one counts back from this line."""
    corners = []
    for word in words[1:]:
        if word.startswith("#"):
            break
        index = int(word.partition("/")[0])
        if index == 0 or index < -seen:
            raise ValueError(f"vertex {index}, of {seen} so far, does not exist")
        corners.append(index - 1 if index > 0 else seen + index)
    return corners
