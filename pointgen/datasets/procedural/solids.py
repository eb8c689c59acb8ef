"""Triangle meshes made by lofting: closed rings of points joined one to the next.

Every part of a built-in shape is a loft. Lengths are in data units, y is up, and faces are wound so
that their normals point out of the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = [
    "Mesh",
    "ball",
    "beam",
    "box",
    "lathe",
    "loft",
    "merge",
    "mirror",
    "move",
    "outline",
    "rod",
    "slab",
    "tilt",
    "tube",
]

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Mesh:
    """Triangles.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64, rows of indices into `vertices`.
    """

    vertices: np.ndarray
    faces: np.ndarray


def loft(rings: np.ndarray, *, caps: bool = True, closed: bool = False) -> Mesh:
    """Join rings of points into a skin.

    Args:
        rings: (R, K, 3), rings of K points each, in order.
        caps: close the first and the last ring with a fan around their centres.
        closed: join the last ring to the first (a torus); there are no caps then.
    """
    rings = np.asarray(rings, dtype=np.float64)
    capped = caps and not closed
    vertices = rings.reshape(-1, 3)
    if capped:
        vertices = np.concatenate([vertices, rings[[0, -1]].mean(axis=1)])
    faces = _loft_faces(rings.shape[0], rings.shape[1], capped, closed)
    return Mesh(vertices, faces if _points_outward(rings, closed) else faces[:, ::-1])


@lru_cache(maxsize=64)  # a few ring counts make all parts of a thousand shapes
def _loft_faces(rings: int, sides: int, capped: bool, closed: bool) -> np.ndarray:
    first = np.arange(rings if closed else rings - 1)[:, None]
    second = (first + 1) % rings
    here, there = np.arange(sides), np.roll(np.arange(sides), -1)
    a, b = first * sides + here, first * sides + there
    c, d = second * sides + there, second * sides + here
    faces = [np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]
    if capped:
        start = np.full(sides, rings * sides)
        last = (rings - 1) * sides
        faces.append(np.stack([start, there, here], axis=-1))
        faces.append(np.stack([start + 1, last + here, last + there], axis=-1))
    result = np.concatenate([face.reshape(-1, 3) for face in faces])
    result.flags.writeable = False
    return result


def _points_outward(rings: np.ndarray, closed: bool) -> bool:
    """Tell whether a ring turns so that its faces look away from the ring's centre."""
    centres = rings.mean(axis=1)
    widest = int(np.argmax(np.abs(rings - centres[:, None]).sum(axis=(1, 2))))
    if closed:  # it comes back to where it began: only the way past one ring says anything
        along = centres[(widest + 1) % len(rings)] - centres[widest - 1]
    else:
        along = centres[-1] - centres[0]
    spokes = rings[widest] - centres[widest]
    turn = np.cross(spokes, np.roll(spokes, -1, axis=0)).sum(axis=0)
    return float(turn @ along) > 0


def outline(width: float, depth: float, *, exponent: float = 2.0, sides: int = 24) -> np.ndarray:
    """Return a superellipse, (sides, 2): 2 is an ellipse, larger exponents near a rectangle."""
    angle = np.arange(sides) * 2 * np.pi / sides + np.pi / sides
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    bent = np.sign(circle) * np.abs(circle) ** (2 / exponent)
    return bent * np.array([width / 2, depth / 2])


def slab(shape: np.ndarray, low: float, high: float) -> Mesh:
    """Raise an outline in (x, z), of shape (K, 2), from y = low to y = high."""
    return loft(np.stack([_at_height(shape, low), _at_height(shape, high)]))


def _at_height(shape: np.ndarray, y: float) -> np.ndarray:
    return np.stack([shape[:, 0], np.full(len(shape), y), shape[:, 1]], axis=-1)


def box(low: Point, high: Point) -> Mesh:
    """Return the box between two opposite corners."""
    (x, y, z), (right, top, back) = low, high
    return slab(np.array([[x, z], [right, z], [right, back], [x, back]]), y, top)


def beam(start: Point, end: Point, width: float, depth: float, *, taper: float = 1.0) -> Mesh:
    """Return an upright bar with a level rectangular section, leaning from `start` to `end`.

    Args:
        start: centre of the section at one end.
        end: centre of the section at the other end, at another height.
        width: extent along x at `start`.
        depth: extent along z at `start`.
        taper: size of the section at `end` relative to the one at `start`.
    """
    corners = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]]) / 2
    corners = corners * np.array([width, 0, depth])
    return loft(np.stack([np.asarray(start) + corners, np.asarray(end) + corners * taper]))


def rod(start: Point, end: Point, radius: float, *, taper: float = 1.0, sides: int = 12) -> Mesh:
    """Return a round bar; its radius at `end` is `taper` times that at `start`."""
    return tube(np.array([start, end]), np.array([radius, radius * taper]), sides=sides)


def tube(path: np.ndarray, radius: float | np.ndarray, *, sides: int = 12) -> Mesh:
    """Return a round tube along a path that stays in one plane.

    Args:
        path: (R, 3), the points of its centre line.
        radius: one radius, or (R,) of them.
        sides: corners of the section.
    """
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    across = np.cross(tangents[0], tangents[len(path) // 2])
    if np.linalg.norm(across) < 1e-6:  # a straight path: any direction off it will do
        across = np.cross(tangents[0], np.eye(3)[np.argmin(np.abs(tangents[0]))])
    across /= np.linalg.norm(across)
    angle = np.arange(sides) * 2 * np.pi / sides
    spokes = np.cos(angle)[:, None] * across + (
        np.sin(angle)[:, None] * np.cross(tangents, across)[:, None]
    )
    radii = np.broadcast_to(radius, len(path))
    return loft(path[:, None] + radii[:, None, None] * spokes)


def lathe(profile: Sequence[tuple[float, float]], *, sides: int = 32, caps: bool = True) -> Mesh:
    """Turn a profile of (radius, y) pairs about the y axis."""
    radius, height = np.asarray(profile, dtype=np.float64).T
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angle), np.zeros(sides), np.sin(angle)], axis=-1)
    up = np.array([0.0, 1.0, 0.0])
    return loft(radius[:, None, None] * circle + height[:, None, None] * up, caps=caps)


def ball(centre: Point, radii: Point, *, sides: int = 24) -> Mesh:
    """Return an ellipsoid with semi-axes `radii`."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, sides // 2 + 1)
    sphere = lathe(list(zip(np.cos(angle), np.sin(angle), strict=True)), sides=sides)
    return Mesh(sphere.vertices * np.asarray(radii) + np.asarray(centre), sphere.faces)


def move(mesh: Mesh, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
    """Shift a mesh."""
    return Mesh(mesh.vertices + np.array([x, y, z]), mesh.faces)


def tilt(mesh: Mesh, angle: float) -> Mesh:
    """Turn a mesh about the x axis, so that what stands up leans towards +z; radians."""
    c, s = np.cos(angle), np.sin(angle)
    return Mesh(mesh.vertices @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]), mesh.faces)


def mirror(mesh: Mesh) -> Mesh:
    """Reflect a mesh in the plane x = 0."""
    return Mesh(mesh.vertices * np.array([-1.0, 1.0, 1.0]), mesh.faces[:, ::-1])


def merge(parts: Sequence[Mesh]) -> Mesh:
    """Put parts into one mesh."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = [part.faces + start for part, start in zip(parts, starts, strict=True)]
    return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))
