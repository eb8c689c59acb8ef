"""Shaded spheres in a depth buffer, in numpy alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointgen.view.camera import Camera, Lens

__all__ = ["sphere_radius", "splat"]

RADIUS = 0.025  # of a sphere in a cloud of 2048 points whose box has side 1, as papers draw it
FRAGMENTS = 1_000_000  # candidate pixels that are worked on at a time: some tens of megabytes


def sphere_radius(count: int) -> float:
    """Return the radius at which `count` spheres cover about as much as 2048 of radius 0.025."""
    return float(np.clip(RADIUS * np.sqrt(2048 / count), 0.003, 0.05))


def splat(
    points: np.ndarray,
    colours: np.ndarray,
    lit: np.ndarray,
    radius: float,
    toward: np.ndarray,
    camera: Camera,
    lens: Lens,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw every point as a small sphere, the nearest in front.

    Args:
        points: (N, 3) centres.
        colours: (N, 3) in [0, 1], already darkened where little of the sky is seen.
        lit: (N,) share of the lamp that each sphere sees.
        radius: of the spheres.
        toward: (3,) unit vector to the lamp.
        camera: where the picture is taken from.
        lens: the pixels.

    Returns:
        Cover (size, size, 1), 1 where a sphere was drawn, and its shaded colour (size, size, 3),
        0 elsewhere.
    """
    size = lens.size
    nearest = np.full(size * size, -np.inf)
    owner = np.full(size * size, -1)
    normal = np.zeros((size * size, 3))
    for pixel, index, bulge, front in _fragments(points, radius, camera, lens):
        np.maximum.at(nearest, pixel, front)
        wins = front == nearest[pixel]
        owner[pixel[wins]] = index[wins]
        normal[pixel[wins]] = bulge[wins]

    drawn = owner >= 0
    picture = np.zeros((size * size, 3))
    picture[drawn] = _shade(colours[owner[drawn]], lit[owner[drawn]], normal[drawn], toward, camera)
    return drawn.reshape(size, size, 1).astype(float), picture.reshape(size, size, 3)


def _fragments(
    points: np.ndarray, radius: float, camera: Camera, lens: Lens
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield pixels (F,), points (F,), normals in view axes (F, 3) and nearness (F,), in parts."""
    screen, depth = camera.project(points)
    centre = lens.pixels(screen)
    reach = lens.focal * radius / depth  # radius in pixels
    half = int(np.ceil(reach.max())) + 1
    offset = np.arange(-half, half + 1)
    step = max(1, FRAGMENTS // len(offset) ** 2)
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        cell = np.floor(centre[part]).astype(np.int64)  # (n, 2)
        column, row = cell[:, [0]] + offset, cell[:, [1]] + offset  # (n, k)
        right = (column + 0.5 - centre[part, 0, None]) / reach[part, None]
        up = (centre[part, 1, None] - row - 0.5) / reach[part, None]
        across = np.where((column >= 0) & (column < lens.size), right**2, 2)  # 2: out of sight
        along = np.where((row >= 0) & (row < lens.size), up**2, 2)
        rest = 1 - across[:, None, :] - along[:, :, None]  # (n, k, k)
        which, i, j = np.nonzero(rest > 0)
        rise = np.sqrt(rest[which, i, j])
        yield (
            row[which, i] * lens.size + column[which, j],
            which + start,
            np.stack([right[which, j], up[which, i], rise], axis=1),
            radius * rise - depth[part][which],
        )


def _shade(
    colours: np.ndarray, lit: np.ndarray, normal: np.ndarray, toward: np.ndarray, camera: Camera
) -> np.ndarray:
    """Return colours (P, 3) under a soft sky and one lamp; `normal` (P, 3) in view axes."""
    world = normal @ camera.axes
    sky = 0.62 + 0.30 * world[:, 1]
    glow = 0.50 * lit * np.clip(world @ toward, 0, 1)
    return colours * (sky + glow)[:, None]
