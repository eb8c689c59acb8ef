"""The two inner loops of stills, compiled: importing this module takes a moment."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["add_visible", "nearest_spheres"]

CELLS = 1000  # of a side of the grid of shadows, about


@njit(nogil=True, cache=True)
def nearest_spheres(
    centre: np.ndarray, reach: np.ndarray, depth: np.ndarray, radius: float, size: int
) -> np.ndarray:
    """Return which sphere is seen in each pixel (size * size,), -1 for none.

    Args:
        centre: (N, 2), pixels, x to the right and y down.
        reach: (N,) radii, pixels.
        depth: (N,) distances of the centres from the camera.
        radius: of the spheres, in the units of the distances.
        size: width and height of the picture, pixels.
    """
    owner = np.full(size * size, -1, dtype=np.int64)
    front = np.full(size * size, -np.inf)
    for index in range(len(centre)):
        x, y, half = centre[index, 0], centre[index, 1], reach[index]
        for row in range(max(0, math.ceil(y - half - 0.5)), min(size, int(y + half + 0.5))):
            down = ((row + 0.5 - y) / half) ** 2
            for column in range(max(0, math.ceil(x - half - 0.5)), min(size, int(x + half + 0.5))):
                rest = 1 - down - ((column + 0.5 - x) / half) ** 2
                if rest > 0:
                    near = radius * math.sqrt(rest) - depth[index]
                    pixel = row * size + column
                    if near > front[pixel]:
                        front[pixel], owner[pixel] = near, index
    return owner


@njit(nogil=True, cache=True)
def add_visible(
    seen: np.ndarray,
    probes: np.ndarray,
    blockers: np.ndarray,
    directions: np.ndarray,
    across: np.ndarray,
    radius: float,
) -> None:
    """Add to `seen` (M,) the number of directions in which nothing stands before each probe.

    Args:
        seen: (M,).
        probes: (M, 3) places that are lit.
        blockers: (N, 3) centres of spheres that throw shadows.
        directions: (D, 3) unit vectors towards the light.
        across: (D, 2, 3) unit vectors that span the plane across each direction.
        radius: of the spheres.
    """
    extent = 0.0
    for axis in range(3):
        extent = max(extent, blockers[:, axis].max() - blockers[:, axis].min())
    cell = max(1.8 * radius, extent / CELLS)  # one sphere, unless they are lost in space
    places = np.empty((len(blockers), 2), dtype=np.int64)
    for number in range(len(directions)):
        toward, right, forward = directions[number], across[number, 0], across[number, 1]
        low, high = np.full(2, 2**62, dtype=np.int64), np.full(2, -(2**62), dtype=np.int64)
        for index in range(len(blockers)):
            for axis in range(2):
                place = math.floor(_dot(blockers[index], across[number, axis]) / cell)
                places[index, axis] = place
                low[axis], high[axis] = min(low[axis], place), max(high[axis], place)
        nearest = np.full((high[0] - low[0] + 1, high[1] - low[1] + 1), -np.inf)
        for index in range(len(blockers)):
            row, column = places[index, 0] - low[0], places[index, 1] - low[1]
            nearest[row, column] = max(nearest[row, column], _dot(blockers[index], toward))
        for index in range(len(probes)):
            row = math.floor(_dot(probes[index], right) / cell) - low[0]
            column = math.floor(_dot(probes[index], forward) / cell) - low[1]
            inside = 0 <= row < nearest.shape[0] and 0 <= column < nearest.shape[1]
            limit = _dot(probes[index], toward) + 2 * radius
            if not inside or nearest[row, column] <= limit:
                seen[index] += 1


@njit(nogil=True, cache=True, inline="always")
def _dot(first: np.ndarray, second: np.ndarray) -> float:
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
