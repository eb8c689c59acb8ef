"""Which triangle is seen in each pixel, and how much light is there: the compiled loops.

A z-buffer needs neither a graphics driver nor a system library. A light far away sees the object
in a parallel projection, and what it does not see lies in shadow: the same buffer, filled from the
light (Williams 1978).
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["RADIUS", "corner_normals", "shade", "visible"]

jit = njit(nogil=True, cache=True, error_model="numpy")
RADIUS = 0.5  # data units, of the ball that holds the object: its box diagonal is 1
# A point asks for light this many pixels of the shadow's buffer above its surface: three quarters
# would do for a plane at any angle to the light, more lets light leak in where surfaces meet.
OFFSET = 1.0


def visible(corners: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Fill a z-buffer.

    Args:
        corners: (F, 3, 3) of the triangles: pixels to the right, pixels down, and nearness, which
            has to be affine in the picture: 1 / depth in perspective, minus the depth otherwise.
        size: pixels of a side.

    Returns:
        (size, size) int64: the nearest face at the middle of each pixel, or -1.
        (size, size) float32: its nearness; -inf where there is none.
    """
    face = np.full((size, size), -1, np.int64)
    near = np.full((size, size), -np.inf, np.float32)
    _fill(corners, face, near)
    return face, near


@jit
def _fill(corners: np.ndarray, face: np.ndarray, near: np.ndarray) -> None:
    """Do the work of `visible`."""
    size = len(face)
    for f in range(len(corners)):
        ax, ay, az = corners[f, 0, 0], corners[f, 0, 1], corners[f, 0, 2]
        bx, by, bz = corners[f, 1, 0], corners[f, 1, 1], corners[f, 1, 2]
        cx, cy, cz = corners[f, 2, 0], corners[f, 2, 1], corners[f, 2, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        # the weights of a and b are affine in the picture, and positive inside for both windings
        ux, uy = (by - cy) / area, (cx - bx) / area
        vx, vy = (cy - ay) / area, (ax - cx) / area
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(size - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(size - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            y = row + 0.5 - cy
            for column in range(left, right + 1):
                x = column + 0.5 - cx
                u = ux * x + uy * y
                v = vx * x + vy * y
                w = 1 - u - v
                nearness = np.float32(u * az + v * bz + w * cz)
                if min(u, v, w) >= 0 and nearness > near[row, column]:
                    near[row, column] = nearness
                    face[row, column] = f


@jit
def corner_normals(
    faces: np.ndarray, starts: np.ndarray, owners: np.ndarray, normals: np.ndarray, crease: float
) -> np.ndarray:
    """Smooth the normals of faces across edges that are nearly flat.

    Args:
        faces: (F, 3) int64, the vertex at each corner.
        starts: (V + 1,) int64: where in `owners` the faces of each vertex begin.
        owners: (3 F,) int64: the faces at each vertex, one vertex after the other.
        normals: (F, 3), as long as the faces are large; faces may be wound either way.
        crease: cosine of the largest angle that is smoothed.

    Returns:
        (F, 3, 3): the unit normal at each corner; 0 for a face without area.
    """
    result = np.zeros((len(faces), 3, 3))
    for f in range(len(faces)):
        for k in range(3):
            total = result[f, k]
            for place in range(starts[faces[f, k]], starts[faces[f, k] + 1]):
                g = owners[place]
                dot = _dot(normals[f], normals[g])
                lengths = _dot(normals[f], normals[f]) * _dot(normals[g], normals[g])
                if dot * dot >= crease * crease * lengths:
                    for i in range(3):
                        total[i] += normals[g, i] if dot > 0 else -normals[g, i]
            _normalize(total)
    return result


@jit
def shade(
    face: np.ndarray,
    near: np.ndarray,
    camera: tuple[np.ndarray, np.ndarray, float],
    surface: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    sky: tuple[np.ndarray, np.ndarray, np.ndarray],
    sun: tuple[np.ndarray, np.ndarray, np.ndarray],
    samples: int,
) -> np.ndarray:
    """Light the faces that a z-buffer shows, and average the samples of each pixel.

    Args:
        face: (size * samples, size * samples) int64 of `visible`.
        near: the same shape, 1 / depth.
        camera: centre (3,), rotation (3, 3), focal length; see `pointgen.geometry.cameras`.
        surface: triangles (F, 3, 3), their unit normals (F, 3), those of their corners (F, 3, 3)
            and colours (F, 3), linear.
        sky: frames (K, 3, 3) of lights, with rows right, up and towards the light, buffers
            (K, m, m) of nearness, and colours (K, 3).
        sun: the same, K = 1.
        samples: in each direction of a pixel.

    Returns:
        (size, size, 4): linear colour, not multiplied by alpha, and alpha.
    """
    triangles, normals, corners, colours = surface
    size = len(face) // samples
    picture = np.zeros((size, size, 4))
    point, normal, flat = np.zeros(3), np.zeros(3), np.zeros(3)
    ambient, light = np.zeros(3), np.zeros(3)
    for row in range(size):
        for column in range(size):
            pixel, last = picture[row, column], -1
            for sample in range(samples * samples):
                y, x = row * samples + sample // samples, column * samples + sample % samples
                f = face[y, x]
                if f < 0:
                    continue
                side = _meet(x, y, len(face), near[y, x], camera, normals[f], point)
                if f != last:  # the sky changes little within a pixel, and costs the most
                    for i in range(3):
                        flat[i], ambient[i] = side * normals[f, i], 0.0
                    _interpolate(point, triangles[f], corners[f], side, normal)
                    _collect(point, normal, flat, sky, ambient)
                    last = f
                for i in range(3):
                    light[i] = ambient[i]
                _collect(point, normal, flat, sun, light)
                for i in range(3):
                    pixel[i] += light[i] * colours[f, i]
                pixel[3] += 1
            if pixel[3] > 0:
                for i in range(3):
                    pixel[i] /= pixel[3]
                pixel[3] /= samples * samples
    return picture


@jit
def _meet(
    x: int,
    y: int,
    size: int,
    near: float,
    camera: tuple[np.ndarray, np.ndarray, float],
    normal: np.ndarray,
    point: np.ndarray,
) -> float:
    """Set `point` to what a sample sees, and return the sign that turns the normal to it."""
    centre, rotation, focal = camera
    right, up = ((x + 0.5) * 2 / size - 1) / focal, (1 - (y + 0.5) * 2 / size) / focal
    along = 0.0
    for i in range(3):
        ray = right * rotation[0, i] + up * rotation[1, i] - rotation[2, i]
        point[i] = centre[i] + ray / near
        along += ray * normal[i]
    return -1.0 if along > 0 else 1.0


@jit
def _interpolate(
    point: np.ndarray, triangle: np.ndarray, corners: np.ndarray, side: float, normal: np.ndarray
) -> None:
    """Set `normal` to the corners' normals, weighed by where the point lies in the triangle."""
    aa = ab = bb = ap = bp = 0.0
    for i in range(3):
        a, b, p = (
            triangle[1, i] - triangle[0, i],
            triangle[2, i] - triangle[0, i],
            point[i] - triangle[0, i],
        )
        aa += a * a
        ab += a * b
        bb += b * b
        ap += a * p
        bp += b * p
    area = aa * bb - ab * ab
    u = (bb * ap - ab * bp) / area if area > 0 else 0.0
    v = (aa * bp - ab * ap) / area if area > 0 else 0.0
    for i in range(3):
        normal[i] = side * ((1 - u - v) * corners[0, i] + u * corners[1, i] + v * corners[2, i])
    _normalize(normal)


@jit
def _collect(
    point: np.ndarray,
    normal: np.ndarray,
    flat: np.ndarray,
    lights: tuple[np.ndarray, np.ndarray, np.ndarray],
    light: np.ndarray,
) -> None:
    """Add to `light` what reaches a surface by Lambert's law from lights that see the point."""
    frames, buffers, colours = lights
    size = buffers.shape[1]
    scale = size / (2 * RADIUS)
    offset = OFFSET / scale
    for k in range(len(frames)):
        frame = frames[k]
        cosine = _dot(normal, frame[2])
        if cosine <= 0 or _dot(flat, frame[2]) <= 0:
            continue
        x = y = nearness = 0.0
        for i in range(3):
            lifted = point[i] + offset * flat[i]
            x += lifted * frame[0, i]
            y += lifted * frame[1, i]
            nearness += lifted * frame[2, i]
        column, row = int((x + RADIUS) * scale), int((RADIUS - y) * scale)
        inside = 0 <= column < size and 0 <= row < size
        if not inside or nearness >= buffers[k, row, column]:
            for i in range(3):
                light[i] += cosine * colours[k, i]


@jit
def _normalize(vector: np.ndarray) -> None:
    length = np.sqrt(_dot(vector, vector))
    if length > 0:
        for i in range(3):
            vector[i] /= length


@jit
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
