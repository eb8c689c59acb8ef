"""Wavefront OBJ: vertices, faces, and what the vertices have; other files are never opened.

Trimesh reads index 0 as the first vertex, and relative indices from the end of the file instead of
from the face's own line: surfaces that are wrong without an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from pointgen.files.errors import FileError, expect

__all__ = ["Obj", "read_obj"]

INDEX_DIGITS = 12  # of a normal that may be there
MARK = "\xef\xbb\xbf"  # UTF-8's byte-order mark, read as latin-1


@dataclass(frozen=True)
class Obj:
    """What the lines of a file say; indices count from 0.

    Attributes:
        vertices: x, y, z and, if there, red, green, blue of each vertex.
        normals: the directions of the file's list of normals.
        polygons: the vertices of each face.
        corners: the normals of the corners of each face, -1 where there is none; empty without.
    """

    vertices: list[tuple[float, ...]] = field(default_factory=list)
    normals: list[tuple[float, ...]] = field(default_factory=list)
    polygons: list[list[int]] = field(default_factory=list)
    corners: list[list[int]] = field(default_factory=list)

    @property
    def places(self) -> np.ndarray:
        """The vertices (V, 3)."""
        flat = chain.from_iterable(vertex[:3] for vertex in self.vertices)
        return np.fromiter(flat, np.float64).reshape(-1, 3)

    @property
    def colours(self) -> np.ndarray | None:
        """The colours (V, 3) of the vertices, None unless all have one."""
        if any(len(vertex) != 6 for vertex in self.vertices):
            return None
        return np.array([vertex[3:] for vertex in self.vertices])

    def vertex_normals(self) -> np.ndarray | None:
        """Return the normals (V, 3) of the vertices, NaN where corners disagree; None without any.

        A vertex that no face has gets zeros. The polygons must be known to be of these vertices.
        """
        if not any(corner >= 0 for corners in self.corners for corner in corners):
            return None
        pairs = [
            (polygon, corners or [-1] * len(polygon))
            for polygon, corners in zip(self.polygons, self.corners, strict=True)
            if len(polygon) > 2  # others bound no area
        ]
        owners = np.fromiter(chain.from_iterable(polygon for polygon, _ in pairs), np.int64)
        chosen = np.fromiter(chain.from_iterable(corners for _, corners in pairs), np.int64)
        known = np.array([*self.normals, (np.nan,) * 3])  # the last, at -1, for corners without
        values = known[np.where(chosen < len(self.normals), chosen, -1)]
        normals = np.zeros((len(self.vertices), 3))
        normals[owners] = values
        normals[owners[(normals[owners] != values).any(axis=1)]] = np.nan
        return normals


def read_obj(path: Path) -> Obj:
    """Return what an OBJ file says.

    Raises:
        FileError: A line that is none, or no vertices.
    """
    text = path.read_text(encoding="latin-1").removeprefix(MARK)
    text = text.replace("\\\r\n", " ").replace("\\\n", " ")
    obj = Obj()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0] not in ("v", "vn", "f"):
            continue
        try:
            if words[0] == "v":
                obj.vertices.append(_vertex(words))
            elif words[0] == "f":
                obj.polygons.append(_polygon(words, len(obj.vertices)))
                obj.corners.append(_corners(words, len(obj.normals)) if "/" in line else [])
            else:
                obj.normals.append(_normal(words))
        except ValueError as error:
            raise FileError(path, f"line {number}: {error}: {line.strip()[:60]!r}") from error
    expect(len(obj.vertices) > 0, path, "expected a mesh, got no vertices")
    return obj


def _vertex(words: list[str]) -> tuple[float, ...]:
    """Return x, y, z and a colour where three more numbers follow; one more is a weight."""
    if len(words) < 4:
        raise ValueError(f"expected 3 coordinates, got {len(words) - 1}")
    place = float(words[1]), float(words[2]), float(words[3])
    return place if len(words) != 7 else (*place, *_numbers(words[4:]))


def _normal(words: list[str]) -> tuple[float, ...]:
    direction = _numbers(words[1:4])
    return direction if len(direction) == 3 else (float("nan"),) * 3


def _numbers(words: list[str]) -> tuple[float, ...]:
    """Return numbers that a file may have wrong without being refused for it, then as NaN."""
    try:
        return tuple(map(float, words))
    except ValueError:
        return (float("nan"),) * len(words)


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


def _corners(words: list[str], seen: int) -> list[int]:
    """Return the normal of each corner `v/vt/vn`, -1 where there is none."""
    corners = []
    for word in words[1:]:
        if word.startswith("#"):
            break
        text = word.partition("/")[2].partition("/")[2]
        known = text.removeprefix("-").isdecimal() and len(text) < INDEX_DIGITS
        index = int(text) if known else 0
        corners.append(index - 1 if index >= 0 else max(seen + index, -1))
    return corners
