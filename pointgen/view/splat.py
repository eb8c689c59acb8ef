"""Shaded spheres in a depth buffer, in numpy alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointgen.view.camera import Camera, Lens

__all__ = ["sphere_radius", "splat"]

RADIUS = 0.025  # of a sphere in a cloud of 2048 points whose box has side 1, as papers draw it
FRAGMENTS = 250_000  # candidate pixels that are worked on at a time: a few megabytes


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
    screen, depth = camera.project(points)
    centre = lens.pixels(screen)
    reach = lens.focal * radius / depth  # radius in pixels
    nearest = np.full(size * size, -np.inf)
    owner = np.full(size * size, -1)
    for pixel, index, rise in _fragments(centre, reach, size):
        front = radius * rise - depth[index]
        np.maximum.at(nearest, pixel, front)
        wins = front == nearest[pixel]
        owner[pixel[wins]] = index[wins]

    drawn = np.flatnonzero(owner >= 0)
    owner = owner[drawn]
    row, column = np.divmod(drawn, size)
    place = np.stack([column, row], axis=1) + 0.5
    across = (place - centre[owner]) / reach[owner, None] * (1, -1)
    rise = np.sqrt(np.clip(1 - (across**2).sum(axis=1), 0, 1))
    normal = np.column_stack([across, rise]) @ camera.axes

    cover, picture = np.zeros((size * size, 1)), np.zeros((size * size, 3))
    cover[drawn] = 1
    picture[drawn] = _shade(colours[owner], lit[owner], normal, toward)
    return cover.reshape(size, size, 1), picture.reshape(size, size, 3)


def _fragments(
    centre: np.ndarray, reach: np.ndarray, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Go through the pixels that spheres cover, in parts.

    Args:
        centre: (N, 2) of the spheres, pixels.
        reach: (N,) their radii, pixels.
        size: width and height of the picture, pixels.

    Yields:
        Pixels (F,), indices of spheres (F,), and how far each sphere rises there towards the
        camera (F,), in its radii.
    """
    half = int(np.ceil(reach.max())) + 1
    offset = np.arange(-half, half + 1)
    step = max(1, FRAGMENTS // len(offset) ** 2)
    for start in range(0, len(centre), step):
        middle, radius = centre[start : start + step], reach[start : start + step, None]
        cell = np.floor(middle).astype(np.int64)  # (n, 2)
        column, row = cell[:, [0]] + offset, cell[:, [1]] + offset  # (n, k)
        across = ((column + 0.5 - middle[:, [0]]) / radius) ** 2
        along = ((row + 0.5 - middle[:, [1]]) / radius) ** 2
        across[(column < 0) | (column >= size)] = 2  # out of sight
        along[(row < 0) | (row >= size)] = 2
        rest = (1 - across).astype(np.float32)[:, None, :] - along.astype(np.float32)[:, :, None]
        which, i, j = np.nonzero(rest > 0)  # of (n, k, k)
        yield (
            row[which, i] * size + column[which, j],
            which + start,
            np.sqrt(rest[which, i, j].astype(float)),
        )


def _shade(
    colours: np.ndarray, lit: np.ndarray, normal: np.ndarray, toward: np.ndarray
) -> np.ndarray:
    """Return colours (P, 3) under a soft sky and one lamp that looks along `normal` (P, 3)."""
    sky = 0.62 + 0.30 * normal[:, 1]
    glow = 0.50 * lit * np.clip(normal @ toward, 0, 1)
    return colours * (sky + glow)[:, None]
