"""Shaded spheres in a depth buffer."""

from __future__ import annotations

import numpy as np

from pointgen.view.camera import Camera, Lens

__all__ = ["sphere_radius", "splat"]

RADIUS = 0.025  # of a sphere in a cloud of 2048 points whose box has side 1, as papers draw it


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
    from pointgen.view.kernels import nearest_spheres

    size = lens.size
    screen, depth = camera.project(points)
    centre = lens.pixels(screen)
    reach = lens.focal * radius / depth  # radius in pixels
    owner = nearest_spheres(centre, reach, depth, radius, size)
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


def _shade(
    colours: np.ndarray, lit: np.ndarray, normal: np.ndarray, toward: np.ndarray
) -> np.ndarray:
    """Return colours (P, 3) under a soft sky and one lamp that looks along `normal` (P, 3)."""
    sky = 0.62 + 0.30 * normal[:, 1]
    glow = 0.50 * lit * np.clip(normal @ toward, 0, 1)
    return colours * (sky + glow)[:, None]
