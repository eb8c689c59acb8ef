"""Soft light without a renderer: how much of the sky, or of a lamp, each point can see.

Along every direction of light the blockers are dropped into a grid of square cells, of which each
remembers the one nearest to the light; whatever lies clearly behind it is in its shadow. Averaged
over some dozens of directions this is the soft shading of an overcast sky.
"""

from __future__ import annotations

import numpy as np

__all__ = ["lamp", "sky", "sphere", "visibility"]

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def sphere(count: int) -> np.ndarray:
    """Return directions (count, 3) spread evenly over the whole sphere."""
    height = 1 - (2 * np.arange(count) + 1) / count
    return _spiral(height)


def sky(count: int) -> np.ndarray:
    """Return directions (count, 3) above the floor, denser towards the zenith (cosine)."""
    return _spiral(np.sqrt(1 - (np.arange(count) + 0.5) / count))


def lamp(direction: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Return directions (count, 3) within a cone around `direction` (3,).

    Args:
        direction: unit vector towards the middle of the lamp.
        count: number of directions.
        spread: half opening of the cone, radians.
    """
    cap = _spiral(1 - (1 - np.cos(spread)) * (np.arange(count) + 0.5) / count)
    right, forward = _across(direction)
    return cap[:, [0]] * right + cap[:, [1]] * direction + cap[:, [2]] * forward


def visibility(
    probes: np.ndarray, blockers: np.ndarray, directions: np.ndarray, radius: float
) -> np.ndarray:
    """Return the share (M,) of the directions in which nothing stands before each probe.

    Args:
        probes: (M, 3) places that are lit.
        blockers: (N, 3) centres of spheres that throw shadows.
        directions: (D, 3) unit vectors towards the light.
        radius: of the spheres, in the units of the places.
    """
    seen = np.zeros(len(probes))
    for direction in directions:
        seen += _unshadowed(probes, blockers, direction, radius)
    return seen / len(directions)


def _unshadowed(
    probes: np.ndarray, blockers: np.ndarray, direction: np.ndarray, radius: float
) -> np.ndarray:
    right, forward = (axis / (1.8 * radius) for axis in _across(direction))  # a cell: one sphere
    row, column = _cells(blockers, right), _cells(blockers, forward)  # (N,)
    top, left = row.min(), column.min()
    height, width = row.max() - top + 3, column.max() - left + 3  # with an empty rim
    nearest = np.full(height * width, -np.inf)
    np.maximum.at(nearest, (row - top + 1) * width + column - left + 1, blockers @ direction)

    row = np.clip(_cells(probes, right) - top + 1, 0, height - 1)  # (M,): outside is on the rim
    column = np.clip(_cells(probes, forward) - left + 1, 0, width - 1)
    return nearest[row * width + column] <= probes @ direction + 2 * radius


def _cells(places: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return np.floor(places @ axis).astype(np.int64)


def _spiral(height: np.ndarray) -> np.ndarray:
    angle = GOLDEN_ANGLE * np.arange(len(height))
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], axis=1)


def _across(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two unit vectors that span the plane across `direction`."""
    helper = np.eye(3)[np.abs(direction).argmin()]
    right = np.cross(direction, helper)
    right /= np.linalg.norm(right)
    return right, np.cross(right, direction)
